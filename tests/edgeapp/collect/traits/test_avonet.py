"""What AVONET answers of the labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeapp.collect.traits.avonet import answers, belts, from_avonet
from edgeapp.collect.traits.schema import LABELS, NO, UNKNOWN, YES
from edgeapp.errors import UsageError
from tests.edgeapp.collect.traits.conftest import said


def bird(**given: str) -> dict[str, int]:
    """What AVONET answers for a bird of which only this is known."""
    unknown = (
        "Habitat",
        "Migration",
        "Trophic.Level",
        "Trophic.Niche",
        "Primary.Lifestyle",
        "Min.Latitude",
        "Max.Latitude",
    )
    return answers({**dict.fromkeys(unknown, "NA"), **{name.replace("_", "."): value for name, value in given.items()}})


def yes(told: dict[str, int]) -> set[str]:
    return {name for name, value in told.items() if value == YES}


@pytest.mark.parametrize(
    ("habitat", "label"),
    [
        ("Forest", "forest"),
        ("Woodland", "forest"),
        ("Riverine", "wetland"),
        ("Human Modified", "urban"),
        ("Marine", None),
    ],
)
def test_a_main_habitat_denies_the_others_but_not_mountains(habitat: str, label: str | None) -> None:
    told = bird(Habitat=habitat)
    assert set(told) == {"forest", "grassland", "desert", "wetland", "urban"}
    assert yes(told) == ({label} if label else set())


def test_what_avonet_leaves_open_stays_open() -> None:
    assert bird() == bird(Habitat="Coastal") == bird(Primary_Lifestyle="Generalist") == {}


@pytest.mark.parametrize(
    ("level", "niche", "diet"),
    [
        ("Herbivore", "Granivore", {"herbivorous"}),
        ("Omnivore", "Invertivore", {"omnivorous"}),
        ("Carnivore", "Invertivore", {"insectivorous", "predator"}),
        ("Carnivore", "Aquatic predator", {"carnivorous", "predator"}),
        ("Scavenger", "Scavenger", {"carnivorous"}),
        ("Carnivore", "NA", {"predator"}),
    ],
)
def test_trophic_level_and_niche_give_the_diet(level: str, niche: str, diet: set[str]) -> None:
    told = bird(Trophic_Level=level, Trophic_Niche=niche)
    assert yes(told) == diet
    assert ("insectivorous" in told) == (niche != "NA")  # a carnivore without a niche may live on insects or not


def test_only_full_migrants_are_migratory() -> None:
    assert [bird(Migration=code)["migratory"] for code in "123"] == [NO, NO, YES]


@pytest.mark.parametrize(
    ("south", "north", "reached"),
    [
        (-10.0, 10.0, {"tropical"}),
        (30.0, 60.0, {"subtropical", "temperate", "boreal"}),
        (-60.0, -30.0, {"subtropical", "temperate"}),  # no boreal zone in the south
        (-37.5, 71.1, {"tropical", "subtropical", "temperate", "boreal", "polar"}),
        (20.0, 24.0, {"tropical"}),  # half a degree of the subtropics is not enough
        (40.1, 40.3, {"temperate"}),  # all of a small range
        (-75.0, -68.0, {"polar"}),
    ],
)
def test_a_range_reaches_into_belts_of_latitude(south: float, north: float, reached: set[str]) -> None:
    told = belts(south, north)
    assert yes(told) == reached and len(told) == 5


AVONET = "Species1,Habitat,Migration,Trophic.Level,Trophic.Niche,Primary.Lifestyle,Min.Latitude,Max.Latitude"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Parus major,Moor,1,NA,NA,NA,NA,NA", "line 2: 'Moor' is not a value of AVONET"),
        ("Parus major,NA,4,NA,NA,NA,NA,NA", "line 2: '4'"),
        ("Parus major,NA,NA,Vegan,NA,NA,NA,NA", "line 2: 'Vegan'"),
        ("Parus major,NA,NA,NA,NA,NA,50,40", "line 2: latitude 50 to 40"),
        ("Parus major,NA,NA,NA,NA,NA,50,north", "line 2: could not convert"),
    ],
)
def test_a_value_that_avonet_does_not_have_is_named(written, line: str, says: str) -> None:
    with pytest.raises(UsageError) as error:
        from_avonet(written(AVONET, line))
    assert says in str(error.value)


def test_another_table_is_not_taken_for_avonet(written) -> None:
    with pytest.raises(UsageError, match="column Species1 is missing"):
        from_avonet(written("scientific_name,Habitat", "Parus major,Forest"))


def test_the_whole_of_avonet_is_read(shared: Path) -> None:
    table = from_avonet(shared / "metadata" / "AVONETdataset1.csv")
    assert len(table.species) == 11_009
    answered = {label.name for label, column in zip(LABELS, table.values.T) if (column != UNKNOWN).any()}
    assert len(answered) == 20
    swallow = said(table, "Hirundo rustica")
    assert yes(swallow) >= {"aerial", "insectivorous", "predator", "migratory", "urban", "tropical", "boreal"}
    assert swallow["forest"] == swallow["terrestrial"] == NO
    grouse = said(table, "Lagopus muta")
    assert yes(grouse) >= {"herbivorous", "terrestrial", "polar"} and grouse["migratory"] == NO


@pytest.mark.parametrize("column", ["Species1", "Species2", "Species3"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_each_of_its_tables_is_read_as_a_spreadsheet_writes_it(column: str, delimiter: str, written) -> None:
    header = f"{column},Habitat,Migration,Trophic.Level,Trophic.Niche,Primary.Lifestyle,Min.Latitude,Max.Latitude"
    row = "Parus major,Forest,1,Omnivore,Omnivore,Insessorial,-10.5,63.2"
    if delimiter == ";":
        row = row.replace(".5", "~5").replace(".2", "~2")
    path = written(*(line.replace(",", delimiter).replace("~", ",") for line in (header, row)))
    told = said(from_avonet(path), "Parus major")
    assert told["forest"] == told["tropical"] == YES and told["migratory"] == NO


def test_a_table_without_species_says_which_column_it_wants(written) -> None:
    path = written(
        "Habitat,Migration,Trophic.Level,Trophic.Niche,Primary.Lifestyle,Min.Latitude,Max.Latitude", "Forest"
    )
    with pytest.raises(UsageError, match="Species1 is missing; it must have one of Species1, Species2, Species3"):
        from_avonet(path)
