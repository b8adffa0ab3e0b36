"""What the tests of the page share: a journal of real recordings, servers of it, and a browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from edgeapp.config.load import load
from edgeapp.journal.schema_of_browsing import RECOUNT
from edgeapp.web.of_journal import page_of
from tests.conftest import PROJECT, Once
from tests.edgeapp.forks import Forks
from tests.edgeapp.pulse_server import PulseServer

CHROMIUM = Path("/usr/bin/chromium")
RATE_HZ = 44_100  # of the raw sound that a station hears
PATIENCE_MS = 30_000  # of a browser on a busy machine
STATION = "Garden <b>behind the house</b>"
# Recordings of one species each, in the manner of a recorder that puts its clock into their names.
RECORDINGS = {
    "parus_major/vogelstimmen__parus_major_XC122450.mp3": "20260522_050000",
    "parus_major/vogelstimmen__parus_major_XC303312.mp3": "20260522_051000",
    "turdus_merula": "20260522_061000",
    "erithacus_rubecula": "20260523_030000",
    "cyanistes_caeruleus": "20260523_040000",
    "fringilla_coelebs": "20260523_050000",
    "dryophytes_versicolor": "20260523_210000",
}
PHOTOS = {"Parus major": "parus_major", "Turdus merula": "turdus_merula"}


def environment(folder: Path) -> dict[str, str]:
    """A user's folders of the test's own, and nothing of the real ones."""
    return {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_DATA_HOME": str(folder / "data"),
    }


@pytest.fixture(scope="session")
def program(forks: Forks) -> Callable[..., list[str]]:
    """The command line of the program, in a copy of a process that has loaded it."""

    def call(*words: object) -> list[str]:
        return [*forks.python(), "-m", "edgeapp", *map(str, words)]

    return call


@pytest.fixture(scope="session")
def recorded(once: Once, shared: Path, starter_pack: Path, program: Callable[..., list[str]]) -> Path:
    """Folder of a journal and of clips that a station made from real recordings; not to be changed."""

    def make(folder: Path) -> None:
        watched = folder / "recorder"
        watched.mkdir(parents=True)
        for name, when in RECORDINGS.items():
            path = shared / "starter" / "audio" / name
            path = path if path.is_file() else min(path.iterdir())
            copy = watched / f"garden_{when}{path.suffix}"
            shutil.copyfile(path, copy)
            os.utime(copy, (0, 0))  # at rest
        files = ("--watch", watched, "--clips", folder / "clips", "--journal", folder / "journal.sqlite")
        words = (*files, "--pack", starter_pack, "--name", STATION, "--privacy", "keep", "--format", "ndjson")
        with open(folder / "stderr", "w") as errors:
            station = subprocess.Popen(
                program("listen", *words), env=environment(folder), stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert station.stdout is not None
        heard = 0
        for line in station.stdout:
            heard += json.loads(line)["event"] == "detection"
            if heard == len(RECORDINGS):
                break
        station.send_signal(signal.SIGTERM)
        station.communicate(timeout=60)
        assert (heard, station.returncode) == (len(RECORDINGS), 0), (folder / "stderr").read_text()

    return once("web_recorded", make)


@pytest.fixture(scope="session")
def gallery(once: Once, shared: Path, starter_pack: Path, program: Callable[..., list[str]]) -> Path:
    """The gallery of the starter pack with photos of two species that may be shown; not to be changed."""

    def make(folder: Path) -> None:
        folder.mkdir()
        copy = folder / "gallery.sqlite"
        shutil.copyfile(starter_pack / "gallery.sqlite", copy)
        for species, name in PHOTOS.items():
            photos = sorted((shared / "starter" / "images" / name).iterdir())[:2]
            words = [word for photo in photos for word in ("--photo", photo)]
            credit = ("--author", "Ann <script>alert(1)</script>", "--licence", "CC BY-SA 4.0", "--source", "a garden")
            command = program("gallery", "add", copy, species, *words, *credit, "--pack", starter_pack)
            subprocess.run(command, env=environment(folder), check=True, capture_output=True, timeout=120)

    return once("web_gallery", make) / "gallery.sqlite"


@dataclass
class Served:
    """A page that is served.

    Attributes
    ----------
    url : str
        Without a slash at its end.
    journal, config : Path
    """

    url: str
    journal: Path
    config: Path

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query of the journal gives."""
        with closing(sqlite3.connect(self.journal)) as connection:
            return connection.execute(sql, values).fetchall()

    def number(self, scientific_name: str) -> int:
        """Number of the first detection of a species."""
        sql = "SELECT min(id) FROM detections WHERE scientific_name = ? AND confirmed"
        return int(self.rows(sql, scientific_name)[0][0])

    def rename(self, number: int, name: str) -> None:
        """Let the species of a detection be called otherwise, as in the journal of another program."""
        with closing(sqlite3.connect(self.journal)) as connection, connection:
            names = "scientific_name = :name, common_name = :name, current_name = :name"
            connection.execute(f"UPDATE detections SET {names} WHERE id = :id", {"name": name, "id": number})
            for statement in RECOUNT:
                connection.execute(statement)

    def reviews(self) -> list[tuple[Any, ...]]:
        """Detection, verdict and name of each review."""
        return self.rows("SELECT detection, verdict, name FROM reviews ORDER BY id")


