"""Labels of a classifier as taxa, and the table that ships."""

import gzip

import pytest

from edgeapp.paths import TAXONOMY
from gallery.errors import TaxonError
from gallery.labels import Label, read_taxonomy, write_taxonomy
from gallery.taxon import Taxon

GREAT_TIT = Taxon(
    "Parus major", "Animalia", "Chordata", "Aves", "Passeriformes", "Paridae", "Parus", {"en": "Great Tit"}, ("P. m.",)
)
ENGINE = Taxon("Engine", "", "", "", "", "", "", {"en": "Engine"})


def test_labels_come_back_in_their_order(tmp_path):
    written = [Label(GREAT_TIT), Label(ENGINE, "noise")]
    write_taxonomy(tmp_path / "taxonomy.csv.gz", written)
    assert read_taxonomy(tmp_path / "taxonomy.csv.gz") == written
    assert [label.is_species for label in written] == [True, False]


def test_the_same_labels_give_the_same_bytes(tmp_path):
    for name in ("one.csv.gz", "other.csv.gz"):
        write_taxonomy(tmp_path / name, [Label(GREAT_TIT)])
    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "other.csv.gz").read_bytes()


def test_the_shipped_taxonomy_has_every_label_once():
    labels = read_taxonomy(TAXONOMY)
    names = [label.taxon.scientific_name for label in labels]
    assert len(names) == len(set(names)) == 6522
    assert sum(label.is_species for label in labels) == 6511
    assert names == sorted(names)
    [tit] = [label.taxon for label in labels if label.taxon.scientific_name == "Parus major"]
    assert tit.path() == GREAT_TIT.path()
    assert {label.kind for label in labels} == {"species", "noise", "human", "domestic"}


@pytest.mark.parametrize(
    "content",
    [b"not gzip", gzip.compress(b"a,b\n1,2\n"), gzip.compress(b""), b"\x1f\x8b cut"],
    ids=["text", "other columns", "empty", "cut"],
)
def test_a_file_that_is_no_taxonomy_is_told_in_one_line(tmp_path, content):
    path = tmp_path / "taxonomy.csv.gz"
    path.write_bytes(content)
    with pytest.raises(TaxonError, match=str(path)):
        read_taxonomy(path)
