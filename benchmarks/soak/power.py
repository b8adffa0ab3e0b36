"""Power cuts: what was never synchronised with the disk is gone, or there in part, as no `kill -9` shows.

A small library is loaded into the station (LD_PRELOAD). Whenever a file of the watched folder has been synchronised, it
copies what is in the file then; what is removed is taken to be gone. A power cut kills the process and puts the copies
in the place of the files; of what was written since, each page of the disk may have arrived or not.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

PAGE = 4096
MISSING = "no C compiler (Debian: gcc)"
VOLATILE = "-shm"  # SQLite makes its index of the WAL anew

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void keep(int fd) {
    const char *folder = getenv("SOAK_FOLDER"), *kept = getenv("SOAK_KEPT");
    char link[64], path[4096], part[8192], copy[8192], buffer[65536];
    struct stat about;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (!folder || !kept || size < 0 || fstat(fd, &about) || !S_ISREG(about.st_mode)) return;
    path[size] = 0;
    if (strncmp(path, folder, strlen(folder))) return;
    snprintf(copy, sizeof copy, "%s/%s", kept, basename(path));
    snprintf(part, sizeof part, "%s.%d.part", copy, getpid());
    int out = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (out < 0) return;
    off_t at = 0;
    while ((size = pread(fd, buffer, sizeof buffer, at)) > 0) {
        if (write(out, buffer, size) != size) break;
        at += size;
    }
    close(out);
    rename(part, copy);
}

int unlink(const char *path) {
    static int (*next)(const char *);
    if (!next) next = (int (*)(const char *)) dlsym(RTLD_NEXT, "unlink");
    int result = next(path);
    const char *folder = getenv("SOAK_FOLDER"), *kept = getenv("SOAK_KEPT");
    if (!result && folder && kept && !strncmp(path, folder, strlen(folder))) {
        char copy[8192];
        snprintf(copy, sizeof copy, "%s/%s", kept, path + strlen(folder));
        next(copy);
    }
    return result;
}

int fsync(int fd) {
    static int (*next)(int);
    if (!next) next = (int (*)(int)) dlsym(RTLD_NEXT, "fsync");
    int result = next(fd);
    if (!result) keep(fd);
    return result;
}

int fdatasync(int fd) {
    static int (*next)(int);
    if (!next) next = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
    int result = next(fd);
    if (!result) keep(fd);
    return result;
}
"""


def compiler() -> str | None:
    """The C compiler of this machine."""
    return shutil.which("cc") or shutil.which("gcc")


class Power:
    """The disk of a station, as far as it remembers.

    Parameters
    ----------
    folder : Path
        What is watched; files in it, none in folders of it.
    place : Path
        For the library and the copies; on another disk, which does not fill.
    """

    def __init__(self, folder: Path, place: Path) -> None:
        program = compiler()
        assert program is not None, MISSING
        self._folder, self._kept = folder.resolve(), place / "kept"
        self._kept.mkdir(parents=True, exist_ok=True)
        library, source = place / "power.so", place / "power.c"
        source.write_text(SOURCE)
        subprocess.run([program, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        self.environment = {
            "LD_PRELOAD": str(library),
            "SOAK_FOLDER": f"{self._folder}/",
            "SOAK_KEPT": str(self._kept),
        }

    def settle(self) -> None:
        """Take what is there now as synchronised: to be called after another program has written."""
        for copy in self._kept.iterdir():
            copy.unlink()
        for path in self._folder.iterdir():
            if not path.name.endswith(VOLATILE):
                shutil.copy(path, self._kept / path.name)

    def cut(self, chance: random.Random) -> tuple[int, int]:
        """Make the files what a disk would have of them; how many bytes were not synchronised, and how many arrived.

        The process that wrote them must be dead.
        """
        unsure = arrived = 0
        for path in sorted(self._folder.iterdir()):
            copy = self._kept / path.name
            if path.name.endswith(VOLATILE) or not copy.exists():
                unsure += path.stat().st_size
                path.unlink()
                continue
            synced, written = copy.read_bytes(), path.read_bytes()
            size = max(len(synced), len(written))
            pages = []
            for at in range(0, size, PAGE):
                old, new = synced[at : at + PAGE], written[at : at + PAGE]
                if old != new:
                    unsure += len(new)
                    if chance.random() < 0.5:
                        arrived += len(new)
                        old = new
                pages.append(old.ljust(min(PAGE, size - at), b"\0"))
            path.write_bytes(b"".join(pages))
        return unsure, arrived
