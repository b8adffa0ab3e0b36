"""A disk for the journal that can be filled: a small tmpfs of its own, or a limit on the size of files."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

TMPFS_MB = 64
PIECE = b"\0" * 4096


class Disk:
    """Where the journal lies.

    Attributes
    ----------
    folder : Path
    how : str
        ``tmpfs`` is a file system that is really full; ``limit`` is a file size limit set on the running process
        (``prlimit``), where nobody may mount one.
    """

    def __init__(self, folder: Path, size_mb: int = TMPFS_MB) -> None:
        folder.mkdir()
        self.folder = folder
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "none", str(folder)]
        try:
            mounted = subprocess.run(mount, capture_output=True).returncode == 0
        except OSError:
            mounted = False
        self.how = "tmpfs" if mounted else "limit"
        self._ballast = folder / "ballast"

    def fill(self, pid: int) -> None:
        """From now on the process can write no more."""
        if self.how == "limit":
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return
        with open(self._ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(PIECE)
            except OSError:
                return

    def free(self, pid: int) -> None:
        """There is room again."""
        if self.how == "limit":
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        else:
            self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Take the file system away."""
        if self.how == "tmpfs":
            subprocess.run(["umount", str(self.folder)], capture_output=True)
