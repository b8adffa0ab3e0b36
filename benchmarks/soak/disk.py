"""A disk for the journal that can be filled: a small tmpfs, or a limit on file size."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

TMPFS_MB = 64
PIECE = b"\0" * 4096


class Disk:
    """Location of the journal.

    Attributes
    ----------
    folder : Path
    how : str
        ``tmpfs`` is a file system that is actually full; ``limit`` is a file size limit set on the running process
        (``prlimit``), if mounting is not permitted.
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
        """Make writes of the process fail."""
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
        """Free the disk again."""
        if self.how == "limit":
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        else:
            self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount the file system."""
        if self.how == "tmpfs":
            subprocess.run(["umount", str(self.folder)], capture_output=True)
