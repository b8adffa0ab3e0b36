"""Steps of a long command whose results are kept, so that a killed run goes on where it was.

    FOLDER/.steps         says that the folder is of this program: in another one nothing is made or removed
    FOLDER/STEP/          what a step made
    FOLDER/STEP/done.json the key that its result depends on, and the sha256 of every file, written last

A step is done again when its key is another, or when a file is missing or was changed. Whatever else lies in its folder
is what a killed run left, and is removed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from edgeapp.pack.format import sha256
from export.errors import ExportError
from gallery import files

DONE = "done.json"
MARK = ".steps"
MARKED = (
    "Results of the steps of python -m export published, from which it goes on. Removed when the pack is complete.\n"
)


class Steps:
    """The steps of one command.

    Parameters
    ----------
    folder : made if it is not there
    tell : called with a line for each step

    Raises
    ------
    ExportError
        The folder has something else in it, which would be removed.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MARK).is_file():
            if any(folder.iterdir()):
                raise ExportError(f"{folder}: has other files in it", "name a new or empty folder with --work")
            files.write_text(folder / MARK, MARKED)
        self.folder, self._tell = folder, tell

    def step(self, name: str, key: str, make: Callable[[Path], None], said: str = "") -> Path:
        """The folder with the result of a step, made now or before.

        Parameters
        ----------
        key : everything that the result depends on
        make : called with the empty folder
        said : what the step does, for the user; nothing is said if empty
        """
        folder = self.folder / name
        kept = self._kept(folder, key)
        if said:
            self._tell(f"{said}: kept from the run before" if kept else said)
        if kept:
            return folder
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        make(folder)
        made = {path.relative_to(folder).as_posix(): sha256(path) for path in _files(folder)}
        files.write_text(folder / DONE, json.dumps({"key": key, "files": made}, indent=1) + "\n")
        return folder

    def digest(self, name: str, file: str) -> str:
        """The sha256 of a file that a finished step made."""
        return str(json.loads((self.folder / name / DONE).read_text(encoding="utf-8"))["files"][file])

    def _kept(self, folder: Path, key: str) -> bool:
        try:
            done = json.loads((folder / DONE).read_text(encoding="utf-8"))
            if done["key"] != key:
                return False
            return all(sha256(folder / name) == digest for name, digest in done["files"].items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def drop_empty(self) -> None:
        """Remove the folder if no step in it is done: nothing of it would be kept."""
        if not any(self.folder.glob(f"*/{DONE}")):
            self.remove()

    def remove(self) -> None:
        """Remove all results, once they are of no more use."""
        shutil.rmtree(self.folder)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DONE)
