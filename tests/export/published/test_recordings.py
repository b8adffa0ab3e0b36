"""Recordings to calibrate on: a manifest, or folders named after species."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from export.errors import ExportError
from export.published.recordings import labelled
from gallery import read_taxa
from tests.trainer.tiny import Tiny


@pytest.fixture
def folders(tiny: Tiny, tmp_path: Path) -> Path:
    """The recordings of the tiny data set, one folder per species, and one of nobody's."""
    where = tmp_path / "recordings"
    for path in sorted(tiny.manifest.parent.iterdir()):
        if path.suffix in (".wav", ".flac", ".ogg", ".mp3"):
            species = where / path.name.rpartition("_")[0]
            species.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, species / path.name)
    (where / "Nobody_knows").mkdir()
    (where / "Parus_major" / "notes.txt").write_text("a tit")
    return where


def test_folders_and_a_manifest_give_the_same_recordings(tiny: Tiny, folders: Path) -> None:
    taxa = read_taxa(tiny.taxa)
    told: list[str] = []
    from_folders, from_manifest = labelled(folders, taxa, told.append), labelled(tiny.manifest, taxa, print)
    pairs = [sorted((one.path.name, one.taxon) for one in some) for some in (from_folders, from_manifest)]
    assert pairs[0] == pairs[1] and len(pairs[0]) == 21
    assert len(told) == 1 and "Nobody_knows" in told[0]
    assert sorted(one.path.name for one in labelled(tiny.manifest.parent, taxa, print)) == [n for n, _ in pairs[0]]


def test_too_few_recordings_are_refused(folders: Path, tiny: Tiny) -> None:
    shutil.rmtree(folders / "Parus_minor")
    with pytest.raises(ExportError, match=r"16 recordings of 3 species, too few to calibrate on \(20 of 2\)"):
        labelled(folders, read_taxa(tiny.taxa), print)


def test_a_folder_that_is_not_there_is_named(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="absent: no such file or folder"):
        labelled(tmp_path / "absent", read_taxa(tiny.taxa), print)
