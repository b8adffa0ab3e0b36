"""A disk for the journal that can be filled: a small tmpfs, or a limit on file size."""

from __future__ import annotations

import resource
import shutil
import subprocess
from pathlib import Path

TMPFS_MB = 256
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
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._kept = folder.with_name(f"{folder.name}.kept")
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "none", str(folder)]
        try:
            mounted = subprocess.run(mount, capture_output=True).returncode == 0
        except OSError:
            mounted = False
        self.how = "tmpfs" if mounted else "limit"
        self._ballast = folder / "ballast"
        if mounted and self._kept.exists():
            shutil.copytree(self._kept, folder, dirs_exist_ok=True)

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
        """Unmount the file system; what was in it stays beside it."""
        if self.how == "tmpfs":
            self._ballast.unlink(missing_ok=True)
            shutil.rmtree(self._kept, ignore_errors=True)
            shutil.copytree(self.folder, self._kept)
            subprocess.run(["umount", str(self.folder)], capture_output=True)