@contextmanager
def serving(folder: Path, recorded: Path, pack: Path, gallery: Path, web: str = "") -> Iterator[Served]:
    """A page of a copy of the journal, served by a thread of this process."""
    journal = folder / "journal.sqlite"
    shutil.copyfile(recorded / "journal.sqlite", journal)
    config = folder / "station.toml"
    config.write_text(
        f"""# My garden; do not touch
[station]
name = '{STATION}'  # as on the fence
pack = "{pack}"
gallery = "{gallery}"
journal = "{journal}"

[detections]
confirm = 1  # window

[web]
port = 0
password_file = "{folder / "password"}"
{web}
""",
        encoding="utf-8",
    )
    with page_of(load(config)) as server:
        server.start()
        try:
            yield Served(server.url.rstrip("/"), journal, config)
        finally:
            server.close()


@pytest.fixture(scope="module")
def served(
    recorded: Path, starter_pack: Path, gallery: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """The page of a copy of the journal, whose station runs elsewhere."""
    with serving(tmp_path_factory.mktemp("served"), recorded, starter_pack, gallery) as served:
        yield served


def client_of(url: str) -> httpx.Client:
    """A client of a page. No page here is encrypted, and to load certificates takes longer than most answers."""
    return httpx.Client(base_url=url, timeout=60, verify=False)


@dataclass
class Listening(Served):
    """A station with its page, which hears what is written to it."""

    process: subprocess.Popen[bytes]

    def hear(self, pcm: bytes) -> None:
        """Hear raw sound."""
        pipe = self.process.stdin
        assert pipe is not None
        pipe.write(pcm)
        pipe.flush()


Station = Callable[..., AbstractContextManager[Listening]]


@pytest.fixture(scope="session")
def listening(program: Callable[..., list[str]], starter_pack: Path, gallery: Path) -> Station:
    """Start `listen --web` in a process of its own, on standard input or at the microphone of a sound server."""

    def call(folder: Path, *words: object, server: PulseServer | None = None) -> AbstractContextManager[Listening]:
        files = ("--config", folder / "station.toml", "--journal", folder / "journal.sqlite", "--gallery", gallery)
        kept = ("--clips", folder / "clips", "--pack", starter_pack, "--privacy", "keep")
        sound = ("-", "--pcm-rate", RATE_HZ) if server is None else ()
        command = program("listen", *sound, *files, *kept, "--web", "--web-port", 0, *words)
        return started(folder, command, {} if server is None else server.environment)

    return call


@contextmanager
def started(folder: Path, command: list[str], variables: dict[str, str]) -> Iterator[Listening]:
    """A station with its page, until it is no longer needed."""
    journal, config = folder / "journal.sqlite", folder / "station.toml"
    if not config.exists():
        config.write_text("# My garden\n[detections]\n# Two would lose much here.\nconfirm = 1\n", encoding="utf-8")
    around = environment(folder)
    around |= {key: value for key, value in variables.items() if os.environ.get(key) != value}
    with open(folder / "stderr", "wb") as errors, open(folder / "stdout", "wb") as out:
        process = subprocess.Popen(command, env=around, stdin=subprocess.PIPE, stdout=out, stderr=errors)
    try:
        url = said(folder / "stderr", r"live page at (\S+)/", process)
        yield Listening(url, journal, config, process)
    finally:
        if process.poll() is None:
            process.terminate()
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # the station was killed
            process.stdin.close()
        process.wait(60)


def said(file: Path, pattern: str, process: subprocess.Popen[bytes], within_s: float = 60.0) -> str:
    """What a program says, once it has said it."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if found := re.search(pattern, file.read_text(encoding="utf-8")):
            return found[1]
        assert process.poll() is None, file.read_text(encoding="utf-8")
        time.sleep(0.05)
    raise TimeoutError(f"waited {within_s:g} s in vain for {pattern}: {file.read_text(encoding='utf-8')}")


@pytest.fixture(scope="session")
def song(shared: Path) -> bytes:
    """A blackbird for 16 s and no sound for 27 s, as raw sound of 16 bits."""
    path = min((shared / "starter" / "audio" / "turdus_merula").iterdir())
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert (rate_hz, samples.ndim) == (RATE_HZ, 1)
    sound = np.resize(samples, 16 * rate_hz)  # again and again
    return bytes(np.concatenate([sound, np.zeros(27 * rate_hz, np.int16)]).astype("<i2").tobytes())


def until(page: Any, expression: str) -> None:
    """Wait until something holds in a page; Playwright's own wait is stopped by the page's security policy."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"waited in vain for {expression}"
        page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window; it leaves no event loop behind for the tests of another file."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM} (Debian: chromium)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def unused(browser: Any) -> dict[str, list[Any]]:
    """Contexts of the browser that no test uses, by their options: to make one takes longer than to open a page.

    Each keeps a blank page, and with it the process of its pages.
    """
    return {}


@pytest.fixture
def new_page(browser: Any, unused: dict[str, list[Any]]) -> Iterator[Callable[..., Any]]:
    """Open a page in a context that no other page of the test is in, and nothing is left in of an earlier test."""
    used = []

    def call(**options: Any) -> Any:
        options = {"viewport": {"width": 1200, "height": 900}, **options}
        name = json.dumps(options, sort_keys=True)
        if unused.get(name):
            context = unused[name].pop()
        else:
            context = browser.new_context(**options)
            context.set_default_timeout(PATIENCE_MS)
            context.new_page()
        page = context.new_page()
        used.append((name, context, page))
        return page

    yield call
    for name, context, page in used:
        if emptied(context, page):
            unused.setdefault(name, []).append(context)
        else:
            context.close()


def emptied(context: Any, page: Any) -> bool:
    """Whether what a page has kept could be removed, with all pages but the blank one."""
    from playwright.sync_api import Error

    try:
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
    except Error:  # of a server that is gone
        return False
    context.clear_cookies()
    for page in context.pages[1:]:
        page.close()
    return True


@pytest.fixture
def browse(new_page: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Open a page of a server in a browser of one's own; in the end, no console error and no other host is a fault."""
    faults: list[str] = []

    def call(url: str, **options: Any) -> Any:
        host = re.match(r"https?://[^/]+", url)
        assert host is not None
        page = new_page(**options)
        page.on("console", lambda said: faults.append(f"{page.url}: {said.text}") if said.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        inside = (host[0], "data:", "blob:")
        page.on("request", lambda asked: None if asked.url.startswith(inside) else faults.append(asked.url))
        page.goto(url)
        return page

    call.faults = faults  # type: ignore[attr-defined]
    yield call
    assert faults == []


def until_true(holds, within_s: float = 60.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
