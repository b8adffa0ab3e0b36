"""Common names in many languages, in one file of which only the language asked for is read."""

import zipfile

import pytest

from edgeapp.paths import NAMES
from gallery import names_table
from gallery.errors import TaxonError
from gallery.names_table import NamesTable, folded, key_of, language_tag, write_names

ROWS = ("Parus major", "Turdus merula", "Apus apus")
GIVEN = {"de": {"Parus major": "Kohlmeise", "Turdus merula": "Amsel"}, "fr": {"Apus apus": "Martinet noir"}}


@pytest.fixture
def table(tmp_path):
    write_names(tmp_path / "names.zip", GIVEN, ROWS)
    return NamesTable(tmp_path / "names.zip")


def test_names_come_back_by_language_without_gaps(table):
    assert table.languages == ("de", "fr")
    assert {language: table.names(language) for language in table.languages} == GIVEN
    assert table.scientific_names == ROWS


def test_a_synonym_has_the_name_of_its_taxon(tmp_path):
    write_names(tmp_path / "names.zip", GIVEN, ROWS, {"Turdus merula": ("Merula merula", "Merula vulgaris")})
    table = NamesTable(tmp_path / "names.zip")
    assert table.names("de")["Merula vulgaris"] == "Amsel"
    assert table.languages == ("de", "fr")


def test_one_language_is_read_without_the_others(table, monkeypatch):
    read = []
    original = zipfile.ZipFile.read
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda file, name: read.append(name) or original(file, name))
    table.names("de")
    assert read == ["de.txt", "scientific_name.txt", "synonyms.txt"]


def test_the_same_names_give_the_same_bytes(table, tmp_path):
    write_names(tmp_path / "again.zip", GIVEN, ROWS)
    assert (tmp_path / "again.zip").read_bytes() == table.path.read_bytes()


def test_a_name_of_two_lines_is_not_written(tmp_path):
    with pytest.raises(TaxonError, match="one line"):
        write_names(tmp_path / "names.zip", {"de": {"Parus major": "Kohl\nmeise"}}, ROWS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage", [lambda data: data[:200], lambda data: b"", lambda data: b"names"], ids=["cut", "empty", "text"]
)
def test_a_damaged_file_is_told_in_one_line(table, damage):
    table.path.write_bytes(damage(table.path.read_bytes()))
    with pytest.raises(TaxonError, match="cannot be read"):
        NamesTable(table.path).names("de")


def test_changed_bytes_of_a_name_are_noticed(table):
    data = bytearray(table.path.read_bytes())
    place = data.index(b"de.txt") + len("de.txt") + 2
    data[place] ^= 0xFF
    table.path.write_bytes(bytes(data))
    with pytest.raises(TaxonError, match="cannot be read"):
        NamesTable(table.path).names("de")


@pytest.mark.parametrize(
    ("text", "tag"), [("de", "de"), ("DE", "de"), ("de_AT", "de"), ("pt-BR", "pt"), ("nb", "no"), ("zh-Hans", "zh")]
)
def test_a_language_is_found_by_what_people_write(text, tag):
    assert language_tag(text, ("de", "en", "no", "pt", "zh")) == tag


def test_an_unknown_language_lists_those_there_are():
    with pytest.raises(TaxonError, match="'xx'; use de, en"):
        language_tag("xx", ("en", "de"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Mésange charbonnière", "mesange CHARBONNIERE"),
        ("Stor flaggspett", "stor  flaggspett"),
        ("Rødstrupe", "rodstrupe"),
        ("Чёрный стриж", "черныи стриж"),
        ("Cetti’s Warbler", "cetti's warbler"),
        ("Weißstorch", "weissstorch"),
    ],
)
def test_case_and_diacritics_do_not_count(one, other):
    assert key_of(one) == key_of(other)


def test_marks_that_make_another_letter_of_kana_count():
    assert key_of("ガ") != key_of("カ")


def test_only_the_rows_asked_for_are_folded(monkeypatch):
    table, given = NamesTable(NAMES), []
    fold = names_table.folded
    monkeypatch.setattr(names_table, "folded", lambda text: given.append(text) or fold(text))
    rows = [table.rows["Parus major"], table.rows["Turdus merula"]]
    assert table.folded_names("de", rows) == ["kohlmeise", "amsel"] and given == ["Kohlmeise\nAmsel"]
    assert table.folded_names("de", []) == []


def test_folding_keeps_the_lines():
    assert folded("Kohlmeise\n\nAmsel").split("\n") == ["kohlmeise", "", "amsel"]


def test_the_shipped_names_are_of_33_languages():
    table = NamesTable(NAMES)
    assert len(table.languages) == 33
    assert "en" not in table.languages
    assert table.names("de")["Parus major"] == "Kohlmeise"
    assert table.names("ja")["Parus major"]
    assert NAMES.stat().st_size < 1_500_000
    assert all(len(table.folded_names(language)) == len(table.scientific_names) == 6511 for language in table.languages)
