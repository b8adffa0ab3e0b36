"""The command line in copies of one process that has loaded the program, which takes longer than most commands.

Each command is a process of its own, with its own arguments, environment, folder, files and ignored signals. What a
Python process takes from its environment when it starts, such as the encoding of names, is that of the process it is
copied from: there is one for each such environment. Workers that a command spawns are copies as well.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.conftest import PROJECT
from tests.edgeapp import stand_in

AT_START = ("LC_", "LANG", "PYTHON", "OMP_")  # beginnings of names of variables that count when a process starts
# To be run first by what hears or reads an archive; pyarrow looks for pandas.
ARCHIVE = """
import contextlib
with contextlib.suppress(ImportError):
    import edgeapp.archive.run, edgeapp.archive.workers.worker, pyarrow.compute, pyarrow.dataset, pyarrow.parquet
    import pandas
"""
LOADED = """
import atexit, contextlib, fcntl, gc, marshal, multiprocessing, os, select, signal, socket, sys
import threading
from os import fork, pidfd_open, waitid  # what is run first may take them away
from signal import SIGKILL
exec(sys.argv[3])
import edgeapp.audio.formats.opening, edgeapp.outputs.table, edgeapp.recognition.recogniser
import jinja2.ext, numpy.fft, numpy.ma, onnxruntime, PIL.Image, platformdirs.unix, soundfile, soxr
import edgeapp.__main__, edgeapp.cli, edgeapp.web.report.page, edgeapp.web.report.pictures
import edgeapp.web.report.journal, edgeapp.web.report.recordings
PIL.Image.init()
edgeapp.web.report.page._environment().get_template(edgeapp.web.report.page.PAGE)
for name in edgeapp.cli.COMMANDS:
    edgeapp.cli.command_of(name)
multiprocessing.set_executable(sys.argv[2])
gc.collect()
gc.freeze()  # a search for garbage would write to every page of what is shared

STANDARD = []

def keep(wanted):  # one command: it is killed when whoever wanted it is
    wanted.setblocking(True)
    message, given, _, _ = socket.recv_fds(wanted, 1 << 20, 100)
    length, message = int.from_bytes(message[:4], "big"), message[4:]
    while len(message) < length:
        message += wanted.recv(1 << 20)
    words, environment, folder, numbers, ignored = marshal.loads(message)
    child = fork()
    if not child:
        command(wanted, words, environment, folder, dict(zip(numbers, given)), ignored)
    for file in given:
        os.close(file)
    wanted.sendall(child.to_bytes(4, "big"))
    ends = pidfd_open(child)
    if ends not in select.select([ends, wanted], [], [])[0]:
        os.kill(child, SIGKILL)
    ended = os.waitpid(child, 0)[1]
    with contextlib.suppress(BrokenPipeError):  # whoever wanted it was killed
        wanted.sendall(ended.to_bytes(4, "big"))

def command(wanted, words, environment, folder, files, ignored):
    wanted.close()
    os.environb.clear()
    os.environb.update(environment)
    os.chdir(folder)
    above = {number: fcntl.fcntl(file, fcntl.F_DUPFD, 200) for number, file in files.items()}
    for file in files.values():
        os.close(file)
    for number, file in above.items():
        os.dup2(file, number)
        os.close(file)
    for number, name in enumerate(("stdin", "stdout", "stderr")):  # they know whether their file can be sought
        had, file = getattr(sys, f"__{name}__"), None
        if number in above:
            how = {"encoding": had.encoding, "errors": had.errors, "closefd": False}
            file = open(number, "w" if number else "r", 1 if number == 2 else -1, **how)
        else:
            os.close(number)
        setattr(sys, name, file)
        setattr(sys, f"__{name}__", file)
        STANDARD.append(had)  # or it would close what it had
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    kind, what, *words = map(os.fsdecode, words)
    sys.argv = [kind, *words]
    try:
        if kind == "-m":
            edgeapp.__main__.main()
        else:
            exec(what, {"__name__": "__main__"})
    except SystemExit as ended:
        threading._shutdown()
        atexit._run_exitfuncs()
        for file in (sys.stdout, sys.stderr):
            if file is not None and not file.closed:
                file.flush()
        os._exit(ended.code or 0)  # to take apart what is loaded costs more than most commands
    sys.exit()

with socket.socket(fileno=int(sys.argv[1])) as door:
    while True:
        wanted = door.accept()[0]
        if not fork():
            door.close()
            keep(wanted)
            os._exit(0)
        wanted.close()
        with contextlib.suppress(ChildProcessError):
            while waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
                pass
"""


class Forks:
    """Runs commands; keeps the processes that they are copied from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[tuple[str | tuple[str, str], ...], tuple[subprocess.Popen[bytes], str]] = {}

    def run(
        self,
        words: tuple[str | bytes | Path, ...],
        folder: Path,
        environment: Mapping[str, str],
        stdin: bytes = b"",
        first: str = "",
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``biovita-edge`` with such words in a folder, to its end; see `python` for `first`."""
        given = [b"-m", b"edgeapp", *map(os.fsencode, words)]
        variables = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
        with tempfile.TemporaryFile() as read, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            read.write(stdin)
            read.seek(0)
            files = {number: file.fileno() for number, file in enumerate((read, out, err))}
            wanted, _ = stand_in.begin(self._of(environment, first), given, variables, os.fsencode(folder), files)
            code = stand_in.end(wanted)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(list(words), code, out.read(), err.read())

    def python(self, environment: Mapping[str, str] = os.environ, first: str = "") -> list[str]:
        """What stands in for Python in a command that is ``-m edgeapp`` or ``-c CODE``, in such an environment.

        `first` is code that the process has run that is copied, before it loaded the program.
        """
        return _python(self._of(environment, first))

    def executable(self, environment: Mapping[str, str] = os.environ, first: str = "") -> str:
        """The same as a program without arguments of its own, such as `multiprocessing.set_executable` takes."""
        return _executable(self._of(environment, first))

    def _of(self, environment: Mapping[str, str], first: str) -> str:
        start = {name: value for name, value in environment.items() if name.startswith(AT_START)}
        start["PYTHONPATH"] = str(PROJECT)
        key = (first, *sorted(start.items()))
        if key not in self._loaded:
            place = str(self._folder / f"{len(self._loaded)}")
            with open(_executable(place), "w", opener=lambda path, flags: os.open(path, flags, 0o700)) as script:
                script.write(f'#!/bin/sh\nexec {shlex.join(_python(place))} "$@"\n')
            with socket.socket(socket.AF_UNIX) as door:
                door.bind(place)
                door.listen(100)
                command = [sys.executable, "-c", LOADED, str(door.fileno()), _executable(place), first]
                others = {name: value for name, value in os.environ.items() if not name.startswith(AT_START)}
                given = {**others, "OMP_NUM_THREADS": "1", **start}
                self._loaded[key] = subprocess.Popen(command, env=given, pass_fds=[door.fileno()]), place
        return self._loaded[key][1]

    def end(self) -> None:
        for process, _ in self._loaded.values():
            process.terminate()
            process.wait()


def _python(place: str) -> list[str]:
    return [sys.executable, "-S", "-I", stand_in.__file__, place]


def _executable(place: str) -> str:
    return f"{place}.python"


@contextlib.contextmanager
def forks() -> Iterator[Forks]:
    with tempfile.TemporaryDirectory() as folder:  # of a short name, as those of sockets are
        made = Forks(Path(folder))
        try:
            yield made
        finally:
            made.end()
