"""BirdNET's occurrence model in its pack, where that has been made: facts that no conversion may change."""

from __future__ import annotations

import csv
import io
import json

import pytest

from edgeapp.detections.occurrence import Occurrence
from edgeapp.pack.format import Pack
from gallery.store import Gallery

BERLIN, NEW_YORK = (52.5, 13.4), (40.7, -74.0)


@pytest.fixture(scope="module")
def pack(birdnet_pack):
    return Pack.load(birdnet_pack)


def test_a_continent_has_its_own_birds(pack):
    berlin, new_york = Occurrence.of(pack, *BERLIN), Occurrence.of(pack, *NEW_YORK)
    for name, here, there in (("Turdus merula", berlin, new_york), ("Cardinalis cardinalis", new_york, berlin)):
        assert here.value(name, 20) > 0.5 and not there.expects(name, 20)


def test_a_migrant_is_expected_in_its_season(pack):
    berlin = Occurrence.of(pack, *BERLIN)
    assert [berlin.expects("Cuculus canorus", week) for week in (3, 20, 45, None)] == [False, True, False, True]


def test_every_species_with_a_class_has_a_value(pack):
    with Gallery.open(pack.gallery_path()) as gallery:
        taxa = gallery.taxa()
    found = Occurrence.of(pack, *BERLIN, taxa=taxa)
    with Gallery.open(pack.gallery_path()) as gallery:
        classes = {entry.scientific_name for entry in gallery.entries("audio") if entry.logit_scale is not None}
    others = [taxon for taxon in taxa if taxon.scientific_name not in classes]  # known by recordings alone
    assert len(classes) == 6511 and found.without_value == len(others) < 20
    assert pack.range.threshold == 0.03


def test_the_list_of_a_place_is_of_species_alone(run, birdnet_pack):
    done = run("species", "--pack", birdnet_pack, "--latitude", 52.5, "--longitude", 13.4, "--week", 20, "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert 100 < len(rows) < 300
    assert all(" " in row["scientific_name"] and row["common_name"] for row in rows)


def test_a_blue_tit_is_left_out_in_new_york(run, birdnet_pack, shared):
    clip = next((shared / "starter" / "audio" / "cyanistes_caeruleus").iterdir())
    heard = {}
    for place, (latitude, longitude) in {"berlin": BERLIN, "new york": NEW_YORK}.items():
        words = ("--latitude", latitude, "--longitude", longitude, "--week", 20)
        document = json.loads(run("identify", clip, "--pack", birdnet_pack, "-f", "json", *words).stdout)
        heard[place] = [one["scientific_name"] for one in document["species"]]
    assert heard["berlin"][0] == "Cyanistes caeruleus"
    assert "Cyanistes caeruleus" not in heard["new york"]
