import pickle

import pytest

from gallery import RANKS, Names, Taxon, TaxonError, find
from gallery.names_table import NamesTable, write_names


def test_a_taxon_tells_its_name_at_every_rank(taxa: list[Taxon]):
    assert [taxa[0].at(rank) for rank in RANKS] == [
        "Animalia", "Chordata", "Aves", "Passeriformes", "Paridae", "Parus", "Parus major",
    ]  # fmt: skip
    assert taxa[5].at("class") == ""
    with pytest.raises(TaxonError, match="'tribe' is not a rank; use one of kingdom"):
        taxa[0].at("tribe")


def test_common_name_is_the_english_one_or_empty(taxa: list[Taxon]):
    assert taxa[0].common_name == "Great Tit"
    assert Taxon("Parus ater", "", "", "", "", "", "", {"de": "Tannenmeise"}).common_name == ""


def test_a_taxon_can_be_a_key_and_travel_between_processes(taxa: list[Taxon]):
    assert {taxa[0]: 1}[pickle.loads(pickle.dumps(taxa[0]))] == 1


@pytest.mark.parametrize("name", ["Parus major", "parus  MAJOR", "Great tit", "kohlmeise"])
def test_find_takes_any_name_in_any_case(taxa: list[Taxon], name: str):
    assert find(taxa, name) is taxa[0]


def test_find_takes_a_synonym(taxa: list[Taxon]):
    assert find(taxa, "Parus major minor") is taxa[1]


def test_an_accepted_name_goes_before_the_same_name_as_a_synonym(taxa: list[Taxon]):
    split = Taxon("Parus cinereus", "", "", "", "", "", "Parus", {}, synonyms=("Parus major",))
    assert find([split, *taxa], "Parus major") is taxa[0]


def test_a_name_that_is_not_known_is_answered_with_near_misses(taxa: list[Taxon]):
    with pytest.raises(TaxonError, match="no taxon is called 'Parus mayor'; did you mean Parus major or"):
        find(taxa, "Parus mayor")
    with pytest.raises(TaxonError, match="check the spelling"):
        find(taxa, "Xyzzy")


def test_a_common_name_of_two_taxa_is_not_guessed(taxa: list[Taxon]):
    other = Taxon("Turdus migratorius", "", "", "", "", "", "Turdus", {"en": "European Robin"})
    with pytest.raises(TaxonError, match="a name of Erithacus rubecula, Turdus migratorius"):
        find([*taxa, other], "European Robin")


@pytest.mark.parametrize(
    ("name", "rows"),
    [("aves", [0, 1, 2, 3]), ("Parus", [0, 1]), ("Morus", [3, 4]), ("Great Tit", [0]), ("Parus major minor", [1])],
)
def test_a_name_at_any_rank_stands_for_the_taxa_below_it(taxa: list[Taxon], name: str, rows: list[int]):
    assert Names(taxa).rows(name) == rows


def test_near_misses_of_ranks_are_offered_where_ranks_are_taken(taxa: list[Taxon]):
    with pytest.raises(TaxonError, match="did you mean Paridae"):
        Names(taxa).rows("Pardae")


@pytest.fixture
def table(tmp_path) -> NamesTable:
    names = {
        "de": {"Parus major": "Kohlmeise", "Parus cinereus": "Graumeise", "Turdus merula": "Schwarzmeise"},
        "fr": {"Parus major": "Mésange charbonnière", "Parus cinereus": "Grise", "Erithacus rubecula": "Grise"},
    }
    write_names(tmp_path / "names.zip", names, ("Parus major", "Parus cinereus", "Erithacus rubecula", "Turdus merula"))
    return NamesTable(tmp_path / "names.zip")


SOME = (
    Taxon("Parus major", "", "", "Aves", "", "Paridae", "Parus", {"en": "Great Tit"}),
    Taxon("Parus minor", "", "", "Aves", "", "Paridae", "Parus", {"en": "Japanese Tit"}, ("Parus cinereus",)),
    Taxon("Erithacus rubecula", "", "", "Aves", "", "Muscicapidae", "Erithacus", {"en": "Schwarzmeise"}),
)


@pytest.mark.parametrize("name", ["Mésange charbonnière", "mesange  CHARBONNIERE", "Kohlmeise", "Great tit"])
def test_a_name_of_any_language_is_found_with_a_table(table: NamesTable, name: str):
    assert find(SOME, name, table) is SOME[0]


def test_a_name_of_the_table_is_found_through_a_synonym(table: NamesTable):
    assert find(SOME, "Graumeise", table) is SOME[1]


def test_a_name_of_the_taxa_themselves_goes_before_the_table(table: NamesTable):
    assert find(SOME, "Schwarzmeise", table) is SOME[2]  # of the table, it is that of a taxon which is not here


def test_only_names_of_the_taxa_are_compared_with_those_of_a_table(table: NamesTable, monkeypatch):
    compared: list[int] = []
    fold = NamesTable.folded_names
    monkeypatch.setattr(NamesTable, "folded_names", lambda *given: compared.extend(given[2]) or fold(*given))
    assert find(SOME, "Graumeise", table) is SOME[1]
    assert sorted(set(compared)) == [0, 1, 2]  # no blackbird


def test_a_name_that_the_table_has_for_two_taxa_is_not_guessed(table: NamesTable):
    with pytest.raises(TaxonError, match="'Grise' is a name of Parus minor, Erithacus rubecula; use the scientific"):
        find(SOME, "Grise", table)


def test_near_misses_of_the_table_are_given_with_their_taxon(table: NamesTable):
    with pytest.raises(TaxonError, match=r"did you mean Mésange charbonnière \(Parus major\)\?"):
        find(SOME, "mesange charbonniere.", table)
    with pytest.raises(TaxonError, match="check the spelling"):
        Names(SOME, table).rows("mesange charbonniere.", suggest=False)


def test_the_table_is_not_read_for_names_that_the_taxa_have(tmp_path):
    absent = NamesTable(tmp_path / "absent.zip")
    assert find(SOME, "Great Tit", absent) is SOME[0]
    with pytest.raises(TaxonError, match="absent.zip cannot be read"):
        find(SOME, "Kohlmeise", absent)
