"""From public archives to a report with pictures: the commands of docs/collect.md, one after the other.

What the page tells to type is run as it stands, in processes of its own, against a server that speaks the protocols of
the archives. Added are only the addresses of that server, the files that stand for a person's own, two epochs, and one
thread.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from edgeapp.collect.catalogue import Catalogue
from edgeapp.pack.format import Pack
from gallery.store import Gallery
from tests.conftest import PROJECT
from tests.edgeapp.collect import starter_mirror
from tests.edgeapp.collect.archive_server import archive_server
from tests.edgeapp.collect.starter_mirror import OTHER_NAMES, PHOTOS, RECORDINGS, SPECIES, StarterMirror
from trainer.calibrate import FEW

HEADING = "## From archives to a pack"
PROGRAMS = {"biovita-edge": ["-m", "edgeapp"], "python": []}
TINY = ["--epochs", "2", "--device", "cpu", "--threads", "1"]
LICENCES = {"CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-NC", "CC-BY-NC-SA-4.0", "CC-BY", "CC-BY-SA-4.0", "CC0-1.0"}


def shown() -> Iterator[list[str]]:
    """The commands of the page's section, as words."""
    page = (PROJECT / "docs" / "collect.md").read_text(encoding="utf-8")
    section = page.partition(HEADING)[2].partition("\n## ")[0]
    for block in re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
        yield from map(shlex.split, block.replace("\\\n", " ").splitlines())


