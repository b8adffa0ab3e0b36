"""Server time of every page over a journal of a million detections, and what a page costs beside `listen`.

    python benchmarks/web.py pages [--detections 1000000] [--gallery GALLERY]
    python benchmarks/web.py listen [--minutes 3] [--pages 0 1 10]

`pages` makes the journal once (some 500 MB) and asks for each page several times, filters included; what counts is the
slowest answer. `listen` plays a recording into the station's standard input in real time, and compares processor time
and memory without a page, with one that nobody looks at, and with open ones.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import soundfile

from edgeapp.clock.utc import utc_text
from edgeapp.config.sections import Station, Web
from edgeapp.config.settings import Settings
from edgeapp.journal import Journal
from edgeapp.pack.names import shipped_species
from edgeapp.paths import EXAMPLE
from edgeapp.web.of_journal import page_of

DAYS = 3 * 365
SPECIES = 300
REVIEWED = 0.02
WITH_CLIP = 0.2
LIMIT_MS = 200.0
REPEATS = 3


def make(path: Path, n: int) -> None:
    """A journal of `n` detections over three years: a few species make most of them, as in a garden."""
    Journal.open(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA synchronous = OFF")
    chance = random.Random(1)
    species = [taxon for taxon in shipped_species() if taxon.class_ == "Aves"][:SPECIES]
    weights = [1 / (1 + place) for place in range(SPECIES)]
    begin = datetime(2024, 1, 1, tzinfo=timezone.utc)
    day = utc_text(begin)
    deployment = {"started_utc": day, "clock_set": 1, "app_version": "", "pack": "birdnet", "pack_version": "1"}
    deployment |= {"space": "x", "gallery": "", "gallery_sha256": "", "hop_s": 3, "thresholds": "{}", "station": "b"}
    _insert(db, "deployments", [deployment])
    stream = {"deployment": 1, "device_id": "", "backend": "arecord", "rate_hz": 48_000, "boot_id": "b"}
    _insert(
        db, "streams", [{**stream, "source": f"microphone {k}", "started_utc": day, "clock_set": 1} for k in (1, 2)]
    )
    times = sorted(chance.random() for _ in range(n))
    chosen = chance.choices(species, weights, k=n)
    rows: list[tuple[object, ...]] = []
    candidates, reviews, clips = list(rows), list(rows), list(rows)
    for number, (at, taxon) in enumerate(zip(times, chosen), start=1):
        when = utc_text(begin + timedelta(days=DAYS * at))
        confidence = round(chance.betavariate(3, 2), 4)
        clip = None
        if chance.random() < WITH_CLIP:
            clip = len(clips) + 1
            clips.append((clip, f"/nowhere/{clip}.flac", "flac", 0.0, 6.0, 1, 100_000, when, 1))
        name = taxon.scientific_name
        stretch = (
            when,
            when,
            0.0,
            1,
            1.0,
            4.0,
            "species",
            name,
            taxon.common_name or None,
            confidence,
            0.5,
            1,
            -40.0,
            1,
        )
        rows.append((number, 1 + number % 2, *stretch, clip))
        candidates.append((number, 1, name, taxon.common_name or None, confidence, 0.5))
        if chance.random() < REVIEWED:
            verdict = chance.choice(("confirmed", "confirmed", "rejected", "corrected"))
            other = chance.choice(species).scientific_name if verdict == "corrected" else None
            reviews.append((number, when, verdict, other, "b", ""))
    of_clip = "id, path, format, start_s, end_s, stream, bytes, created_utc, clock_set"
    db.executemany(f"INSERT INTO clips ({of_clip}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", clips)
    columns = (
        "id, stream, time_utc, written_utc, boottime_s, clock_set, start_s, end_s, taxon_rank, scientific_name,"
        " common_name, confidence, similarity, windows, level_dbfs, confirmed, clip"
    )
    db.executemany(f"INSERT INTO detections ({columns}) VALUES ({', '.join('?' * 17)})", rows)
    db.executemany("INSERT INTO candidates VALUES (?, ?, ?, ?, ?, ?)", candidates)
    db.executemany(
        "INSERT INTO reviews (detection, time_utc, verdict, name, reviewer, note) VALUES (?, ?, ?, ?, ?, ?)", reviews
    )
    db.execute("ANALYZE")
    db.commit()
    db.close()


def _insert(db: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    columns = ", ".join(rows[0])
    places = ", ".join(f":{column}" for column in rows[0])
    db.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)


@contextmanager
def served(journal: Path, gallery: Path | None) -> Iterator[str]:
    """The page of a journal."""
    with page_of(Settings(station=Station(journal=journal, gallery=gallery), web=Web(port=0))) as server:
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        time.sleep(1.0)
        yield server.url.rstrip("/")
        server.close()
        thread.join(10)


def pages(n: int, folder: Path, gallery: Path | None) -> int:
    """Ask for every page; 1 if one was slower than the limit."""
    path = folder / f"journal-{n}.sqlite"
    if not path.is_file():
        print(f"making {path}", file=sys.stderr)
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        make(part, n)
        part.rename(path)
    db = sqlite3.connect(path)
    often, seldom = (
        db.execute(f"SELECT scientific_name FROM detections GROUP BY 1 ORDER BY count(*) {order} LIMIT 1").fetchone()[0]
        for order in ("DESC", "ASC")
    )
    middle = "2025-05-22"
    asked = [
        "/", f"/day/{middle}", "/detections", f"/detections/{n // 2}", "/species", f"/species/{often}",
        f"/species/{seldom}", "/settings", "/health",
        f"/detections?taxon={often}", f"/detections?taxon={seldom}", "/detections?taxon=Aves",
        "/detections?taxon=Passeriformes&min_confidence=0.95", "/detections?min_confidence=0.999",
        "/detections?review=unreviewed", "/detections?review=corrected", "/detections?review=rejected&taxon=Aves",
        "/detections?source=microphone+2&min_confidence=0.99", "/detections?clip=1",
        f"/detections?since={middle}&until={middle}", f"/detections?taxon={seldom}&min_confidence=0.99&clip=1",
        "/detections?until=2024-02-01&review=confirmed", "/detections?source=nothing",
        "/api/v1/detections?limit=500", "/api/v1/names?q=par", f"/api/v1/days/{middle}", "/api/v1/species",
    ]  # fmt: skip
    slow = 0
    with served(path, gallery) as url:
        print(f"{n} detections, {path.stat().st_size / 1e6:.0f} MB\n\n| page | first, ms | later, ms |\n|---|---|---|")
        for one in asked:
            taken = []
            for _ in range(REPEATS + 1):
                begun = time.perf_counter()
                with urllib.request.urlopen(url + one.replace(" ", "%20")) as answer:
                    answer.read()
                taken.append(1000 * (time.perf_counter() - begun))
            later = statistics.median(taken[1:])
            slow += later > LIMIT_MS
            print(f"| {one} | {taken[0]:.0f} | {later:.0f} |", flush=True)
    print(f"\nunder {LIMIT_MS:.0f} ms: {'all' if not slow else f'all but {slow}'}")
    return int(slow > 0)


def listen(minutes: float, open_pages: list[int]) -> int:
    """Cost of the page beside `listen`: processor time and memory, without and with pages that somebody looks at."""
    print("| page | processor, % of a core | memory, MB |\n|---|---|---|")
    for wanted in (None, *open_pages):
        percent, memory = _cost(minutes, wanted)
        name = "none" if wanted is None else f"{wanted} open"
        print(f"| {name} | {percent:.2f} | {memory:.0f} |", flush=True)
    return 0


def _cost(minutes: float, wanted: int | None) -> tuple[float, float]:
    samples, rate = soundfile.read(EXAMPLE, dtype="int16", always_2d=True)
    sound = samples[:, 0].tobytes()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "edgeapp", "listen", "-", "--pcm-rate", str(rate), "--format", "ndjson"]
        command += ["--journal", f"{folder}/journal.sqlite"]
        if wanted is not None:
            command += ["--web", "--web-port", "8097"]
        station = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert station.stdin is not None
        stop = threading.Event()
        lookers = [threading.Thread(target=_look, args=(stop,), daemon=True) for _ in range(wanted or 0)]
        begun = time.monotonic()
        piece = rate // 5
        at, begin_cpu = 0, None
        while time.monotonic() - begun < 60 * minutes:
            due = int((time.monotonic() - begun) * rate)
            while at + piece <= due:
                place = (2 * at) % (len(sound) - 2 * piece)
                station.stdin.write(sound[place : place + 2 * piece])
                at += piece
            station.stdin.flush()
            if begin_cpu is None and time.monotonic() - begun > 15:  # after its start
                for one in lookers:
                    one.start()
                begin_cpu, since = _cpu_s(station.pid), time.monotonic()
            time.sleep(0.1)
        assert begin_cpu is not None
        used = 100 * (_cpu_s(station.pid) - begin_cpu) / (time.monotonic() - since)
        memory = int(Path(f"/proc/{station.pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1000
        stop.set()
        station.stdin.close()
        station.wait(60)
    return used, memory


def _look(stop: threading.Event) -> None:
    """What an open page does: both event streams, and the status now and then."""

    def follow(path: str) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:8097{path}") as answer:
            while not stop.is_set() and answer.readline():
                pass

    urllib.request.urlopen("http://127.0.0.1:8097/").read()
    for path in ("/api/v1/events", "/api/v1/sound"):
        threading.Thread(target=follow, args=(path,), daemon=True).start()
    while not stop.wait(5):
        urllib.request.urlopen("http://127.0.0.1:8097/api/v1/status").read()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pages", "listen"))
    parser.add_argument("--detections", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--gallery", type=Path, help="with the photos of the page; the pack's own if not given")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--pages", type=int, nargs="*", default=[0, 1, 10])
    asked = parser.parse_args()
    if asked.what == "pages":
        return pages(asked.detections, asked.folder, asked.gallery)
    return listen(asked.minutes, asked.pages)


if __name__ == "__main__":
    sys.exit(main())
