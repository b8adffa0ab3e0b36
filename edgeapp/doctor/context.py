"""Context of the checks: the settings, this machine, and the station that may be running on it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from edgeapp.clock.system import Clock, SystemClock
from edgeapp.config.load import Loaded, settings_file
from edgeapp.config.settings import Settings
from edgeapp.station.presence import status_files
from gallery.utc import utc_of

FRESH_S = 180.0  # a station writes its status more often


@dataclass(frozen=True)
class RunningStation:
    """Content of the status file.

    Attributes
    ----------
    told : dict
        The file.
    age_s : float or None
        Seconds since it was written.
    alive : bool
        Whether the process that wrote it lives.
    """

    told: dict[str, Any]
    age_s: float | None
    alive: bool

    @property
    def fresh(self) -> bool:
        """Whether it was written a moment ago."""
        return self.age_s is not None and self.age_s < FRESH_S


def is_station(pid: int) -> bool:
    """Whether a process runs and is ours: process ids are reused."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it runs, and belongs to another user
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
    program, *words = command.split(b"\0")
    # The folders of the interpreter say nothing: they may be called like this project.
    return b"biovita" in os.path.basename(program) or any(
        b"edgeapp" in word or b"biovita" in os.path.basename(word) for word in words
    )


@dataclass(frozen=True)
class Context:
    """What the checks look at.

    Attributes
    ----------
    loaded : Loaded
        Settings and their faults.
    root : Path
        Under which /proc, /sys and /etc are looked for.
    clock : Clock
    alive : Callable[[int], bool]
        Whether a process is a station that lives.
    microphone : bool
        Whether microphones may be opened.
    network : bool
        Whether targets of messages may be tried.
    """

    loaded: Loaded
    root: Path = Path("/")
    clock: Clock = field(default_factory=SystemClock)
    alive: Callable[[int], bool] = is_station
    microphone: bool = True
    network: bool = True

    @property
    def settings(self) -> Settings:
        """The settings, faulty ones at their default."""
        return self.loaded.settings

    @cached_property
    def running(self) -> RunningStation | None:
        """Content of the status file; None without one.

        Flags of `listen` may have named another than the settings do: a station that lives and runs with this file is
        found all the same.

        Raises
        ------
        ValueError, OSError
            It cannot be read.
        """
        usual = self.settings.status_path
        for path in (usual, *status_files(settings_file(self.settings.file))):
            with suppress(ValueError, OSError):
                found = self._told(path)
                if found is not None and found.alive:
                    return found
        return self._told(usual)

    def _told(self, path: Path) -> RunningStation | None:
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if not isinstance(told, dict):
            raise ValueError("is not a JSON object")
        pid = told.get("pid")
        return RunningStation(told, self._age_s(told), isinstance(pid, int) and pid > 0 and self.alive(pid))

    @property
    def hears_now(self) -> bool:
        """Whether a station runs here, which then uses the microphones and the journal."""
        try:
            return self.running is not None and self.running.alive
        except (ValueError, OSError):
            return False

    def _age_s(self, told: dict[str, Any]) -> float | None:
        try:
            written = utc_of(str(told.get("time_utc")))
        except ValueError:
            return None
        return max(0.0, (self.clock.now().utc - written).total_seconds())
