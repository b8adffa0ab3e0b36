"""What EltonTraits answers of the labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeapp.collect.traits.elton import DIET, STRATA, answers, from_elton
from edgeapp.collect.traits.schema import LABELS, NO, UNKNOWN, YES
from edgeapp.errors import UsageError

STRATUM_COLUMNS = [column for columns in STRATA.values() for column in columns]


def told(**shares: str) -> dict[str, int]:
    """Answers for an animal of which only this is known; other shares of a group that is given are 0."""
    fields = dict(shares)
    for group in (DIET, STRATUM_COLUMNS):
        if set(group) & set(shares):
            fields = {**dict.fromkeys(group, "0"), **fields}
    return answers(fields)


def yes(values: dict[str, int]) -> set[str]:
    return {name for name, value in values.items() if value == YES}


@pytest.mark.parametrize(
    ("shares", "labels"),
    [
        ({"diet_seed": "60", "diet_inv": "40"}, {"herbivorous"}),
        ({"diet_inv": "60", "diet_seed": "40"}, {"insectivorous", "predator"}),
        ({"diet_vend": "30", "diet_vfish": "30", "diet_inv": "40"}, {"carnivorous", "predator"}),
        ({"diet_scav": "80", "diet_vect": "20"}, {"carnivorous"}),
        ({"diet_inv": "50", "diet_fruit": "50"}, {"omnivorous"}),
        ({"diet_inv": "40", "diet_vend": "20", "diet_fruit": "40"}, {"omnivorous", "predator"}),
    ],
)
def test_the_main_food_gives_the_diet(shares: dict[str, str], labels: set[str]) -> None:
    values = told(**shares)
    assert yes(values) == labels
    assert set(values) == {"herbivorous", "insectivorous", "carnivorous", "omnivorous", "predator"}


def test_strata_give_the_lifestyle() -> None:
    assert yes(told(forstrat_midhigh="40", forstrat_canopy="40", forstrat_ground="20")) == {"arboreal"}
    assert yes(told(forstrat_ground="50", forstrat_aerial="50")) == set()
    assert yes(told(forstrat_value="G")) == {"terrestrial"}
    assert told(forstrat_value="S") == told(forstrat_value="") == {}


def test_hours_of_activity_are_those_of_birds_or_of_mammals() -> None:
    assert told(nocturnal="1")["diurnal"] == NO
    assert told(nocturnal="0") == {"nocturnal": NO}
    hours = {"activity_nocturnal": "1", "activity_crepuscular": "1", "activity_diurnal": "0"}
    assert yes(told(**hours)) == {"nocturnal", "crepuscular"}
    assert yes(told(**{**hours, "activity_diurnal": "1"})) == {"cathemeral"}
    assert told(**dict.fromkeys(hours, "0")) == {}


def test_a_share_that_is_not_known_answers_nothing() -> None:
    assert told(diet_seed="60", diet_inv="NA") == {}


def published(path: Path, rows: list[str]) -> Path:
    """The layout of BirdFuncDat.txt: tabs, Latin-1, dashes in the names of columns, a footnote."""
    columns = ["SpecID", "Scientific", *(name.replace("_", "-").title() for name in DIET), "Nocturnal"]
    path.write_bytes("\n".join(["\t".join(columns), *rows, "\t\t"]).encode("latin-1"))
    return path


def test_the_published_layout_is_read(tmp_path: Path) -> None:
    path = published(tmp_path / "BirdFuncDat.txt", ["1\tParus  majör\t100" + "\t0" * 9 + "\t0"])
    table = from_elton(path)
    assert table.species == ("Parus majör",)
    assert {label.name for label, value in zip(LABELS, table.values[0]) if value == YES} == {
        "insectivorous",
        "predator",
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        (b"a,b\n1,2\n", "has not the columns"),
        (b"", "has not the columns"),
        (("scientific_name," + ",".join(DIET) + "\n").encode(), "has no species"),
        (("scientific_name," + ",".join(DIET) + "\nA a,many" + ",0" * 9).encode(), "line 2: could not convert"),
    ],
)
def test_another_table_is_one_line(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "elton.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        from_elton(path)


def test_the_whole_of_the_birds_is_read(shared: Path) -> None:
    table = from_elton(shared / "metadata" / "elton_birds.csv")
    assert len(table.species) > 9_900
    answered = {label.name for label, column in zip(LABELS, table.values.T) if (column != UNKNOWN).any()}
    assert len(answered) == 13
