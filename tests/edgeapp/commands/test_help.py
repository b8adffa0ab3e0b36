"""`--help` of the commands: options in groups, and every text as it was written."""

from __future__ import annotations

import io
from typing import Any

import pytest
import typer
from rich.console import Console
from rich.markdown import Markdown

from edgeapp.cli import app
from edgeapp.config.panels import OF_SECTION
from edgeapp.config.settings import SETTINGS

LONG = 12  # options of a command that needs groups
PANELS = {
    "identify": ["Output", "Recognition", "Privacy", "Place and season", "Other input"],
    "listen": [
        *("Output", "Recognition", "Place and season", "Microphone", "Other input", "Detections"),
        *("Privacy", "Clips", "MQTT", "Webhook", "Notifications", "BirdWeather", "Live page", "Log"),
    ],
}


def commands(command: Any, name: str = "") -> list[tuple[str, Any]]:
    """Every command that does something, with its words."""
    if not hasattr(command, "list_commands"):
        return [(name, command)]
    with typer.Context(command) as context:
        inner = [(one, command.get_command(context, one)) for one in command.list_commands(context)]
    return [found for one, below in inner for found in commands(below, f"{name} {one}".strip())]


ALL = dict(commands(typer.main.get_command(app)))


def options_of(command: Any) -> list[Any]:
    return [one for one in command.params if one.param_type_name == "option" and one.name != "help"]


def rendered(text: str) -> str:
    out = io.StringIO()
    Console(file=out, width=1000, color_system=None).print(Markdown(text))
    return " ".join(out.getvalue().split())


@pytest.mark.parametrize("name", PANELS)
def test_help_shows_options_in_groups(run, name):
    shown = run(name, "--help").stdout
    titles = [line.split("─")[1].strip() for line in shown.splitlines() if line.startswith("╭")]
    assert titles[0:2] == ["Arguments", "Options"]
    assert sorted(titles[2:]) == sorted(PANELS[name])


@pytest.mark.parametrize("name", ALL)
def test_a_long_command_has_groups(name):
    options = options_of(ALL[name])
    groups = {one.rich_help_panel for one in options}
    assert len(options) < LONG or len(groups) >= 3


def test_every_flag_of_a_setting_is_in_a_group():
    flags = {setting.flag: setting for setting in SETTINGS if setting.flag}
    shown = {option: one.rich_help_panel for one in options_of(ALL["listen"]) for option in one.opts}
    for flag, setting in flags.items():
        assert shown[flag] == (setting.panel or OF_SECTION[setting.section])


@pytest.mark.parametrize("name", ALL)
def test_markdown_changes_no_help_text(name):
    command = ALL[name]
    texts = [command.help, *(one.help for one in command.params if one.help)]
    for text in texts:
        for paragraph in text.split("\n\n"):
            plain = " ".join(paragraph.split())
            assert rendered(paragraph) == plain.replace("`", "")
