"""From public archives to shards and trained stages, and to a gallery with pictures: every command on the way."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.edgeapp.collect import mirror as mirrors
from tests.edgeapp.collect.archive_server import archive_server
from tests.edgeapp.collect.mirror import Mirror, Species

SPECIES = 6
SOUNDS, PHOTOS = 4, 2  # of a species, one in each archive
TERMS = "CC0|CC BY*|CC BY-NC*|CC BY-NC-SA*"


@pytest.fixture
def mirror(shared: Path, tmp_path: Path) -> Iterator[Mirror]:
    """All archives, with recordings and photos of the starter data behind their records."""
    starter = shared / "starter"
    files: dict[tuple[str, str], list[Path]] = defaultdict(list)
    classes: dict[str, str] = {}
    with open(starter / "manifest.csv", encoding="utf-8", newline="") as manifest:
        for row in csv.DictReader(manifest):
            files[row["scientific_name"], row["modality"]].append(starter / row["path"])
            classes[row["scientific_name"]] = row["taxon_class"]
    able = [
        Species(name, taxon_class)
        for name, taxon_class in classes.items()
        if len(files[name, "audio"]) >= SOUNDS and len(files[name, "image"]) >= PHOTOS and len(name.split()) == 2
    ]
    used: dict[tuple[str, str], Iterator[Path]] = {key: iter(paths) for key, paths in files.items()}
    with archive_server() as archives:
        yield mirrors.make(
            tmp_path / "mirror",
            archives,
            able[:SPECIES],
            lambda one, n: next(used[one.name, "audio"]).read_bytes(),
            lambda one, n: next(used[one.name, "image"]).read_bytes(),
            each=1,
        )


def run(*words: object) -> str:
    """Run a program as a person does; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "2"},
    )
    assert done.returncode == 0, f"{words[:3]}: {done.stderr[-3000:]}"
    return done.stdout


def collected(mirror: Mirror, folder: Path) -> Path:
    """The manifest of a collection of everything on the mirror."""
    said = run("edgeapp", "collect", folder, *mirror.options, "--licence", TERMS)
    assert f"{SPECIES * SOUNDS} recordings and {SPECIES * PHOTOS} photos of {SPECIES} species" in said
    assert (folder / "CARD.md").is_file()
    return folder / "manifest.parquet"


@pytest.mark.slow
def test_what_was_collected_trains_both_stages_from_shards(mirror, tmp_path):
    shards, runs = tmp_path / "shards", tmp_path / "runs"
    run("trainer", "data", "shard", collected(mirror, tmp_path / "set"), "--out", shards)
    [packed] = [path for path in shards.iterdir() if path.suffix in (".csv", ".parquet")]
    for stage in ("base", "1", "2"):
        # The trainer, with a small calibration and short windows.
        words = ("--stage", stage, "--data", packed, "--epochs", 2, "--out", runs, "--device", "cpu")
        run("tests.trainer.tiny", *words)
    assert len((runs / "stage2" / "log.jsonl").read_text().splitlines()) == 2
    assert (runs / "stage2" / "model.safetensors").is_file()


@pytest.mark.slow
def test_what_was_collected_becomes_a_gallery_with_pictures(mirror, starter_pack, tmp_path):
    gallery, report = tmp_path / "gallery.sqlite", tmp_path / "report.html"
    manifest = collected(mirror, tmp_path / "set")
    run("edgeapp", "gallery", "build", gallery, "--pack", starter_pack, "--manifest", manifest)
    clip = next(path for path in sorted((tmp_path / "set").glob("audio/*/*")) if path.suffix == ".mp3")
    run("edgeapp", "identify", clip, "--pack", starter_pack, "--gallery", gallery, "--report", report)
    page = report.read_text(encoding="utf-8")
    assert clip.name in page and "data:image/jpeg" in page
    assert "A. Walker" in page or "A. Photographer" in page  # of the photos, as their archives name them
