"""Make `docs/cli.md`: every command with its help, arguments and options, from the commands themselves.

    python docs/cli.py

Run it again when a command changes; a test compares the page with what this makes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

PAGE = Path(__file__).resolve().parent / "cli.md"
PROGRAMS = {
    "biovita-edge": "edgeapp.cli",
    "python -m trainer": "trainer.__main__",
    "python -m export": "export.cli",
}
OPTIONS = "Options"  # the group of an option that names no other
HEAD = """\
# Commands

Generated from the commands by `python docs/cli.py`; do not edit. Every command also prints this with `--help`.
Exit codes are listed under [Exit codes](identify.md#exit-codes).
"""


def root(program: str) -> Any:
    """The command that a program runs."""
    return typer.main.get_command(importlib.import_module(PROGRAMS[program]).app)


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command and all below it, with their full names."""
    yield name, command
    if hasattr(command, "list_commands"):
        with typer.Context(command) as context:
            for inner in command.list_commands(context):
                yield from commands(command.get_command(context, inner), f"{name} {inner}")


def page() -> str:
    """The page, in Markdown."""
    parts = [HEAD]
    for program in PROGRAMS:
        for name, command in commands(root(program), program):
            parts.append("\n".join(described(name, command)))
    return "\n".join(parts)


def described(name: str, command: Any) -> Iterator[str]:
    """Heading, usage, help, and a list for each group of arguments and options."""
    with typer.Context(command, info_name=name) as context:
        usage = " ".join(command.collect_usage_pieces(context))
        yield from (f"## {heading(name)}", "")
        yield from ("```text", f"{name} {usage}", "```", "")
        yield from (paragraphs(command.help or ""), "")
        inner = command.list_commands(context) if hasattr(command, "list_commands") else []
        if inner:
            links = ", ".join(f"[`{one}`](#{heading(f'{name} {one}').replace(' ', '-')})" for one in inner)
            yield from (f"Commands: {links}.", "")
        groups: dict[str, list[Any]] = {}
        for parameter in command.get_params(context):
            if not getattr(parameter, "hidden", False) and parameter.name != "help":
                groups.setdefault(group_of(parameter), []).append(parameter)
        for group, parameters in groups.items():
            yield from (f"**{group}**", "", *(item(parameter, context) for parameter in parameters), "")


def group_of(parameter: Any) -> str:
    """The heading under which the help of a command shows a parameter."""
    panel = getattr(parameter, "rich_help_panel", None)
    return panel or ("Arguments" if parameter.param_type_name == "argument" else OPTIONS)


def item(parameter: Any, context: Any) -> str:
    """A parameter as an item of a list, with the words of `--help`."""
    names, text = parameter.get_help_record(context)
    return f"- `{names}`: {' '.join(text.split())}"


def paragraphs(text: str) -> str:
    """The text of a help page, a line for each paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def heading(name: str) -> str:
    """Without `python -m`, of which sites and code hosts make different anchors."""
    return name.removeprefix("python -m ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
