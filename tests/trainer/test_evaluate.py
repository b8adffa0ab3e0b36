"""Retrieval on vectors made by hand, whose ranks are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gallery import Taxon
from trainer.evaluate import (
    DIRECTIONS,
    LEVELS,
    TOPS,
    Embedded,
    group_rows,
    recording_vectors,
    retrieve,
    summary,
    table,
)
from trainer.heard import Heard

N = 12
EVERY = np.arange(N)


def turned(steps: list[int]) -> Embedded:
    """One vector a taxon on a half circle, each moved `steps` places along it."""
    angle = (EVERY + np.array(steps)) * (np.pi / N)
    return Embedded(np.stack([np.cos(angle), np.sin(angle)], axis=1), EVERY)


def test_every_query_on_its_target_is_top_1() -> None:
    top, queries, candidates = retrieve(turned([0] * N), turned([0] * N), EVERY)
    assert (top, queries, candidates) == ({1: 1.0, 5: 1.0, 10: 1.0}, N, N)


def test_shares_count_the_queries_whose_target_is_among_the_first() -> None:
    target = Embedded(np.eye(N), EVERY)
    scores = np.zeros((4, N))
    for row, better in enumerate((0, 1, 5, 10)):  # so many taxa score more than the right one, taxon 11
        scores[row, 11] = 0.5
        scores[row, :better] = 0.9
    top, queries, _ = retrieve(Embedded(scores, np.full(4, 11)), target, EVERY)
    assert queries == 4 and top == {1: 0.25, 5: 0.5, 10: 0.75}


def test_a_taxons_score_is_that_of_its_best_sample() -> None:
    target = Embedded(np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]]), np.array([0, 0, 1]))
    top, _, candidates = retrieve(Embedded(np.array([[0.0, 1.0]]), np.array([0])), target, EVERY)
    assert candidates == 2 and top[1] == 1.0


def test_queries_without_a_target_are_not_asked() -> None:
    target = Embedded(np.eye(N)[:3], np.arange(3))
    top, queries, candidates = retrieve(Embedded(np.eye(N), EVERY), target, EVERY)
    assert (top[1], queries, candidates) == (1.0, 3, 3)
    top, queries, _ = retrieve(Embedded(np.eye(N)[5:], EVERY[5:]), target, EVERY)
    assert queries == 0 and math.isnan(top[1])


def test_a_genus_is_found_by_any_of_its_species() -> None:
    query = Embedded(np.array([[1.0, 0.0, 0.0]]), np.array([0]))
    target = Embedded(np.array([[0.0, 1.0, 0.0], [0.9, 0.1, 0.0], [0.5, 0.0, 0.5]]), np.array([0, 1, 2]))
    assert retrieve(query, target, np.array([0, 1, 2]))[0][1] == 0.0  # the nearest is the other species
    assert retrieve(query, target, np.array([0, 0, 1]))[0][1] == 1.0  # of the same genus


def test_groups_are_those_of_the_taxonomy_and_unknown_ranks_have_none(taxa: list[Taxon]) -> None:
    nameless = Taxon("Nova species", "Animalia", "", "", "", "", "", {})
    species, genus, family = (group_rows([*taxa, nameless], level) for level in LEVELS)
    assert len(set(species.tolist())) == 5 and -1 not in species
    major, minor, cuckoo, toad, unknown = genus.tolist()
    assert major == minor and len({major, cuckoo, toad}) == 3 and unknown == -1
    assert family.tolist()[4] == -1


def test_a_taxon_of_unknown_genus_is_neither_query_nor_candidate() -> None:
    groups = np.array([0, 1, -1])
    embedded = Embedded(np.eye(3), np.arange(3))
    assert retrieve(embedded, embedded, groups)[1:] == (2, 2)


@pytest.fixture
def embedded() -> dict[str, Embedded]:
    eye = np.eye(4)
    return {
        "audio": Embedded(eye[[0, 0, 1, 2, 3]], np.array([0, 0, 1, 2, 3])),
        "image": Embedded(eye[:2], np.arange(2)),
        "text": Embedded(eye, np.arange(4)),
    }


def test_the_table_has_six_directions_at_three_levels(embedded: dict[str, Embedded], taxa: list[Taxon]) -> None:
    rows = table(embedded, taxa)
    assert len(rows) == 18
    assert {(row.level, row.query, row.target) for row in rows} == {(x, *d) for x in LEVELS for d in DIRECTIONS}
    asked = {(row.query, row.target): (row.queries, row.candidates) for row in rows if row.level == "species"}
    assert asked["audio", "text"] == (5, 4) and asked["audio", "image"] == (3, 2) and asked["image", "audio"] == (2, 4)
    assert all(set(row.top) == set(TOPS) and row.top[1] == 1.0 for row in rows)


def test_the_figures_of_the_log_leave_out_directions_nobody_asks(embedded, taxa: list[Taxon]) -> None:
    sounds = embedded["audio"]
    windows = [vector[None].astype(np.float32) for vector in sounds.vectors]
    heard = Heard(windows, [np.array([-20.0]) for _ in windows], sounds.taxon)
    assert summary(embedded, heard, taxa)["audio_text_top1"] == 1.0
    none = {**embedded, "image": Embedded(np.zeros((0, 4)), np.zeros(0, int))}
    assert set(summary(none, heard, taxa)) == {"audio_text_top1", "audio_text_top5"}


def test_a_recording_is_the_mean_of_its_windows_with_sound(taxa: list[Taxon]) -> None:
    windows = np.eye(4, dtype=np.float32)[:3]
    levels = [np.array([-20.0, -100.0, -20.0]), np.array([-100.0, -100.0, -100.0])]
    found = recording_vectors(Heard([windows, windows], levels, np.array([0, 1])))
    np.testing.assert_allclose(found.vectors[0], np.array([1, 0, 1, 0]) / np.sqrt(2), atol=1e-6)
    np.testing.assert_allclose(found.vectors[1], np.array([1, 1, 1, 0]) / np.sqrt(3), atol=1e-6)
