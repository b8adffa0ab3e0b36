"""What manifests name: files, parts of shards, and the ranks of species."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from edgeapp.recognition.material import Material, manifest, material_of, rows, taxa_of
from gallery.entry import Rejection
from gallery.store import Gallery
from tests.edgeapp import toy_pack as toy

# Accepted by the manifest under a name that the project's table does not have.
RANKS = {"kingdom": "Animalia", "phylum": "Chordata", "class": "Aves", "order": "Accipitriformes"}
HAWK = {"scientific_name": "Astur gentilis", "common_name": "Goshawk", **RANKS, "family": "Accipitridae", "genus": ""}
COLUMNS = (*HAWK, "modality", "path", "shard", "offset", "size", "author", "licence", "source_path")


def shard(folder: Path) -> list[dict[str, str]]:
    """A photo and a recording one after the other in one file, and their rows."""
    picture, sound = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (60, 30), (250, 0, 0)).save(picture, "PNG")
    soundfile.write(sound, toy.tone(1000.0), toy.RATE_HZ, format="WAV")
    given = []
    with open(folder / "all.tar", "wb") as out:
        for modality, name, content in (("image", "hawk.png", picture), ("audio", "hawk.wav", sound)):
            place = {"offset": str(out.tell()), "size": str(len(content.getvalue()))}
            credits = {"author": "A. Author", "licence": "CC-BY-4.0", "source_path": "https://page.example/1"}
            given.append({**HAWK, "modality": modality, "path": name, "shard": "all.tar", **place, **credits})
            out.write(content.getvalue())
    return given


def write(path: Path, given: list[dict[str, str]]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, COLUMNS)
        table.writeheader()
        table.writerows(given)
    return path


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.parquet"])
def test_a_gallery_is_built_from_shards_and_their_ranks(name, run, toy_pack, tmp_path):
    given = shard(tmp_path)
    if name.endswith(".csv"):
        write(tmp_path / name, given)
    else:
        numbers = [{**row, "offset": int(row["offset"]), "size": int(row["size"])} for row in given]
        pq.write_table(pa.Table.from_pylist(numbers), tmp_path / name)
    words = ("--pack", toy_pack, "--manifest", tmp_path / name, "--modalities", "image,audio")
    done = run("gallery", "build", tmp_path / "g.sqlite", *words)
    assert done.exit_code == 0, done.stderr
    with Gallery.open(tmp_path / "g.sqlite") as gallery:
        [taxon] = gallery.taxa()
        [photo], [recording] = gallery.entries("image"), gallery.entries("audio")
    assert (taxon.scientific_name, taxon.common_name, taxon.genus) == ("Astur gentilis", "Goshawk", "Astur")
    assert taxon.path("family") == (*RANKS.values(), "Accipitridae")
    assert (photo.label, recording.label) == ("hawk.png", "hawk.wav")
    assert photo.thumbnail is not None and photo.vector[0] == pytest.approx(1.0, abs=1e-2)
    assert {(one.author, one.licence, one.source) for one in (photo, recording)} == {
        ("A. Author", "CC-BY-4.0", "https://page.example/1")
    }


def test_parts_of_a_shard_that_are_not_there_are_named(run, toy_pack, tmp_path):
    first, second = shard(tmp_path)
    broken = [{**first, "offset": "9999999"}, {**second, "shard": "gone.tar"}, {**second, "size": "many"}]
    path = write(tmp_path / "manifest.csv", broken)
    words = ("--pack", toy_pack, "--manifest", path, "--modalities", "image,audio")
    done = run("gallery", "build", tmp_path / "g.sqlite", *words)
    assert done.exit_code == 1
    assert "hawk.png (manifest.csv line 2): the shard ends before the file does; copy it again" in done.stderr
    assert "manifest.csv line 4: offset" in done.stderr and "no place in all.tar" in done.stderr
    [*_, gone, refused] = manifest(path)
    assert isinstance(gone, Material) and gone.path == tmp_path / "gone.tar"
    assert isinstance(refused, Rejection)


def test_taxa_need_ranks_and_a_species(tmp_path):
    given = [HAWK, {**HAWK, "family": "Other"}, {**HAWK, "scientific_name": "Astur"}]
    found = taxa_of(rows(write(tmp_path / "a.csv", given)))
    assert [(taxon.scientific_name, taxon.family) for taxon in found] == [("Astur gentilis", "Accipitridae")]
    (tmp_path / "b.csv").write_text("path,scientific_name,class\na.png,Parus major,Aves\n")
    assert taxa_of(rows(tmp_path / "b.csv")) == []


@pytest.mark.parametrize(
    ("given", "source"),
    [
        ({"source": "my own", "source_path": "https://page.example/1", "source_repo": "xc"}, "my own"),
        ({"source_path": "https://page.example/1", "source_repo": "xc", "source_id": "7"}, "https://page.example/1"),
        ({"source_path": "assets/a.mp3", "source_repo": "some/songs", "source_id": "XC7"}, "some/songs XC7"),
        ({"source_path": "assets/a.mp3"}, "assets/a.mp3"),
        ({}, ""),
    ],
)
def test_the_source_of_a_file_is_where_people_find_it(given, source, tmp_path):
    found = material_of(
        tmp_path / "manifest.csv", "line 2", {"path": "a.mp3", "scientific_name": "Parus major", **given}
    )
    assert isinstance(found, Material) and found.source == source
