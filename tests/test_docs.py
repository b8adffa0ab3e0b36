"""The pages of docs/: all in the navigation, the generated ones current, the architecture as the code is."""

from __future__ import annotations

import importlib.util
import re
import sys
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.test_architecture import FLOORS, ROOMS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = PROJECT / "docs"
README_BYTES = 8_000
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")
DOCUMENTS = (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")))
# A path from the top of the project, in code: `edgeapp/audio/file.py`, `gallery/`, `.ci/run`.
PATH = re.compile(r"`((?:gallery|edgeapp|trainer|export|tests|benchmarks|docs|\.ci)/[\w./-]*|\w+\.(?:md|toml))`")
MADE = {"CARD.md", "pack.json", "decision.json", "config.toml", "station.toml"}  # by the program, not in the project


def section(page: str, heading: str) -> str:
    """The text of a page from a heading to the next of its level."""
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def first_column(table: str) -> list[str]:
    """First cells of the rows of a table in Markdown, without its head."""
    rows = [line for line in table.splitlines() if line.startswith("|")]
    return [row.split("|")[1].strip().strip("`") for row in rows[2:]]


def cli_page() -> Any:
    """The module that makes the page of commands; docs/ is no package."""
    spec = importlib.util.spec_from_file_location("cli_page", DOCS / "cli.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_short():
    assert len((PROJECT / "README.md").read_bytes()) <= README_BYTES


def test_every_page_is_in_the_navigation_once():
    config = (PROJECT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r"^ +- [^:\n]+: (\S+\.md)$", config[config.index("\nnav:") :], re.MULTILINE)
    assert sorted(named) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


def test_the_site_loads_nothing_from_other_hosts():
    config = (PROJECT / "mkdocs.yml").read_text(encoding="utf-8")
    assert re.search(r"^ +font: false$", config, re.MULTILINE)
    assert not re.search(r"https?:|analytics|extra_javascript|extra_css", config)
    assert [
        page.name for page in DOCS.rglob("*.md") if re.search(r"<(script|link|img)|!\[.*\]\(http", page.read_text())
    ] == []


def test_the_page_of_commands_is_current():
    made = "make it anew: python docs/cli.py"
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == cli_page().page(), made


def test_the_page_of_commands_has_every_option():
    made = cli_page()
    page = made.page()
    for program in made.PROGRAMS:
        for name, command in made.commands(made.root(program), program):
            text = section(page, made.heading(name))
            for parameter in command.params:
                hidden = getattr(parameter, "hidden", False)
                assert hidden or all(option in text for option in parameter.opts if option.startswith("--")), name


def test_architecture_names_the_floors_in_order():
    assert first_column(re.sub(r"\| \d ", "", section(ARCHITECTURE, "Floors"))) == list(FLOORS)


def test_architecture_names_the_rooms_in_order():
    items = re.findall(r"^- (`.+?`): ", section(ARCHITECTURE, "Rooms of edgeapp"), re.MULTILINE)
    assert [tuple(re.findall(r"`(\w+)`", item)) for item in items] == list(ROOMS)


def test_architecture_gives_every_dependency_a_reason():
    with open(PROJECT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["cpu"]]
    table = section(ARCHITECTURE, "What a device installs")
    assert sorted(first_column(table)) == sorted(re.split(r"[^\w-]", name)[0] for name in wanted)
    assert all(row.rstrip("| ").rpartition("|")[2].strip() for row in table.splitlines() if row.startswith("| `"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_paths_a_document_names_exist(document):
    named = set(PATH.findall(document.read_text(encoding="utf-8"))) - MADE
    assert sorted(path for path in named if not (PROJECT / path).exists()) == []
