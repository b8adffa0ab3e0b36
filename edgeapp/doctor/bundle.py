"""A file for whoever helps: what the doctor found, settings, status, log and figures, without any secret.

Every text passes `edgeapp.config.secrets.Redaction` before it is written, whatever it is. Locations stay out unless
they are asked for: a microphone may hang where somebody lives, or where a rare bird breeds.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from edgeapp.board.machine import machine
from edgeapp.config.secrets import Redaction
from edgeapp.config.settings import Settings
from edgeapp.config.shown import as_toml
from edgeapp.doctor.context import Context
from edgeapp.doctor.finding import Finding
from edgeapp.doctor.records import reading
from edgeapp.errors import OutputError
from edgeapp.journal.schema_of_messages import UNSENT
from edgeapp.service.unit import NAME
from gallery import files

LOG_LINES = 1_000
LOG_BYTES = 400_000
JOURNALD_S = 20.0
TABLES = ("deployments", "streams", "detections", "clips", "reviews", "messages", "files")
README = """\
A support file of biovita-edge.

findings.json  what `biovita-edge doctor` found
settings.toml  every setting and where it was set; secrets hidden
status.json    what the station last told of itself
versions.json  the machine, Python and the installed packages
log.txt        the last lines of the log
journal.json   counts of the journal: no detection, no name of a species

Passwords, tokens, addresses of webhooks and headers are left out of all of them. {location}
"""
LOCATION = {
    True: "The location of the station is in settings.toml.",
    False: "The location of the station is left out (`--with-location` keeps it).",
}
COORDINATES = re.compile(r'("?(?:latitude|longitude)"?\s*[=:]\s*)-?\d+(?:\.\d+)?', re.IGNORECASE)


def bundle(context: Context, findings: Iterable[Finding], path: Path, location: bool = False) -> list[str]:
    """Write the support file; the names of what is in it.

    Parameters
    ----------
    context : Context
    findings : iterable of Finding
    path : Path
        ZIP file; readable by its owner only.
    location : bool
        Whether coordinates may be in it.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    redaction, names = Redaction(context.settings), []
    if path.is_file() and not zipfile.is_zipfile(path):
        raise OutputError(f"{path}: is there, and no ZIP file", "choose another file, or remove that one")
    try:
        with files.replacing(path) as part:
            os.chmod(part, 0o600)
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, text in _contents(context, findings, location):
                    safe = redaction(text)
                    archive.writestr(name, safe if location else COORDINATES.sub(r"\1(left out)", safe))
                    names.append(name)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})", "choose another file") from error
    return names


def _contents(context: Context, findings: Iterable[Finding], location: bool) -> Iterator[tuple[str, str]]:
    settings = context.settings
    yield "README.txt", README.format(location=LOCATION[location])
    yield "findings.json", _json([{**one.__dict__, "state": one.state.value} for one in findings])
    yield "settings.toml", as_toml(settings if location else _nowhere(settings)) + "\n"
    try:
        yield "status.json", settings.status_path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        yield "status.json", _json({"error": f"cannot be read ({error.strerror or error})"})
    yield "versions.json", _json(_versions())
    yield "log.txt", _log(settings)
    yield "journal.json", _json(_counts(settings.journal_path))


def _nowhere(settings: Settings) -> Settings:
    return replace(settings, detections=replace(settings.detections, latitude=None, longitude=None))


def _versions() -> dict[str, object]:
    packages = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    return {
        "machine": dict(machine()),
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items(), key=lambda one: str(one[0]).lower())),
    }


def _log(settings: Settings) -> str:
    """The last lines of the log file, or of systemd's journal where there is none."""
    if settings.log.file is not None:
        try:
            with settings.log.file.open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - LOG_BYTES))
                lines = deque(file.read().decode("utf-8", "replace").splitlines(), maxlen=LOG_LINES)
            return "\n".join(lines) + "\n"
        except OSError as error:
            return f"{settings.log.file}: cannot be read ({error.strerror or error})\n"
    if (program := shutil.which("journalctl")) is None:
        return "no log file is set (log.file), and this system has no journalctl\n"
    told = []
    for scope in ("--system", "--user"):
        words = [program, scope, "--unit" if scope == "--system" else "--user-unit", NAME]
        try:
            done = subprocess.run(
                [*words, "--no-pager", "--lines", str(LOG_LINES)], capture_output=True, timeout=JOURNALD_S
            )
            told.append(f"{scope}\n{done.stdout.decode('utf-8', 'replace')[-LOG_BYTES:]}")
        except (OSError, subprocess.TimeoutExpired) as error:
            told.append(f"{scope}: {type(error).__name__}\n")
    return "\n".join(told)


def _counts(path: Path) -> dict[str, object]:
    """How many rows the journal has, and of which days; nothing of what is in them."""
    found: dict[str, object] = {"path": str(path)}
    try:
        found["bytes"] = path.stat().st_size
        with reading(path) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in TABLES:
                if table in tables:
                    [(found[table],)] = db.execute(f"SELECT count(*) FROM {table}")
            if "messages" in tables:
                [(found["messages_waiting"],)] = db.execute(f"SELECT count(*) FROM messages WHERE {UNSENT}")
    except (OSError, sqlite3.Error) as error:
        found["error"] = f"cannot be read ({error})"
    return found


def _json(document: object) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
