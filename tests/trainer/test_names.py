"""The tables of names that ship, made from CSV."""

import pytest

from gallery.labels import read_taxonomy
from gallery.names_table import NamesTable
from trainer.errors import DataError
from trainer.names import NAMES, TAXONOMY, names_command

SPECIES = """label_index,scientific_name,common_name,kingdom,phylum,class,order,family,genus,synonyms,kind
0,Engine,Engine,,,,,,,,noise
1,Turdus merula,Eurasian Blackbird,Animalia,Chordata,Aves,Passeriformes,Turdidae,Turdus,Merula merula|Turdus m.,species
2,Parus major,Great Tit,Animalia,Chordata,Aves,Passeriformes,Paridae,Parus,,species
"""
COMMON = """scientific_name,common_name_en,common_name_de,common_name_nl
Engine,Engine,,
Turdus merula,Eurasian Blackbird,Amsel,
Parus major,Great Tit,Kohlmeise,Koolmees
"""


def written(folder, species=SPECIES, common=COMMON):
    for name, text in (("species.csv", species), ("common.csv", common)):
        (folder / name).write_text(text, encoding="utf-8")
    names_command(folder / "species.csv", folder / "common.csv", folder)
    return read_taxonomy(folder / TAXONOMY), NamesTable(folder / NAMES)


def test_both_tables_are_written_from_csv(tmp_path):
    labels, names = written(tmp_path)
    assert [label.taxon.scientific_name for label in labels] == ["Engine", "Turdus merula", "Parus major"]
    assert labels[1].taxon.synonyms == ("Merula merula", "Turdus m.")
    assert names.scientific_names == ("Parus major", "Turdus merula")  # by family, without what is no species
    assert names.names("de") == {
        "Parus major": "Kohlmeise",
        **dict.fromkeys(("Turdus merula", "Merula merula", "Turdus m."), "Amsel"),
    }
    assert names.languages == ("de", "nl")


@pytest.mark.parametrize(
    ("species", "common", "what"),
    [
        (SPECIES.replace("family", "clan"), COMMON, "column family"),
        (SPECIES, COMMON + "Apus apus,Common Swift,Mauersegler,\n", "Apus apus is not in"),
        (SPECIES, "scientific_name\nParus major\n", "common_name_xx"),
        (SPECIES, "", "no rows"),
    ],
)
def test_a_defect_of_a_table_is_named(tmp_path, species, common, what):
    with pytest.raises(DataError, match=what):
        written(tmp_path, species, common)
