"""Traits from several tables, the most trusted first."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeapp.collect.traits.joined import joined
from edgeapp.collect.traits.schema import AT, NO, UNKNOWN, YES, TraitTable, read_traits
from gallery import Taxon


def taxon(name: str, *synonyms: str) -> Taxon:
    return Taxon(name, *[""] * 5, name.split()[0], {}, synonyms)


def table(path: str, **of: dict[str, int]) -> TraitTable:
    values = np.full((len(of), len(AT)), UNKNOWN, np.int8)
    for row, answers in zip(values, of.values()):
        for label, value in answers.items():
            row[AT[label]] = value
    return TraitTable(Path(path), tuple(name.replace("_", " ") for name in of), values)


OWN = table("own.csv", Parus_major={"forest": NO})
AVONET = table("avonet.csv", Parus_major={"forest": YES, "migratory": NO}, Parus_minor={"forest": YES})
TAXA = [taxon("Parus major"), taxon("Parus japonicus", "Parus minor"), taxon("Rana nova")]


def test_the_first_table_that_knows_answers() -> None:
    traits = joined(TAXA, [OWN, AVONET])
    assert traits.species == ("Parus major", "Parus japonicus", "Rana nova")
    assert traits.values[:, AT["forest"]].tolist() == [NO, YES, UNKNOWN]
    assert traits.values[:, AT["migratory"]].tolist() == [NO, UNKNOWN, UNKNOWN]


def test_the_coverage_is_told_for_every_label() -> None:
    traits = joined(TAXA, [OWN, AVONET])
    assert len(traits.coverage) == 34
    forest = traits.coverage[AT["forest"]]
    assert (forest.known, forest.yes) == (2, 1)
    assert traits.coverage[AT["nocturnal"]].known == 0


def test_without_tables_or_species_nothing_is_known() -> None:
    assert (joined(TAXA, []).values == UNKNOWN).all()
    assert joined([], [OWN]).values.shape == (0, 34)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    traits = joined(TAXA, [OWN, AVONET])
    traits.write(tmp_path / "traits.csv")
    again = read_traits(tmp_path / "traits.csv")
    assert again.species == traits.species
    assert (again.values == traits.values).all()
