import pickle

import pytest

from gallery import RANKS, Names, Taxon, TaxonError, find


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
