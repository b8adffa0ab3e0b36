"""A collection's manifest is one that the trainer reads, splits, packs into shards, and reads again."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.finish import Finish, finish
from edgeapp.collect.manifest import FILE
from edgeapp.collect.splits import Division
from tests.edgeapp.collect.fetched import picture, take, tone
from trainer.__main__ import app
from trainer.data.manifest import Manifest, hold_out, read_manifest

TITS = 12
SPLIT = Division(test_share=0.3, unseen_below=2)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve recordings and three photos of a tit from as many encounters, and one recording of an unseen crow."""
    folder = tmp_path_factory.mktemp("tits")
    with Catalogue.open(folder) as catalogue:
        songs = [tone(folder / f"audio/{n}.wav", pitch_hz=800 + 150 * n, seconds=1.0) for n in range(TITS)]
        take(catalogue, songs, licence="CC BY 4.0", author="A. Name", common_name="Great Tit")
        take(catalogue, [tone(folder / "audio/crow.wav", pitch_hz=500)], scientific_name="Corvus corax")
        take(catalogue, [picture(folder / f"image/{n}.jpg", shade=50 * n) for n in range(3)])
        finish(catalogue, None, Finish(SPLIT, speech=False))
    return folder / FILE


@pytest.fixture(scope="module")
def read(manifest: Path) -> Manifest:
    return read_manifest(manifest)


def test_the_manifest_is_read_with_its_own_taxonomy(read: Manifest) -> None:
    assert (read.missing, read.notes) == ((), ())
    assert [taxon.scientific_name for taxon in read.taxa] == ["Corvus corax", "Parus major"]
    assert {taxon.class_ for taxon in read.taxa} == {"Aves"}
    assert (len(read.recordings), len(read.photos)) == (TITS + 1, 3)
    assert read.recordings.counts("licence") == {"CC-BY-4.0": TITS, "": 1}
    assert all(sample.path.is_file() for sample in (*read.recordings, *read.photos))


def test_the_split_of_the_manifest_is_the_trainers(read: Manifest) -> None:
    trained, held = hold_out(read.recordings, 0.2, seed=0)
    assert {read.taxa[sample.taxon].scientific_name for sample in trained} == {"Parus major"}
    unseen = [sample for sample in held if read.taxa[sample.taxon].scientific_name == "Corvus corax"]
    assert len(unseen) == 1
    assert 0 < len(held) - 1 < TITS / 2
    assert not {sample.source for sample in trained} & {sample.source for sample in held}


def test_shards_of_a_collection_are_read_like_its_files(manifest: Path, read: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    done = CliRunner().invoke(app, ["data", "shard", str(manifest), "--out", str(out)])
    assert done.exit_code == 0, done.output
    packed = read_manifest(out / "manifest.parquet")
    assert (len(packed.recordings), len(packed.photos)) == (TITS + 1, 3)
    names = [[taxon.scientific_name for taxon in one.taxa] for one in (packed, read)]
    assert names[0] == names[1]
    assert packed.recordings.held_out is not None and read.recordings.held_out is not None
    assert packed.recordings.held_out.tolist() == read.recordings.held_out.tolist()
    assert [sample.source for sample in packed.recordings] == [sample.source for sample in read.recordings]
    assert {sample.author for sample in packed.recordings} >= {"A. Name"}


def test_a_collection_is_described_by_data_info(manifest: Path) -> None:
    done = CliRunner().invoke(app, ["data", "info", str(manifest)])
    assert done.exit_code == 0, done.output
    assert "CC-BY-4.0" in done.output
