"""Changing a setting in its file, and telling the station that runs with it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeapp.config import edit
from edgeapp.config.load import config_path, examine, settings_file
from edgeapp.config.setting import Setting
from edgeapp.config.settings import SETTINGS, THRESHOLD, Settings
from edgeapp.config.values import BadValue, ConfigError, Fault, from_text, from_texts, near
from edgeapp.doctor.context import Context, RunningStation
from edgeapp.errors import UsageError
from edgeapp.pack.installed import find_pack
from edgeapp.station.validation import faults_of_settings
from edgeapp.terminal import say, tell

STDIN = "-"
ANSWER_S = 20.0  # a station looks at its settings between two windows
LOOK_S = 0.1


def assignments(words: Sequence[str]) -> dict[str, list[str]]:
    """Setting to the words of its value: ``KEY VALUE...``, or ``KEY=VALUE`` for several settings that go together.

    Raises
    ------
    UsageError
    """
    first = words[0]
    if "=" not in first:
        if len(words) == 1:
            raise UsageError(f"{first} is given no value", f"write {first} VALUE")
        return {first: list(words[1:])}
    found: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"{key!r} is given no value", "write KEY=VALUE for each setting")
        found.setdefault(key, []).append(value)
    return found


def change(config: Path | None, given: Mapping[str, Sequence[str] | None]) -> int:
    """Set settings, or remove from the file those without words; the exit code.

    Raises
    ------
    UsageError, ConfigError, OutputError
    """
    before = examine(config)
    file = config_path(config, os.environ)[0]
    if config is not None and not file.is_file():
        raise before.faults[0].error()
    values: dict[str, Any] = {}
    thresholds: dict[str, float | None] = {}
    for key, words in given.items():
        if key.startswith(f"{THRESHOLD.section}."):
            taxon = " ".join(key.partition(".")[2].split())
            thresholds[taxon] = None if words is None else _value(THRESHOLD, key, words)
        else:
            setting = _setting(key)
            values[key] = None if words is None else _value(setting, key, words)
    known = {fault.what for fault in faults_of_settings(before.settings)}

    def new_faults(settings: Settings) -> list[Fault]:
        return [fault for fault in faults_of_settings(settings) if fault.what not in known]

    after = edit.change(before.settings, values, thresholds, new_faults)
    for key, words in given.items():
        say(f"{key}: {'removed from' if words is None else 'set in'} {after.file or file}")
        origin = after.origins.get(key, "default")
        if origin.startswith("environment "):
            tell(f"{origin} goes before the file: it still counts for commands that have it")
    return _tell_station(after)


def _setting(key: str) -> Setting:
    known = {setting.key: setting for setting in SETTINGS}
    if key not in known:
        of_that_name = [one for one in known if one.rpartition(".")[2] == key]
        remedy = f"write {' or '.join(of_that_name)}" if of_that_name else near(key, known)
        raise UsageError(f"there is no setting {key!r}", remedy)
    return known[key]


def _value(setting: Setting, key: str, texts: Sequence[str]) -> Any:
    """The value that words of a command line mean; paths start at the folder one is in, not at that of the file."""
    if list(texts) == [STDIN]:
        texts = [sys.stdin.readline().rstrip("\r\n")]
    elif setting.secret:
        raise UsageError(
            f"{key} is a secret, which others would see on a command line",
            f"pass it on standard input: biovita-edge config set {key} -",
        )
    if len(texts) > 1 and not setting.many:
        raise UsageError(f"{key} takes one value, not {len(texts)}", "quote a value with spaces")
    try:
        value = from_texts(setting, texts) if setting.many else from_text(setting, texts[0])
    except BadValue as error:
        raise ConfigError(f"{key}: {error.what}", error.remedy) from None
    if value is None:
        raise UsageError(f"{key}: is empty", f"give a value, or remove it with `biovita-edge config unset {key}`")
    if isinstance(value, Path):
        return value.absolute()
    if setting.pack and find_pack(value).name is None:
        return str(Path(value).expanduser().absolute())
    return value


def _tell_station(settings: Settings) -> int:
    """Have the station that runs with these settings read them again, and say what it made of them."""
    context = Context(examine(settings.file))
    try:
        running = context.running
    except (ValueError, OSError) as fault:
        tell(f"{settings.status_path}: cannot be read ({fault}); the change takes effect when the station starts")
        return 0
    told = running.told.get("settings") if running is not None and running.alive else None
    if running is None or not isinstance(told, dict) or told.get("file") != str(settings_file(settings.file)):
        say(f"no station runs with this file ({settings.status_path}); the change takes effect when it starts")
        return 0
    pid = int(running.told["pid"])
    if not hasattr(signal, "SIGHUP"):
        say(f"process {pid} takes it at its next start")
        return 0
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError:
        tell(f"process {pid} belongs to another user, who can have it read them again (`systemctl reload`)")
        return 1
    except ProcessLookupError:
        say("the station has just ended; the change takes effect when it starts")
        return 0
    return _answer(settings, running, told.get("read_again", 0))


def _answer(settings: Settings, running: RunningStation, count: int) -> int:
    pid, end = running.told["pid"], time.monotonic() + ANSWER_S
    while time.monotonic() < end:
        time.sleep(LOOK_S)
        try:
            now = Context(examine(settings.file)).running
        except (ValueError, OSError):
            continue
        told = now.told.get("settings") if now is not None else None
        if not isinstance(told, dict) or told.get("read_again", 0) <= count:
            continue
        if told.get("error"):
            tell(f"process {pid} goes on as before: {told['error']}")
            return 1
        say(f"process {pid}: {told.get('taken')}")
        return 0
    tell(f"process {pid} has not answered in {ANSWER_S:g} s; its log tells more, and a new start takes the change")
    return 1
