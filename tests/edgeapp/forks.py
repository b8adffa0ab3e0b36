"""The command line in copies of one process that has loaded the program, which takes longer than most commands.

Each command is a process of its own, with its own arguments, environment, folder and standard files. What a Python
process takes from its environment when it starts, such as the encoding of names, is that of the process it is copied
from: there is one for each such environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.conftest import PROJECT

AT_START = ("LC_", "LANG", "PYTHON", "OMP_")  # beginnings of names of variables that count when a process starts
LOADED = """
import atexit, gc, importlib, json, os, pkgutil, sys, threading
import edgeapp.commands, edgeapp.recognition.recogniser
import onnxruntime, soundfile
from edgeapp.cli import main
for module in pkgutil.iter_modules(edgeapp.commands.__path__):
    importlib.import_module(f"edgeapp.commands.{module.name}")
gc.collect()
gc.freeze()  # a search for garbage would write to every page of what is shared
wanted, ended = (os.fdopen(int(number), mode) for number, mode in zip(sys.argv[1:], "rw"))
for line in wanted:
    words, environment, folder, *files = json.loads(line)
    child = os.fork()
    if not child:
        wanted.close()
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        for number, (path, flags) in enumerate(zip(files, (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY))):
            os.dup2(os.open(path, flags), number)
        sys.argv = ["biovita-edge", *(os.fsdecode(bytes.fromhex(word)) for word in words)]
        try:
            main()
        except SystemExit as ended:
            threading._shutdown()
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code)  # to take apart what is loaded costs more than most commands
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=ended, flush=True)
"""


class Forks:
    """Runs commands; keeps the processes that they are copied from."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[tuple[str, str], ...], tuple[subprocess.Popen[bytes], Any, Any]] = {}

    def run(
        self,
        words: tuple[str | bytes | Path, ...],
        folder: Path,
        environment: Mapping[str, str],
        stdin: bytes = b"",
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``biovita-edge`` with such words in a folder, to its end."""
        _, wanted, ended = self._of(environment)
        with tempfile.TemporaryDirectory() as kept:
            files = [os.path.join(kept, name) for name in ("in", "out", "err")]
            for path, content in zip(files, (stdin, b"", b"")):
                Path(path).write_bytes(content)
            given = [os.fsencode(word).hex() for word in words]
            print(json.dumps([given, dict(environment), os.fspath(folder), *files]), file=wanted, flush=True)
            code = int(ended.readline())
            _, out, err = (Path(path).read_bytes() for path in files)
        return subprocess.CompletedProcess(list(words), code, out, err)

    def _of(self, environment: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], Any, Any]:
        start = {name: value for name, value in environment.items() if name.startswith(AT_START)}
        key = tuple(sorted(start.items()))
        if key not in self._loaded:
            (here_ended, there_ended), (there_wanted, here_wanted) = os.pipe(), os.pipe()
            command = [sys.executable, "-c", LOADED, str(there_wanted), str(there_ended)]
            others = {name: value for name, value in os.environ.items() if not name.startswith(AT_START)}
            given = {**others, "OMP_NUM_THREADS": "1", **start, "PYTHONPATH": str(PROJECT)}
            process = subprocess.Popen(command, env=given, pass_fds=(there_wanted, there_ended))
            os.close(there_wanted)
            os.close(there_ended)
            self._loaded[key] = process, os.fdopen(here_wanted, "w"), os.fdopen(here_ended)
        return self._loaded[key]

    def end(self) -> None:
        for process, wanted, ended in self._loaded.values():
            wanted.close()
            process.wait()
            ended.close()


@contextlib.contextmanager
def forks() -> Iterator[Forks]:
    made = Forks()
    try:
        yield made
    finally:
        made.end()
