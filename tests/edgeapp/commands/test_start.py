"""What a person waits for before a recording is named: nothing is imported that naming it does not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import soundfile

from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy

# Libraries and modules of other commands, of other formats, and of making vectors of names and photos.
NOT_NEEDED = {
    "PIL",
    "edgeapp.audio.microphones.microphone",
    "edgeapp.doctor.bench",
    "edgeapp.recognition.gallery_build",
    "edgeapp.journal",
    "edgeapp.outputs.table",
    "rich",
    "scipy",
    "sounddevice",
    "tokenizers",
}
RUN = """
import json, sys
from edgeapp.cli import app
seen = sys.argv.pop(1)
try:
    app()
finally:
    with open(seen, "w") as file:
        json.dump(sorted(sys.modules), file)
"""


FORMATS = ("json", "ndjson", "csv", "raven", "audacity", "kaleidoscope")
# Each in a copy of one process, for which nothing but NumPy is loaded that naming a recording would have to load.
IN_COPIES = """
import os, sys
import numpy, edgeapp.cli
begin, words = sys.argv[1], sys.argv[2:]
had = set(sys.modules)
for format in %r:
    child = os.fork()
    if not child:
        sys.argv[1:] = [f"{begin}.{format}", *words, "--format", format]
        exec(%r)
    assert os.waitpid(child, 0)[1] == 0, format
    assert set(sys.modules) == had
"""


@pytest.fixture(scope="module")
def imported(toy_pack, tmp_path_factory) -> dict[str, set[str]]:
    """What is loaded once a recording is identified, for each format."""
    folder = tmp_path_factory.mktemp("imported")
    soundfile.write(folder / "clip.wav", toy.tone(1000), toy.RATE_HZ)
    words = ["identify", str(folder / "clip.wav"), "--pack", str(toy_pack)]
    done = subprocess.run(
        [sys.executable, "-c", IN_COPIES % (FORMATS, RUN), str(folder / "seen"), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert done.returncode == 0, done.stderr
    return {name: set(json.loads((folder / f"seen.{name}").read_text())) for name in FORMATS}


@pytest.mark.parametrize("format", FORMATS)
def test_identify_imports_what_it_uses(imported, format):
    assert {"onnxruntime", "soundfile"} <= imported[format]
    assert imported[format] & NOT_NEEDED == set()


def test_a_wrong_call_is_answered_without_rich(tmp_path):
    seen = tmp_path / "seen.json"
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(seen), "identify", "clip.wav", "--hop", "none"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "rich" not in json.loads(seen.read_text())


def test_garbage_is_looked_for_only_while_a_command_runs(tmp_path):
    """Not while it is loaded, nor at the end: all of that stays."""
    (tmp_path / "told.py").write_text(
        "import gc\nprint(gc.isenabled())\ndef command() -> None:\n    print(gc.isenabled(), gc.get_freeze_count())\n"
    )
    code = (
        "import atexit, gc, edgeapp.__main__, edgeapp.cli\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 10_000))\n"
        "edgeapp.cli.COMMANDS['told'] = 'told:command'\n"
        "edgeapp.__main__.main()"
    )
    path = os.pathsep.join((str(PROJECT), str(tmp_path)))
    words = [sys.executable, "-c", code, "told"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path})
    assert done.stdout.split() == ["False", "True", "0", "True"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted where Linux lists them")
def test_numpy_starts_no_threads_of_its_own():
    """They would take the cores from the threads that hear the windows."""
    words = [sys.executable, "-c", "import edgeapp.cli, numpy, os; print(len(os.listdir('/proc/self/task')))"]
    own = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={**own, "PYTHONPATH": str(PROJECT)})
    assert done.stdout.strip() == "1"
