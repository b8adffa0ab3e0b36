"""Sizes of the towers of any family, from which a model is built and which are stored beside its weights."""

from __future__ import annotations

from typing import Any, Protocol

from trainer.frontend import LogMelConfig


class Towers(Protocol):
    """Sizes of the towers of one space, as plain values of JSON: a frozen dataclass of its family."""

    @property
    def family(self) -> str:
        """Name in `trainer.families`."""

    @property
    def dim(self) -> int:
        """Dimension of the space."""

    @property
    def mel(self) -> LogMelConfig:
        """The front end."""

    @property
    def level_dbfs(self) -> float | None:
        """Level to which windows are normalised before the front end; None if they are not."""

    @property
    def context(self) -> int:
        """Tokens of a prompt."""

    @property
    def image_size(self) -> int:
        """Side of a picture in pixels."""


def tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Values of JSON with tuples in place of lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
