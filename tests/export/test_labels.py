"""Labels as other classifiers publish them, read as taxa."""

from __future__ import annotations

import pytest

from edgeapp.paths import TAXONOMY
from export.errors import ExportError
from export.labels import Named, distinct_taxa, read_names, taxa_of_names
from gallery.labels import read_taxonomy
from tests.export.trunk.classifiers import BIRDNET_LABELS, PERCH_LABELS


@pytest.mark.parametrize(
    ("text", "first", "count"),
    [
        (BIRDNET_LABELS, ("Parus major", "Great Tit"), 5),
        (PERCH_LABELS, ("Parus major", ""), 5),
        ("Parus major_Great Tit\nNoise_Noise\n", ("Parus major", "Great Tit"), 2),
        ("Parus major\nBufo bufo\n", ("Parus major", ""), 2),
        ('scientific_name,common_name\nParus major,"Tit, Great"\n', ("Parus major", "Tit, Great"), 1),
        ("Common_Name\tScientific_Name\nGreat Tit\tParus major\n", ("Parus major", "Great Tit"), 1),
        ("\ufeffParus major_Great Tit\r\nNoise_Noise\r\n\r\n", ("Parus major", "Great Tit"), 2),
        ("Parus major_Tit, Great\nNoise\n", ("Parus major", "Tit, Great"), 2),
    ],
    ids=["semicolons", "one header", "birdnet", "names", "commas", "tabs", "windows", "comma in a name"],
)
def test_every_form_of_labels_is_read(tmp_path, text, first, count):
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    names = read_names(path)
    assert ((names[0].scientific, names[0].common), len(names)) == (first, count)


def test_a_row_without_a_column_is_named(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("scientific_name,common_name\nParus major\n")
    with pytest.raises(ExportError, match="line 2: does not have 2 columns"):
        read_names(path)
    path.write_text("scientific_name,common_name\nParus major,Tit\n\nBufo bufo\n")
    with pytest.raises(ExportError, match="line 4: does not have 2 columns"):
        read_names(path)
    path.write_bytes(b"\xff\xfe\x00\x00")
    with pytest.raises(ExportError, match="is not UTF-8"):
        read_names(path)


def test_two_labels_of_one_species_stay_apart():
    known = read_taxonomy(TAXONOMY)
    names = [Named(name, "", 1) for name in ("Lyrurus tetrix", "Tetrao tetrix", "Tetrao tetrix", "Engine", "Wind")]
    labels = taxa_of_names(names, known)
    found = [label.taxon.scientific_name for label in labels if label.is_species]
    assert found == ["Lyrurus tetrix", "Tetrao tetrix"]
    assert labels[0].taxon.order == "Galliformes" and labels[1].taxon.order == ""
    assert labels[3].kind == "noise" and not labels[4].is_species


@pytest.mark.parametrize(
    "line", ["Parus major Linnaeus, 1758_Great Tit", "Parus_major", "PARUS MAJOR", "Great Tit", "Great Tit_Parus major"]
)
def test_a_known_species_is_found_however_it_is_written(tmp_path, line):
    path = tmp_path / "labels.txt"
    path.write_text(f"{line}\nRain_Rain\n", encoding="utf-8")
    [tit, rain] = distinct_taxa(path, read_taxonomy(TAXONOMY))
    assert (tit.taxon.scientific_name, tit.taxon.order, tit.kind) == ("Parus major", "Passeriformes", "species")
    assert not rain.is_species


def test_words_that_are_no_scientific_name_are_no_species(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("Dog Bark\ndog bark\nStrix novus Author, 2020_New Owl\n", encoding="utf-8")
    labels = distinct_taxa(path, read_taxonomy(TAXONOMY))
    assert [label.is_species for label in labels] == [False, False, True]
    assert labels[2].taxon.scientific_name == "Strix novus"
