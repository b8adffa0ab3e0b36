"""The 34 labels, and the tables that answer them."""

from __future__ import annotations

import pytest

from edgeapp.collect.traits.schema import (
    AT,
    LABELS,
    NO,
    PUBLISHED_GROUP,
    SISTER_PAPER,
    VALUES,
    YES,
    read_traits,
)
from edgeapp.errors import UsageError
from gallery import Taxon
from tests.edgeapp.collect.traits.conftest import said

SISTER_LABELS = (  # AnimalCLAP's table, its four labels of several values by their columns
    "diet_type activity_pattern arboreal aquatic terrestrial fossorial aerial locomotion_mode social_behavior predator "
    "migratory forest grassland desert wetland mountain urban tropical subtropical temperate boreal polar"
)


def test_there_are_34_labels_in_the_published_groups() -> None:
    assert len(LABELS) == len(AT) == 34
    assert {label.group for label in LABELS} == {
        "Diet type",
        "Activity pattern",
        "Locomotion",
        "Lifestyle",
        "Trophic level",
        "Habitat",
        "Climatic distribution",
        "Social behaviour",
        "Migration status",
    }
    assert {label.source for label in LABELS} == {SISTER_PAPER, PUBLISHED_GROUP}


def test_the_sister_papers_22_labels_are_all_there() -> None:
    names = SISTER_LABELS.split()
    assert len(names) == 22
    binary = [label for label in LABELS if not label.column]
    assert {label.name for label in binary} | set(VALUES) == set(names)
    assert all(label.source == SISTER_PAPER for label in binary)
    assert {len(values) for values in VALUES.values()} == {4}


# --- tables


def test_a_table_answers_yes_no_or_nothing(written) -> None:
    table = read_traits(written("scientific_name,forest,migratory,polar", "Parus major,yes,False,", "Bufo bufo,1,0,NA"))
    assert table.species == ("Parus major", "Bufo bufo")
    assert said(table, "Parus major") == said(table, "bufo  BUFO") == {"forest": YES, "migratory": NO}
    assert said(table, "Cuculus canorus") == {}
    assert table.absent(["Bufo bufo", "Cuculus canorus", "Cuculus canorus"]) == ("Cuculus canorus",)


def test_a_value_of_several_says_no_to_the_others(written) -> None:
    table = read_traits(written("scientific_name,activity_pattern", "Strix aluco,Nocturnal", "Bufo bufo,"))
    assert said(table, "Strix aluco") == {"nocturnal": YES, "diurnal": NO, "crepuscular": NO, "cathemeral": NO}
    assert said(table, "Bufo bufo") == {}


def test_columns_that_answer_no_label_are_told(written) -> None:
    table = read_traits(written("scientific_name,forest,forrest,class", "Parus major,yes,yes,Aves"))
    assert table.ignored == ("forrest", "class")


def test_a_synonym_in_the_table_is_found_under_its_accepted_name(written) -> None:
    table = read_traits(written("scientific_name,forest", "Sylvia curruca,no", "Parus major,yes"))
    taxa = [
        Taxon("Curruca curruca", *["x"] * 5, "Curruca", {}, ("Sylvia curruca",)),
        Taxon("Parus major", *["x"] * 5, "Parus", {}, ("Sylvia curruca",)),
        Taxon("Bufo bufo", *["x"] * 5, "Bufo", {}, ("Bufo vulgaris",)),
    ]
    both = table.with_names_of(taxa)
    assert said(both, "Curruca curruca") == said(both, "Sylvia curruca") == {"forest": NO}
    assert said(both, "Parus major") == {"forest": YES}
    assert both.absent(["Bufo bufo"]) == ("Bufo bufo",)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["scientific_name,forest", "A a,yes", "B b,maybe"], "line 3, column forest: 'maybe' is neither yes nor no"),
        (
            ["scientific_name,diet_type", "A a,frugivorous"],
            "line 2, column diet_type: 'frugivorous' is not one of herbiv",
        ),
        (
            ["scientific_name,diet_type,omnivorous", "A a,herbivorous,yes"],
            "contradicts another column about omnivorous",
        ),
        (
            ["scientific_name,forest", *(f"A {n},?!" for n in "abcdefg")],
            "line 6, column forest: '?!' is neither yes nor no and 2 more",
        ),
        (["scientific_name,forest", "A a,yes", "a A,no"], "line 3: 'a A' is already on line 2"),
        (["scientific_name,forest", ",yes"], "line 2: scientific_name is empty"),
        (["name,forest", "A a,yes"], "column scientific_name is missing"),
        (["scientific_name,woods", "A a,yes"], "no column is a trait label; the labels are herbivorous"),
        (["scientific_name,forest"], "has no line below the header"),
        (["scientific_name,forest", "A a,yes,no"], "line 2: more fields than columns"),
    ],
)
def test_a_table_that_cannot_be_used_says_why_and_where(written, lines: list[str], says: str) -> None:
    with pytest.raises(UsageError) as error:
        read_traits(written(*lines))
    assert says in str(error.value) and "traits.csv" in str(error.value)
