"""What `biovita-edge collect` makes of the files that came: manifest, card, splits, traits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from edgeapp.cli import app
from tests.edgeapp.collect import mirror as mirrors
from tests.edgeapp.collect.archive_server import archive_server
from tests.edgeapp.collect.conftest import photo, sound
from tests.edgeapp.collect.mirror import Mirror, Species

TIT, FROG = "Parus major", "Rana temporaria"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """Two species with eight recordings each, half a second long."""
    folder = tmp_path_factory.mktemp("mirror")
    with archive_server() as archives:
        species = [Species(TIT, "Aves"), Species(FROG, "Amphibia")]
        yield mirrors.make(folder, archives, species, lambda one, n: sound(n, 0.6), lambda one, n: photo(n))


@pytest.fixture(scope="module")
def folder(mirror: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of the mirror."""
    out = tmp_path_factory.mktemp("collected") / "set"
    done = run(out, *mirror.options)
    assert done.exit_code == 0, done.stderr
    assert f"{out / 'manifest.parquet'} describes" in done.stdout
    return out


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["collect", *map(str, words)])


def again(folder: Path, mirror: Mirror, *words: object) -> list[dict]:
    """Rows of the manifest after another run on what is there."""
    done = run(folder, "--taxonomy", mirror.folder / "taxa.csv", "--keep-free", 0, *words)
    assert done.exit_code == 0, done.stderr
    return pq.read_table(folder / "manifest.parquet").to_pylist()


def test_every_file_is_in_the_manifest_and_the_card(folder: Path, mirror: Mirror) -> None:
    rows = again(folder, mirror)
    files = {path.relative_to(folder).as_posix() for kind in ("audio", "image") for path in folder.glob(f"{kind}/*/*")}
    assert {row["path"] for row in rows} == files
    assert {row["scientific_name"] for row in rows} == {TIT, FROG}
    assert all(row["speech_score"] is not None for row in rows if row["modality"] == "audio")
    assert "| Amphibia | 1 |" in (folder / "CARD.md").read_text(encoding="utf-8")


def test_what_is_noted_can_be_done_without(folder: Path, mirror: Mirror) -> None:
    rows = again(folder, mirror, "--without", "short")
    assert {row["modality"] for row in rows} == {"image"}
    assert "short, which is not wanted" in (folder / "CARD.md").read_text(encoding="utf-8")
    assert {row["modality"] for row in again(folder, mirror)} == {"audio", "image"}


def test_splits_are_as_asked_for(folder: Path, mirror: Mirror) -> None:
    assert {row["split"] for row in again(folder, mirror, "--unseen-below", 100)} == {"unseen"}
    none = again(folder, mirror, "--unseen-below", 0, "--test-share", 0)
    assert {row["split"] for row in none} == {"train"}
    half = again(folder, mirror, "--unseen-below", 0, "--test-share", 0.5)
    assert {row["split"] for row in half} == {"train", "test"}


def test_traits_are_joined_from_all_tables(folder: Path, mirror: Mirror, shared: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text(f"scientific_name,aquatic\n{FROG},yes\n")
    metadata = shared / "metadata"
    tables = ("--traits", own, "--avonet", metadata / "AVONETdataset1.csv", "--elton", metadata / "elton_birds.csv")
    rows = again(folder, mirror, *tables)
    frog, tit = (next(row for row in rows if row["scientific_name"] == name) for name in (FROG, TIT))
    assert (frog["trait_aquatic"], frog["trait_forest"]) == (True, None)
    assert (tit["trait_forest"], tit["trait_nocturnal"]) == (True, False)
    assert (folder / "traits.csv").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--test-share", 0.9], "--test-share 0.9 is outside 0 .. 0.5"),
        (["--unseen-below", -1], "--unseen-below must not be -1"),
        (["--without", "noise"], "'noise' is nothing that is noted"),
        (["--avonet", "none.csv"], "none.csv: cannot be read"),
        (["--without", "speech", "--no-speech"], "--without speech"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_asked(mirror: Mirror, tmp_path: Path, words, told: str) -> None:
    mirror.archives.asked.clear()
    done = run(tmp_path / "set", *mirror.options, *words)
    assert done.exit_code == 2
    assert told in done.stderr
    assert mirror.archives.asked == []
