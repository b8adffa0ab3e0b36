"""What all tests share: the data that lies beside the project, the pack that comes with it, and what is made once."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
# The longest first, of each of the two runs of `make test`; a file that needs what another makes once comes after it.
LONGEST = (
    "edgeapp/commands/test_listen_pulseaudio.py",
    "edgeapp/test_damage.py",
    "edgeapp/audio/microphones/test_capture.py",
    "edgeapp/commands/archive/test_archive.py",
    "edgeapp/web/test_live.py",
    "edgeapp/web/test_pages.py",
    "edgeapp/station/test_settings_take_effect.py",
    "trainer/test_loop.py",
    "trainer/test_biovita_preset.py",
    "trainer/stages/test_student.py",
    "export/published/test_pack.py",
    "export/test_engines.py",
    "trainer/trunk/test_stage2.py",
    "export/test_pack.py",
    "test_benchmarks.py",
    "trainer/test_main.py",
)
# New objects, and looks at these, after which garbage is looked for: an export from torch makes a million that stay.
LOOKED_AFTER = (20_000, 20, 20)
Once = Callable[[str, Callable[[Path], object]], Path]
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy or torch is imported: runs and workers share the cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no worker has one left when the others are done."""
    if WORKER:
        place = {PROJECT / "tests" / name: n for n, name in enumerate(LONGEST)}
        items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Look for garbage only among what the tests make, and not among themselves and what they load."""
    gc.disable()
    try:
        with after_the_first(Path(session.config.args[0].partition("::")[0])):
            return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(*LOOKED_AFTER)
        gc.enable()


@contextlib.contextmanager
def after_the_first(tests: Path) -> Iterator[None]:
    """Let one worker of a run compile the tests, which takes longer than to load them; the others wait for it."""
    if not WORKER:
        yield
        return
    lock = os.open(tests, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH)  # with the other ones that waited
        yield
    finally:
        os.close(lock)


@pytest.fixture(scope="session", autouse=True)
def no_packs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder of packs instead of that of whoever runs the tests, here and in child processes."""
    folder = tmp_path_factory.mktemp("no_packs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOVITA_PACKS", str(folder))
        yield folder


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a folder once in a run: the worker that needs it first makes it, the others wait; not to be changed."""
    base = tmp_path_factory.getbasetemp()
    if WORKER:
        base = base.parent  # that of the run, in which each worker has its own

    def call(name: str, make: Callable[[Path], object]) -> Path:
        folder, made = base / name, base / f"{name}.made"
        with open(base / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what a worker left that failed
                make(folder)
                made.touch()
        return folder

    return call


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the data beside the project; tests on real recordings skip without it."""
    named = os.environ.get("BIOVITA_SHARED")
    folder = Path(named) if named else PROJECT.parent / "shared"
    if not (folder / "starter" / "manifest.csv").is_file():
        pytest.skip(f"no shared data in {folder}: set BIOVITA_SHARED to run the tests on real recordings")
    return folder


@pytest.fixture(scope="session")
def birdnet_pack() -> Path:
    """The pack that `make birdnet` makes of the public weights; not to be changed."""
    folder = PROJECT / ".venv" / "share" / "biovita-edge" / "packs" / "birdnet"
    if not (folder / "pack.json").is_file():
        pytest.skip("no BirdNET pack: `make birdnet` makes it, and needs the network once")
    return folder


@pytest.fixture(scope="session")
def starter_pack() -> Path:
    """The pack that comes with the project."""
    folder = PROJECT / "edgeapp" / "starter_pack"
    if not (folder / "pack.json").is_file():
        pytest.skip("the starter pack is not in the project yet")
    return folder
