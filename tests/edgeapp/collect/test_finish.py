"""A collection becomes a data set: manifest, splits, traits, card and credits."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from edgeapp.collect.card import CARD, PICTURES
from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.finish import Finish, finish
from edgeapp.collect.manifest import FILE
from edgeapp.collect.splits import Division
from edgeapp.collect.traits.schema import UNKNOWN, read_traits
from edgeapp.errors import UsageError
from tests.edgeapp.collect.fetched import picture, take, tone

PITCHES_HZ = range(1000, 1800, 100)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    """Eight recordings of tits, one of a crow, two photos; a twin and a page among the recordings."""
    folder = tmp_path_factory.mktemp("tits")
    (folder / "own.csv").write_text("scientific_name,forest\nParus major,yes\nCorvus corax,no\n")
    with Catalogue.open(folder) as catalogue:
        songs = [tone(folder / f"media/{pitch}.wav", pitch_hz=pitch) for pitch in PITCHES_HZ]
        told = {"licence": "CC BY 4.0", "author": "A. | Name", "observer": "A. Name", "kind": "song"}
        take(catalogue, songs, **told, latitude=51.5, longitude=7.0, background=("Corvus corax",))
        take(catalogue, [tone(folder / "media/crow.wav", pitch_hz=700)], scientific_name="Corvus corax")
        take(catalogue, [picture(folder / f"media/{n}.jpg", shade=60 * n) for n in (1, 2)], licence="CC BY-NC 4.0")
        twin = folder / "media/twin.wav"
        twin.write_bytes(songs[0].read_bytes())
        page = folder / "media/page.mp3"
        page.write_bytes(b"<html>" * 100)
        take(catalogue, [twin, page], **told)
        settings = (("licences", "all"),)
        asked = Finish(Division(unseen_below=2), speech=False, traits=folder / "own.csv", settings=settings)
        (folder / "taxa.csv").write_text("scientific_name\nParus major\nCorvus corax\n")
        finish(catalogue, folder / "taxa.csv", asked)
        yield catalogue


@pytest.fixture(scope="module")
def rows(collection: Catalogue) -> list[dict]:
    return pq.read_table(collection.folder / FILE).to_pylist()


def test_the_manifest_has_every_file_that_is_of_use(collection: Catalogue, rows: list[dict]) -> None:
    assert {row["path"] for row in rows} == {
        *(f"media/{pitch}.wav" for pitch in PITCHES_HZ),
        *("media/crow.wav", "media/1.jpg", "media/2.jpg"),
    }
    assert all((collection.folder / row["path"]).is_file() for row in rows)


def test_a_row_tells_all_that_is_known(rows: list[dict]) -> None:
    song = next(row for row in rows if row["path"] == "media/1000.wav")
    expected = {
        **{"modality": "audio", "scientific_name": "Parus major", "class": "Aves", "genus": "Parus"},
        **{"licence": "CC-BY-4.0", "licence_as_written": "CC BY 4.0", "author": "A. | Name", "note": "song"},
        **{"source_repo": "folder", "split": "train", "latitude": 51.5, "background": ["Corvus corax"]},
        **{"trait_forest": True, "trait_urban": None, "notes": [], "offered_by": "folder", "speech_score": None},
    }
    assert {name: song[name] for name in expected} == expected
    assert song["duration_s"] == pytest.approx(2.0, abs=0.01)
    assert len(song["sha256"]) == 64
    photo = next(row for row in rows if row["path"] == "media/1.jpg")
    assert (photo["width"], photo["height"], photo["duration_s"]) == (320, 240, None)


def test_few_sample_species_are_unseen_in_the_manifest(rows: list[dict]) -> None:
    assert {row["scientific_name"] for row in rows if row["split"] == "unseen"} == {"Corvus corax"}


def test_the_card_counts_and_says_what_was_left_out(collection: Catalogue) -> None:
    card = (collection.folder / CARD).read_text(encoding="utf-8")
    assert "9 recordings and 2 photos of 2 species" in card
    assert "| Aves | 2 | 9 | 2 |" in card
    assert "| CC-BY-NC-4.0 | no commercial use | 0 | 2 |" in card
    assert "| duplicate: the same content as another file | 1 | 0 |" in card
    assert "| cannot be decoded | 1 | 0 |" in card
    assert "| unseen | 1 | 1 | 0 |" in card
    assert "| forest | Habitat | 2 | 100.0% | 1 |" in card
    assert "| A. \\| Name | 8 |" in card
    assert "Speech was not listened for." in card
    assert "| licences | all |" in card


def test_the_pictures_of_the_card_are_there(collection: Catalogue) -> None:
    card = (collection.folder / CARD).read_text(encoding="utf-8")
    names = sorted(one.name for one in (collection.folder / PICTURES).iterdir())
    assert names == ["class.png", "durations.png", "licence.png", "source.png", "species.png"]
    for name in names:
        assert f"]({PICTURES}/{name})" in card
        with Image.open(collection.folder / PICTURES / name) as image:
            colours = image.convert("RGB").getcolors(1 << 20)
        assert colours is not None
        assert len(colours) > 3


def test_every_file_has_its_credits(collection: Catalogue, rows: list[dict]) -> None:
    with (collection.folder / "attribution.csv").open(encoding="utf-8", newline="") as file:
        credits = {row["path"]: row for row in csv.DictReader(file)}
    assert set(credits) == {row["path"] for row in rows}
    assert credits["media/1.jpg"]["licence"] == "CC-BY-NC-4.0"
    assert credits["media/1000.wav"]["author"] == "A. | Name"


def test_the_traits_are_a_table_for_the_probe(collection: Catalogue) -> None:
    table = read_traits(collection.folder / "traits.csv")
    assert sorted(table.species) == ["Corvus corax", "Parus major"]
    assert (table.of(["Parus major", "Corvus corax"]) != UNKNOWN).any(axis=1).all()


def test_nothing_fetched_is_a_card_that_says_so(tmp_path: Path) -> None:
    with Catalogue.open(tmp_path) as catalogue:
        written = finish(catalogue, None, Finish(speech=False))
    assert written.rows == 0
    assert "0 recordings and 0 photos of 0 species" in (tmp_path / CARD).read_text(encoding="utf-8")


def test_a_table_of_traits_that_cannot_be_read_stops_before_the_work(tmp_path: Path) -> None:
    with Catalogue.open(tmp_path) as catalogue, pytest.raises(UsageError, match="none.csv"):
        finish(catalogue, None, Finish(avonet=tmp_path / "none.csv"))
    assert not (tmp_path / FILE).exists()
