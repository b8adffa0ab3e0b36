"""The description of the API, made from its endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

PREFIX = "/api/v1"
TEXT = {"type": "string"}
IN_PATH: Mapping[str, str] = {"number": "1", "day": "2026-05-22", "name": "Parus major"}  # examples


@dataclass(frozen=True)
class Parameter:
    """A parameter of a query."""

    name: str
    help: str
    type: str = "string"
    example: str | float = ""


@dataclass(frozen=True)
class Endpoint:
    """One endpoint.

    Attributes
    ----------
    method, path : str
        Below `PREFIX`.
    answer : callable
    help : str
    parameters : tuple of Parameter
    body : Mapping or None
        JSON Schema of what is sent, with an example.
    gives : str
        Media type of the answer.
    """

    method: str
    path: str
    answer: Callable[[Request], Any]
    help: str
    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] | None = None
    gives: str = "application/json"


def description(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The API in OpenAPI 3.1, with an example of everything that a request has."""
    paths: dict[str, Any] = {}
    for one in endpoints:
        path = PREFIX + one.path.replace(":path", "")
        inside = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        told: dict[str, Any] = {
            "summary": one.help,
            "operationId": one.answer.__name__,
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": TEXT, "example": IN_PATH[name]}
                for name in inside
            ]
            + [
                {
                    "name": query.name,
                    "in": "query",
                    "description": query.help,
                    "schema": {"type": query.type},
                    "example": query.example,
                }
                for query in one.parameters
            ],
            "responses": {
                "200": {"description": one.help, "content": {one.gives: {}}},
                "default": {
                    "description": "What is wrong, and what to do.",
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {"error": TEXT, "remedy": {"type": ["string", "null"]}},
                            }
                        }
                    },
                },
            },
        }
        if one.body is not None:
            told["requestBody"] = {"required": True, "content": {"application/json": {"schema": one.body}}}
        paths.setdefault(path, {})[one.method.lower()] = told
    return {"openapi": "3.1.0", "info": {"title": "biovita-edge", "version": "1"}, "paths": paths}
