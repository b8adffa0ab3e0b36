"""What a run over an archive was asked for, and by what its recordings are heard: `run.json` of its results."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeapp.board.machine import installed
from edgeapp.errors import OutputError, UsageError
from edgeapp.paths import PROGRAM
from gallery import files
from gallery.utc import now_text

NAME = "run.json"
SCHEMA = 1  # raised when a column changes its meaning or goes

ALWAYS = ("files", "detections")


@dataclass(frozen=True)
class Record:
    """What decides about the results of an archive.

    Attributes
    ----------
    settings : dict
        What a person asked for that decides about a result, and the identity of pack and galleries, by name. A run goes
        on only with the same.
    window_s, hop_s : float
    latitude, longitude : float or None
    partition : str
        date, folder or none.
    tables : tuple of str
    dim : int
        Of an embedding.
    space : str
        Of the embeddings.
    base : str
        Folder to which relative paths of recordings are relative.
    inputs : tuple of str
        As they were given first.
    started : str
        UTC.
    versions : dict
        Of the program and of what it computes with.
    """

    settings: dict[str, Any]
    window_s: float
    hop_s: float
    latitude: float | None
    longitude: float | None
    partition: str
    tables: tuple[str, ...]
    dim: int
    space: str
    base: str
    inputs: tuple[str, ...]
    started: str = field(default_factory=now_text)
    versions: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Read that of a folder.

        Raises
        ------
        UsageError
            There are no results in it.
        OutputError
            It cannot be read, or is of another version.
        """
        path = folder / NAME
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(
                f"{folder}: has no results of an archive", "name the folder given to `archive` with --output"
            ) from None
        except (OSError, ValueError) as error:
            raise OutputError(f"{path}: cannot be read ({error})", "restore it, or start with --new-run") from None
        if not isinstance(fields, dict) or fields.get("schema") != SCHEMA:
            raise OutputError(f"{path}: is not of this version of the program", "start with --new-run")
        return cls(**{**fields, "tables": tuple(fields["tables"]), "inputs": tuple(fields["inputs"])})

    def write(self, folder: Path) -> None:
        """Write it, atomically.

        Raises
        ------
        OSError
            It cannot be written.
        """
        files.write_text(folder / NAME, json.dumps(asdict(self), indent=2) + "\n")

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """What settings differ from its own, in words: "hop_s is 5.0, and was 2.5"."""
        names = dict.fromkeys([*self.settings, *other])
        return [
            f"{name} is {_shown(other.get(name))}, and was {_shown(self.settings.get(name))}"
            for name in names
            if other.get(name) != self.settings.get(name)
        ]


def versions() -> dict[str, str]:
    """Versions of the program and of what it computes with."""
    names = (PROGRAM, "onnxruntime", "onnxruntime-gpu", "numpy", "soundfile", "soxr", "pyarrow")
    found = {name: version for name in names if (version := installed(name))}
    return {"python": platform.python_version(), **found}


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64 and os.sep not in value:
        return value[:12]  # a hash
    return "not given" if value is None else json.dumps(value, ensure_ascii=False)
