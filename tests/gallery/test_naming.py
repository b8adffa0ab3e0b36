"""What taxa are called in one language when they are shown."""

import pytest

from gallery.candidates import Candidate
from gallery.errors import TaxonError
from gallery.names_table import NamesTable, write_names
from gallery.naming import Naming, naming
from gallery.recognition import Detection
from gallery.taxon import Taxon

TIT = Taxon("Parus major", "", "", "", "", "", "Parus", {"en": "Great Tit"})
SWIFT = Taxon("Apus apus", "", "", "", "", "", "Apus", {"en": "Common Swift"})
OWN = Taxon("Parus novus", "", "", "", "", "", "Parus", {"de": "Neumeise", "eu": "Kaskabeltz"})
MOVED = Taxon("Poecile ater", "", "", "", "", "", "Poecile", {"en": "Coal Tit"}, ("Parus ater",))


@pytest.fixture
def table(tmp_path):
    names = {"de": {"Parus major": "Kohlmeise", "Parus ater": "Tannenmeise", "Parus novus": "Andere Meise"}}
    write_names(tmp_path / "names.zip", names, ("Parus major", "Parus ater", "Parus novus"))
    return NamesTable(tmp_path / "names.zip")


def test_a_taxon_has_its_name_in_the_language_else_the_english_one(table):
    german = naming("DE", table, [TIT, SWIFT])
    assert german.language == "de"
    assert german.of("Parus major", "Great Tit") == "Kohlmeise"
    assert german.of("Apus apus", "Common Swift") == "Common Swift"
    assert german.of("Apus caffer") == ""


def test_names_of_the_gallery_go_before_those_of_the_table(table):
    assert naming("de", table, [OWN]).of("Parus novus") == "Neumeise"


def test_a_taxon_is_named_by_its_synonym(table):
    assert naming("de", table, [MOVED]).of("Poecile ater", "Coal Tit") == "Tannenmeise"


def test_a_language_of_the_gallery_alone_can_be_used(table):
    assert naming("eu", table, [OWN]).of("Parus novus") == "Kaskabeltz"


def test_an_unknown_language_lists_those_of_table_and_gallery(table):
    with pytest.raises(TaxonError, match="'xx'; use de, en, eu"):
        naming("xx", table, [OWN])


@pytest.mark.parametrize("english", ["en", "EN", "en-GB"])
def test_english_reads_no_table(tmp_path, english):
    assert naming(english, NamesTable(tmp_path / "absent.zip")) == Naming()


def test_detections_are_named_with_their_candidates(table):
    german = naming("de", table)
    tit = Candidate("Parus major", "Great Tit", 0.9, 0.5)
    species = Detection("species", "Parus major", "Great Tit", ("Parus", "Parus major"), 0.9, (tit,))
    group = Detection("genus", "Parus", "", ("Parus",), 0.9, (tit,))
    assert german.detection(species).common_name == "Kohlmeise"
    assert german.detection(species).candidates[0].common_name == "Kohlmeise"
    assert german.detection(group).common_name == ""
    assert german.detection(group).candidates[0].common_name == "Kohlmeise"
    assert Naming().detection(species) is species
