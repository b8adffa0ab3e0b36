"""A gallery gets its pictures over a slow line, in runs that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.transfer import UNFINISHED
from gallery.store import Gallery
from tests.conftest import PROJECT
from tests.edgeapp.collect.archive_server import Archives, archive_server
from tests.edgeapp.collect.conftest import photo

SPECIES, EACH = 16, 3
HEADER = "scientific_name,common_name,kingdom,phylum,class,order,family,genus\n"
NAMES = [f"Parus numerus{chr(97 + n)}" for n in range(SPECIES)]


@pytest.fixture
def archives() -> Iterator[Archives]:
    """Three photos of each species over a line of 40 kB/s, whose server is busy now and then."""
    with archive_server() as served:
        for n, name in enumerate(NAMES):
            for known in range(100 * n + 1, 100 * n + 1 + EACH):
                url = served.serve(f"/photos/{known}/medium.jpg", photo(known), media_type="image/jpeg")
                served.inaturalist.append(
                    {
                        "id": known,
                        "quality_grade": "research",
                        "taxon": {"name": name, "iconic_taxon_name": "Aves"},
                        "user": {"login": f"user{known}"},
                        "photos": [{"id": known, "url": url, "license_code": "cc-by", "attribution": f"(c) {known}"}],
                    }
                )
        served.line_bytes_per_s, served.busy_every = 40_000.0, 9
        yield served


@pytest.fixture
def command(run, archives: Archives, toy_pack: Path, tmp_path: Path) -> list[str]:
    """The command line, for an empty gallery of all species."""
    (tmp_path / "taxa.csv").write_text(
        HEADER + "".join(f"{name},,Animalia,Chordata,Aves,Passeriformes,Paridae,Parus\n" for name in NAMES)
    )
    gallery = tmp_path / "my.sqlite"
    words = ["--pack", toy_pack, "--taxa", tmp_path / "taxa.csv", "--modalities", "image"]
    assert run("gallery", "build", gallery, *words).exit_code == 0
    mirror = [word for name, url in archives.addresses.items() for word in ("--address", f"{name}={url}")]
    polite = ["--pack", toy_pack, "--source", "inaturalist", "--rate", 2000, "--keep-free", 0]
    return [str(word) for word in ("gallery", "photos", "add", gallery, "--per-species", EACH, *polite, *mirror)]


def killed_when(command: list[str], ready: Callable[[], bool]) -> None:
    """Run a command and kill it as soon as something is so."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen([sys.executable, "-m", "edgeapp", *command], stderr=subprocess.PIPE, env=environment) as run:
        deadline = time.monotonic() + 60
        while not ready():
            assert run.poll() is None and time.monotonic() < deadline, run.stderr and run.stderr.read()
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)


def test_killed_runs_lose_nothing_and_fetch_no_photo_twice(run, archives, command, tmp_path):
    folder = tmp_path / "my.sqlite.photos"

    def here(least: int) -> bool:
        return len(list(folder.glob("image/*/*.jpg"))) >= least

    known: set[str] = set()
    for least in (5, 20):
        begun = len(archives.asked)
        killed_when(command, lambda least=least: here(least))
        assert known.isdisjoint(archives.asked[begun:])
        with Catalogue.open(folder) as catalogue:
            rows = list(catalogue.rows("downloaded"))
        known = {urlsplit(row.medium.url).path for row in rows}
        assert least - 4 <= len(known) < SPECIES * EACH  # of the last ones the catalogue may not know yet
    begun = len(archives.asked)
    done = run(*command)
    assert done.exit_code == 0, done.stderr
    assert f"{SPECIES * EACH} photos added; {SPECIES} of {SPECIES} species have photos" in done.stderr
    assert known.isdisjoint(archives.asked[begun:])
    asked = archives.questions("/inat/v1")
    assert len(asked) == len(set(asked)) == SPECIES  # in all runs together
    with Gallery.open(tmp_path / "my.sqlite") as gallery:
        entries = gallery.entries("image")
    assert len({one.sha256 for one in entries}) == len(entries) == SPECIES * EACH
    assert list((folder / UNFINISHED).iterdir()) == []
    again = run(*command)
    assert "0 photos added" in again.stderr and again.exit_code == 0
