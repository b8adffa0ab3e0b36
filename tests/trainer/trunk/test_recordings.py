"""Recordings through the audio graph of a pack, and what names never trained on find of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgeapp.pack.format import Pack
from tests.trainer.trunk import classes
from tests.trainer.trunk.classes import WITHHELD
from trainer import checkpoint
from trainer.bank import TextBank
from trainer.data.manifest import Manifest, read_manifest
from trainer.heard import Heard
from trainer.trunk.evaluate import name_vectors, named, named_with, six_directions
from trainer.trunk.recordings import hear_samples, manifest_rows, read_recordings

TAXA = classes.taxa()


@pytest.fixture(scope="module")
def pack(linear_pack: Path) -> Pack:
    return Pack.load(linear_pack)


@pytest.fixture(scope="module")
def sung(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Three recordings of each withheld species, and one of a species that has no class vector."""
    folder = tmp_path_factory.mktemp("sung") / "sounds"
    manifest = classes.write_recordings(folder, list(WITHHELD))
    stranger = ",Dog,Animalia,Chordata,Mammalia,Carnivora,Canidae,Canis"
    copied = next(folder.glob("*.wav"))
    (folder / "dog.wav").write_bytes(copied.read_bytes())
    with manifest.open("a", encoding="utf-8") as file:
        file.write(f"audio,dog.wav,Canis familiaris,tests,dog{stranger}\n")
    return read_manifest(manifest)


@pytest.fixture(scope="module")
def heard(pack: Pack, sung: Manifest) -> tuple[Heard, list[object]]:
    """Recordings of withheld species; their taxa are rows of `WITHHELD`."""
    place = manifest_rows(sung, [taxon for taxon in TAXA if taxon.scientific_name in WITHHELD])
    found, kept = hear_samples(pack, [one for one in sung.recordings if place[one.taxon] >= 0], 1, list)
    return Heard(found.windows, found.levels, place[found.taxon]), [sample.source for sample in kept]


@pytest.fixture(scope="module")
def names(withheld_run: Path) -> np.ndarray:
    loaded = checkpoint.load(withheld_run / "stage1")
    taxa = [taxon for taxon in TAXA if taxon.scientific_name in WITHHELD]
    return name_vectors(loaded.model, TextBank(taxa, loaded.tokenizer), torch.device("cpu"))


WITHHELD_TAXA = [taxon for taxon in TAXA if taxon.scientific_name in WITHHELD]


def test_sound_lies_at_the_class_vector_of_its_species(pack: Pack, sung: Manifest) -> None:
    found = read_recordings(pack, [sung.path], None, TAXA, 0.0, 1, 1, list)
    assert found is not None
    vectors, place = found
    centred = classes.rows() - classes.rows().mean(axis=0)
    likeness = torch.nn.functional.normalize(torch.from_numpy(centred), dim=1)[place] * vectors
    assert likeness.sum(dim=1).min() > 0.9
    assert len(place) == 3 * len(WITHHELD)  # the dog has no class vector


def test_recordings_of_other_taxa_are_left_out(pack: Pack, sung: Manifest) -> None:
    seen = [taxon for taxon in TAXA if taxon.scientific_name not in WITHHELD]
    assert read_recordings(pack, [sung.path], None, seen, 0.0, 1, 1, list) is None


def test_sources_held_out_are_not_learned_from(pack: Pack, sung: Manifest) -> None:
    found = read_recordings(pack, [sung.path], None, TAXA, 0.4, 1, 1, list)
    assert found is not None and len(found[1]) == 2 * len(WITHHELD)


def test_names_never_trained_on_name_recordings(heard: tuple[Heard, list[object]], names: np.ndarray) -> None:
    by_name = named(heard[0], names, WITHHELD_TAXA)
    assert by_name["queries"] == 3 * len(WITHHELD)
    assert by_name["top1"] > 0.4  # chance is 0.05
    assert by_name["top5"] > 0.7


def test_a_recording_added_beats_the_name_alone(heard: tuple[Heard, list[object]], names: np.ndarray) -> None:
    sounds, sources = heard
    by_name, with_one = named(sounds, names, WITHHELD_TAXA), named_with(sounds, names, WITHHELD_TAXA, sources, 1)
    assert with_one["queries"] == 2 * len(WITHHELD)
    assert with_one["top1"] > by_name["top1"]
    assert named_with(sounds, names, WITHHELD_TAXA, sources, 5)["queries"] == 0


def test_directions_without_photos_have_no_queries(heard: tuple[Heard, list[object]], names: np.ndarray) -> None:
    rows = six_directions(heard[0], names, WITHHELD_TAXA)
    assert len(rows) == 18
    for row in rows:
        assert bool(row["queries"]) == ("image" not in (row["query"], row["target"]))