class Way:
    """The commands of the page, each run once in its order, in a folder of its own."""

    def __init__(self, folder: Path, archives: StarterMirror) -> None:
        self.folder, self._left = folder, list(shown())
        mirror = archives.mirror
        own = [word for name, url in mirror.archives.addresses.items() for word in ("--address", f"{name}={url}")]
        self._polite = [*own, "--rate", "2000", "--keep-free", "0"]
        self._stands_for = {
            "download.zip": mirror.folder / "museum.zip",
            "key.txt": mirror.folder / "key",
            "open-data": mirror.folder / "open-data",
            "tables": mirror.folder / "biovita",
            "taxa.csv": mirror.folder / "taxa.csv",
        }

    def takes(self, command: str, **stands_for: Path) -> subprocess.CompletedProcess[str]:
        """Run the next command of the page, which must begin like this; what it said."""
        words = self._left.pop(0)
        assert words[: len(command.split())] == command.split(), words
        more = {"collect": self._polite, "gallery photos": self._polite, "trainer --stage": TINY}
        for name, added in more.items():
            if name in command:
                words += added
        places = self._stands_for | {name.replace("_", "."): path for name, path in stands_for.items()}
        words = [str(places.get(word, word)) for word in words]
        done = subprocess.run(
            [sys.executable, *PROGRAMS[words[0]], *words[1:]],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
        print(f"$ {command} …\n{done.stdout}{done.stderr}")
        return done

    def is_at_its_end(self) -> bool:
        return not self._left


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_what_archives_have_becomes_a_model_that_shows_whose_pictures(shared: Path, tmp_path: Path) -> None:
    with archive_server() as served:
        archives = starter_mirror.make(tmp_path / "mirror", served, shared / "starter")
        way = Way(tmp_path, archives)
        rows = collected(way, archives)
        packed(way, rows)
        trained(way, rows)
        exported(way, archives)
        illustrated(way, archives)
    reported(way, rows)
    assert way.is_at_its_end()


def collected(way: Way, archives: StarterMirror) -> list[dict[str, Any]]:
    """A data set of all archives, with everything counted; the rows of its manifest."""
    done = way.takes("biovita-edge collect my-set")
    recordings, photos = SPECIES * RECORDINGS, SPECIES * PHOTOS
    assert f"{recordings} recordings and {photos} photos of {SPECIES} species are in my-set" in done.stdout
    for reason, n in archives.left_out.items():
        assert re.search(rf"left out: {n}, .*{re.escape(reason)}", done.stdout), reason
    folder = way.folder / "my-set"
    with Catalogue.open(folder, readonly=True) as catalogue:
        [(offered, _)] = catalogue.counts()
    assert offered == archives.records > 200
    rows = pq.read_table(folder / "manifest.parquet").to_pylist()
    assert len(rows) == recordings + photos == len(list(folder.glob("audio/*/*")) + list(folder.glob("image/*/*")))
    assert {row["scientific_name"] for row in rows} == set(archives.species)
    assert {row["name_as_written"] for row in rows} >= set(OTHER_NAMES)
    assert {row["licence"] for row in rows} == LICENCES
    assert {row["author"] for row in rows} >= archives.authors
    assert {row["offered_by"] for row in rows} == {"gbif", "xeno-canto", "inaturalist", "biovita", "commons"}
    assert all(row["source_path"] and row["sha256"] for row in rows)
    sides = defaultdict(set)
    for row in rows:
        sides[row["source_repo"], row["source_id"]].add(row["split"])
    assert all(len(side) == 1 for side in sides.values())  # by source
    held = [row for row in rows if row["split"] == "test" and row["modality"] == "audio"]
    assert FEW <= len(held) < recordings / 2
    trained_on = {row["scientific_name"] for row in rows if row["split"] == "train" and row["modality"] == "audio"}
    assert trained_on == set(archives.species)
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert f"{recordings} recordings and {photos} photos of {SPECIES} species" in card
    assert all(licence in card for licence in LICENCES)
    assert all(Image.open(path).format == "PNG" for path in folder.glob("card/*.png"))
    assert len(list(folder.glob("card/*.png"))) == 5
    assert len(table(folder / "attribution.csv")) == len(rows)
    return rows


def packed(way: Way, rows: list[dict[str, Any]]) -> None:
    """Shards with every file of the data set, its credits, and the same split."""
    way.takes("python -m trainer data shard my-set/manifest.parquet")
    inside = pq.read_table(way.folder / "shards" / "manifest.parquet").to_pylist()
    keys = ("sha256", "scientific_name", "author", "licence", "source_path", "split")
    assert {tuple(row[key] for key in keys) for row in inside} == {tuple(row[key] for key in keys) for row in rows}
    for row in inside[:: len(inside) // 10]:
        with (way.folder / "shards" / row["shard"]).open("rb") as shard:
            shard.seek(row["offset"])
            content = shard.read(row["size"])
        [path] = [one["path"] for one in rows if one["sha256"] == row["sha256"]]
        assert content == (way.folder / "my-set" / path).read_bytes()


def trained(way: Way, rows: list[dict[str, Any]]) -> None:
    """Both stages for two epochs, on what is not held out."""
    for stage in ("1", "2"):
        way.takes(f"python -m trainer --stage {stage}")
        folder = way.folder / "runs" / "mine" / f"stage{stage}"
        epochs = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        assert len(epochs) == 2 and "held_out" in epochs[-1]
    pages = {row["page"] for row in table(folder / "ATTRIBUTION.csv")}
    assert pages == {row["source_path"] for row in rows if row["split"] == "train"}


def exported(way: Way, archives: StarterMirror) -> None:
    """A pack that was calibrated on what was held out, with the credits of what it was trained on."""
    done = way.takes("python -m export --checkpoint runs/mine/stage2")
    assert f"of {SPECIES * RECORDINGS} recordings" in done.stderr  # that the decisions were compared on
    pack = Pack.load(way.folder / "packs" / "mine")
    assert pack.calibrated and pack.metrics["held_out"]["recordings"] >= SPECIES
    assert abs(pack.decision.offset) < 20
    credits = table(pack.folder / "ATTRIBUTION.csv")
    assert {row["scientific_name"] for row in credits} == set(archives.species)
    assert {row["author"] for row in credits} > {"A. Museum", "Recordist 0", "A. Photographer", "G. Sound"}
    assert all(row["licence"] and row["page"] for row in credits)


def illustrated(way: Way, archives: StarterMirror) -> None:
    """The pack's own gallery, made of the shards, and one with photos that were fetched for it."""
    way.takes("biovita-edge gallery build")
    pack = Pack.load(way.folder / "packs" / "mine")
    with Gallery.open(pack.gallery_path()) as gallery:
        assert {taxon.scientific_name for taxon in gallery.taxa()} == set(archives.species)
        photos, recordings = gallery.entries("image"), gallery.entries("audio")
    assert (len(photos), len(recordings)) == (SPECIES * PHOTOS, SPECIES * RECORDINGS)
    assert all(one.author and one.licence and one.source and one.thumbnail for one in photos)
    done = way.takes("biovita-edge gallery photos add")
    assert f"{SPECIES - len(OTHER_NAMES)} photos added" in done.stderr  # the others are in the gallery already
    with Gallery.open(way.folder / "mine.sqlite") as gallery:
        more = gallery.entries("image")
    assert len(more) == len(photos) + SPECIES - len(OTHER_NAMES)
    assert all(one.author and one.licence and one.source and one.thumbnail for one in more)


def reported(way: Way, rows: list[dict[str, Any]]) -> None:
    """Recordings are identified, and the report shows pictures with their authors, licences and pages."""
    way.takes("biovita-edge identify song.mp3", song_mp3=way.folder / "my-set" / "audio")
    page = (way.folder / "report.html").read_text(encoding="utf-8")
    assert "data:image/jpeg" in page
    heard = [name for name in {row["scientific_name"] for row in rows} if name in page]
    assert heard
    photos = [row for row in rows if row["modality"] == "image" and row["scientific_name"] in heard]
    assert any(row["author"] in page and row["licence"] in page and row["source_path"] in page for row in photos)
