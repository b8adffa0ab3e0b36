"""What the tests of the device share: the toy pack, recordings made of tones, twins, and the command line."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from typer.testing import CliRunner, Result

from edgeapp.cli import app
from edgeapp.journal import database
from edgeapp.pack.format import Pack
from edgeapp.recognition.gallery_build import build_gallery
from edgeapp.recognition.material import Material
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.runtime import encoders
from edgeapp.runtime.tensorrt import cache, cuda
from edgeapp.runtime.tensorrt.build import Library
from gallery.migrating import Database
from tests.conftest import PROJECT
from tests.edgeapp import forks as forked
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.fake_tensorrt import FakeDriver, FakeTensorRT
from tests.edgeapp.pulse_server import PulseServer, pulse_server


@pytest.fixture(scope="session", autouse=True)
def first_journal() -> Iterator[Callable[[Database], None]]:
    """Fill an empty journal with what the migrations made of the first one: they take 45 ms, a copy of it 2.

    Gives the migrations themselves, for a test of what happens while they run.
    """
    migrate = database._migrate
    made = sqlite3.connect(":memory:", check_same_thread=False)
    one_at_a_time = threading.Lock()

    def filled(journal: Database) -> None:
        with one_at_a_time:
            if journal.table_names():
                return migrate(journal)
            if not made.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                migrate(journal)
                return journal.conn.backup(made)
            return made.backup(journal.conn)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_migrate", filled)
        yield migrate


@pytest.fixture(scope="session")
def toy_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the toy pack; not to be changed."""
    return toy.make(tmp_path_factory.mktemp("packs") / "toy")


@pytest.fixture(scope="session")
def short_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a toy pack with windows of 3 s side by side, and silence behind what is shorter; not to be changed."""
    folder = tmp_path_factory.mktemp("packs") / "short"
    return toy.make(folder, space="short", window_s=3.0, hop_s=3.0, pad="zero")


@pytest.fixture
def toy_copy(tmp_path: Path) -> Path:
    """A toy pack of one's own."""
    return toy.make(tmp_path / "own_toy")


@pytest.fixture(scope="session")
def recogniser(toy_pack: Path) -> Recogniser:
    """The toy pack, loaded."""
    return Recogniser(Pack.load(toy_pack), threads=1)


@pytest.fixture(scope="session")
def sound_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PulseServer]:
    """A sound server that is not to be stopped."""
    with pulse_server(tmp_path_factory.mktemp("pulse")) as server:
        yield server


@pytest.fixture(scope="session")
def forks() -> Iterator[forked.Forks]:
    """What runs the command line in processes that need not load it."""
    with forked.forks() as made:
        yield made


@pytest.fixture
def loaded_workers(monkeypatch: pytest.MonkeyPatch, forks: forked.Forks) -> None:
    """Workers of this process are copies of one that has loaded what they hear with, which takes them longest."""
    monkeypatch.setattr("multiprocessing.spawn._python_exe", os.fsencode(forks.executable(first=forked.ARCHIVE)))


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Folder of the engines in a user's cache of the test's own."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *args, **kwargs: str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch, kept: Path) -> FakeTensorRT:
    """A TensorRT in memory, on a machine with a GPU in memory."""
    fake = FakeTensorRT()
    monkeypatch.setattr(cache, "tensorrt_library", lambda ahead=False: Library("tensorrt", fake))
    monkeypatch.setattr(cuda, "load_driver", FakeDriver)
    monkeypatch.setattr(encoders, "driver_is_there", lambda: True)
    return fake


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., str]:
    """Write a recording and give its path."""

    def write(name: str, samples: np.ndarray, rate_hz: int = toy.RATE_HZ, **options: str) -> str:
        path = os.fspath(tmp_path / name)
        soundfile.write(path, samples, rate_hz, **options)
        return path

    return write


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "card"
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def run(toy_pack: Path) -> Callable[..., Result]:
    """Run the command line; ``identify`` gets the toy pack."""

    def call(*words: object, input: bytes | None = None) -> Result:
        args = [str(word) for word in words]
        if args[:1] == ["identify"] and "--pack" not in args:
            args += ["--pack", str(toy_pack)]
        return CliRunner().invoke(app, args, input=input)

    return call


@pytest.fixture
def peak_mib(toy_pack: Path) -> Callable[..., float]:
    """The most memory that ``identify`` has, with the toy pack, in a process of its own."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the memory of a process is read in /proc")
    # Not that of getrusage, which begins at the memory of the process that starts this one.
    code = (
        "import re, sys\nfrom edgeapp.cli import main\ntry:\n main()\nfinally:\n"
        " print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1], file=sys.stderr)"
    )

    def call(*words: object) -> float:
        command = [sys.executable, "-c", code, "identify", *map(str, words), "--pack", str(toy_pack), "-q"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=True)
        return int(done.stderr) / 1024

    return call


@pytest.fixture
def photo_gallery(toy_pack, tmp_path, record) -> Path:
    """Two photos and a recording of Parus major, a photo of the cuckoo, none of Parus minor and of the toad."""
    material = []
    for name, colour, species, author, licence in (
        ("far.jpg", (255, 120, 0), "Parus major", "Far \x1b[31m<b>Away</b>", "CC BY 4.0"),
        ("near.jpg", (255, 0, 0), "Parus major", "N. Ear", "CC0"),
        ("cuckoo.jpg", (0, 255, 0), "Cuculus canorus", "", "all rights reserved"),
    ):
        Image.new("RGB", (900, 600), colour).save(tmp_path / name)
        material.append(Material(tmp_path / name, species, "image", author, licence, "https://example.org/1"))
    song = Path(record("song.wav", toy.tone(1000)))
    material.append(Material(song, "Parus major", "audio", "R. Ecordist", "CC BY-NC 4.0"))
    path = tmp_path / "photos.sqlite"
    report = build_gallery(path, Pack.load(toy_pack), toy.taxa(), material, ("text", "image", "audio"))
    assert report.entries == {"text": 20, "image": 3, "audio": 1}
    return path
