from pathlib import Path

import pytest

from gallery import TaxonError, read_taxa

HEADER = "scientific_name,common_name,kingdom,phylum,class,order,family,genus,synonyms,common_name_de"
TIT = "Parus major,Great Tit,Animalia,Chordata,Aves,Passeriformes,Paridae,Parus,Parus a|Parus b ,Kohlmeise"


@pytest.fixture
def table(tmp_path: Path):
    def write(*lines: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "species.csv"
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
        return path

    return write


def test_a_line_becomes_a_taxon_with_all_its_names(table):
    (taxon,) = read_taxa(table(HEADER, TIT))
    assert (taxon.scientific_name, taxon.class_, taxon.genus) == ("Parus major", "Aves", "Parus")
    assert taxon.common_names == {"en": "Great Tit", "de": "Kohlmeise"}
    assert taxon.synonyms == ("Parus a", "Parus b")


def test_unknown_ranks_and_names_stay_empty(table):
    (taxon,) = read_taxa(table(HEADER, "Carassius auratus,,Animalia,Chordata,,,,,,"))
    assert (taxon.class_, taxon.genus, taxon.common_name, dict(taxon.common_names), taxon.synonyms) == (
        "",
        "",
        "",
        {},
        (),
    )


def test_a_byte_order_mark_blanks_and_empty_lines_do_no_harm(table):
    (taxon,) = read_taxa(
        table(HEADER, TIT.replace("Parus major", " Parus   major "), ",,,,,,,,,", "", encoding="utf-8-sig")
    )
    assert taxon.scientific_name == "Parus major"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((HEADER.replace("genus,", ""), TIT), "no column genus; line 1 must name"),
        ((HEADER.replace("synonyms", "synonym"), TIT), "unknown column 'synonym'; remove it"),
        ((HEADER.replace("synonyms", "genus"), TIT), "column genus twice"),
        ((HEADER, TIT, TIT), r"line 3, column scientific_name: 'Parus major' is already on line 2; keep one"),
        (
            (HEADER, TIT.replace("Parus major", "Parus")),
            r"line 2, column scientific_name: 'Parus' is not the name of a",
        ),
        ((HEADER, TIT.replace(",Parus,", ",Cyanistes,")), "line 2, column genus: 'Cyanistes' is not the genus of"),
        ((HEADER, TIT + ",more"), "line 2 has 11 fields instead of 10; put names that contain a comma in quotes"),
        ((HEADER, TIT, '"Parus'), "is not CSV"),
        ((HEADER,), "has no species"),
        ((), "no column scientific_name"),
    ],
)
def test_a_defect_is_named_with_file_place_and_remedy(table, lines, message):
    with pytest.raises(TaxonError, match=message) as caught:
        read_taxa(table(*lines))
    assert "species.csv" in str(caught.value)


def test_a_table_in_another_encoding_or_place_is_refused(table, tmp_path: Path):
    with pytest.raises(TaxonError, match="not UTF-8 text; save it as CSV in UTF-8"):
        read_taxa(table(HEADER, TIT.replace("Great", "Größte"), encoding="latin-1"))
    with pytest.raises(TaxonError, match=r"missing\.csv cannot be read"):
        read_taxa(tmp_path / "missing.csv")
    with pytest.raises(TaxonError, match="cannot be read"):
        read_taxa(tmp_path)
