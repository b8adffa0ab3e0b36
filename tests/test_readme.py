"""What the README and the pages of docs/ show exists: commands, options, make targets, extras, files."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import typer

from tests.conftest import PROJECT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = {
    page.relative_to(PROJECT).as_posix(): page.read_text(encoding="utf-8")
    for page in (*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").glob("*.md")))
}
MADE = ("docs/cli.md", "docs/settings.md")  # from the commands and settings, which they cannot explain themselves
WRITTEN = "\n".join(text for page, text in PAGES.items() if page not in MADE)
SHELL_BLOCKS = re.findall(r"^```sh\n(.*?)^```", WRITTEN, re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```.*?^```", "", WRITTEN, flags=re.MULTILINE | re.DOTALL)
PROGRAMS = {
    ("biovita-edge",): "edgeapp.cli",
    ("python", "-m", "trainer"): "trainer.__main__",
    ("python", "-m", "export"): "export.cli",
}
OPEN_FIGURE = re.compile(r"<!-- figure: (\w+) -->")
STARTER_FILES = ("edgeapp/starter_pack/", "docs/identify.svg", "identify.svg")  # made when the pack is trained


def shown() -> list[list[str]]:
    """Every command of the shell blocks, as words; the commands of a pipe apart."""
    lines = "\n".join(SHELL_BLOCKS).replace("\\\n", " ").splitlines()
    commands = [part for line in lines for part in line.split(" | ")]
    split = [words for command in commands if (words := shlex.split(command, comments=True))]
    return _once([*words[words.index("biovita-edge") :], "FILE"] if words[0] == "xargs" else words for words in split)


def mentioned() -> list[list[str]]:
    """Every command named in the prose, as words; it may leave out what it needs."""
    codes = re.findall(r"`([^`]+)`", PROSE)
    return _once(shlex.split(code) for code in codes if code.startswith(("biovita-", "python -m ")))


def _once(commands: Iterable[list[str]]) -> list[list[str]]:
    """Each command once: pages repeat one another's."""
    return [list(words) for words in dict.fromkeys(map(tuple, commands))]


def root(program: tuple[str, ...]) -> Any:
    return typer.main.get_command(importlib.import_module(PROGRAMS[program]).app)


def program_of(words: list[str]) -> tuple[str, ...] | None:
    return next((program for program in PROGRAMS if tuple(words[: len(program)]) == program), None)


def parse(command: Any, words: list[str], whole: bool = True) -> None:
    """Parse words as the program would, down to the last command; nothing is run.

    An unknown command or option and a value of the wrong type are errors; so is what is missing, if `whole`.
    """
    try:
        with command.make_context(command.name, list(words)) as context:
            if not hasattr(command, "resolve_command"):
                return
            rest = [*context._protected_args, *context.args]
            if rest:
                _, inner, rest = command.resolve_command(context, rest)
                parse(inner, rest, whole)
    except typer.Exit:
        return  # --help, --version
    except typer.BadParameter as error:
        if whole or type(error).__name__ != "MissingParameter":
            raise


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command and all below it, with their full names."""
    yield name, command
    if hasattr(command, "list_commands"):
        with typer.Context(command) as context:
            for inner in command.list_commands(context):
                yield from commands(command.get_command(context, inner), f"{name} {inner}")


ALL = [found for program in PROGRAMS for found in commands(root(program), " ".join(program))]


@pytest.mark.parametrize("words", shown(), ids=" ".join)
def test_what_it_tells_to_type_is_understood(words):
    program = program_of(words)
    if program is not None:
        parse(root(program), words[len(program) :])
    elif words[0] == "make":
        makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
        for word in words[1:]:
            variable, given, _ = word.partition("=")
            assert f"$({variable})" in makefile if given else re.search(rf"^{word}:", makefile, re.MULTILINE), word
    elif words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2]), words[2]
    elif words[0] == "python":
        assert (PROJECT / words[1]).is_file(), words[1]
    else:
        assert words[0] in ("pip", "sqlite-utils", "arecord", "apt-get", "find"), f"{words[0]}: who checks this?"


@pytest.mark.parametrize("words", mentioned(), ids=" ".join)
def test_what_it_mentions_is_a_command(words):
    program = program_of(words)
    assert program is not None
    parse(root(program), words[len(program) :], whole=False)


@pytest.mark.parametrize(
    "words", ["identify a.wav --tpo 3", "identfy a.wav", "listen --min-confidence often", "gallery ad x y"]
)
def test_a_mistake_would_be_noticed(words):
    with pytest.raises(Exception) as raised:  # typer keeps the base of its errors to itself
        parse(root(("biovita-edge",)), words.split())
    assert type(raised.value).__name__ in ("NoSuchOption", "UsageError", "NoSuchCommand", "BadParameter")


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_every_command_and_option_is_explained(name, command):
    assert name in WRITTEN
    assert command.help and command.help.strip()
    for parameter in command.params:
        options = [option for option in parameter.opts if option.startswith("--")]
        assert (getattr(parameter, "help", None) or "").strip() or any(option in WRITTEN for option in options), (
            f"{name} {parameter.name} is explained nowhere"
        )


def test_the_options_it_names_are_options():
    parameters = [parameter for _, command in ALL for parameter in command.params]
    known = {option for one in parameters for option in (*one.opts, *one.secondary_opts)} | {"--help"}
    named = {word for code in re.findall(r"`([^`]+)`", PROSE) for word in code.split() if word.startswith("--")}
    assert named - known == set()


@functools.cache
def anchors(text: str) -> set[str]:
    """Anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page, request):
    nowhere = []
    for link in sorted(set(re.findall(r"\]\(([^)\s]+)\)", PAGES[page]))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (PROJECT / page).parent / path if path else PROJECT / page
        if path.startswith(STARTER_FILES):
            request.getfixturevalue("starter_pack")
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            nowhere.append(link)
    assert nowhere == []


def test_the_extras_it_names_exist():
    with open(PROJECT / "pyproject.toml", "rb") as file:
        extras = set(tomllib.load(file)["project"]["optional-dependencies"])
    named = {extra for group in re.findall(r"(?:\.|biovita-edge)\[([\w,]+)\]", WRITTEN) for extra in group.split(",")}
    assert named == extras


def test_no_figure_is_left_open(starter_pack):
    assert OPEN_FIGURE.findall(WRITTEN) == []
