"""What people reviewed changes the taxon that they named, near the sound that they heard, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gallery import (
    Counterexample,
    DecisionParameters,
    Entry,
    Gallery,
    GalleryError,
    Index,
    Recognition,
    Reviewed,
    Taxon,
    Vocabulary,
    recognise,
)
from gallery.products import unit as of_unit_length
from gallery.reviewed import MOST_LOWERED, MOST_RAISED

LOUD = -20.0
TIT, MARSH = "Parus major", "Parus minor"
RULES = ("pursuit", "independent", "shared")


@pytest.fixture(params=RULES)
def parameters(parameters: DecisionParameters, request) -> DecisionParameters:
    scale, bias = {"text": 20.0, "audio": 20.0}, {"text": 0.0, "audio": 0.0}
    weight = {"text": 1.0, "audio": 1.0}
    return replace(parameters, scale=scale, bias=bias, weight=weight, null_logit=8.0, rule=request.param)


@pytest.fixture
def index(taxa: list[Taxon], unit) -> Index:
    """Every taxon has a recording along an axis of its own, but for the last, which has a name alone."""
    entries = [Entry(t.scientific_name, "audio", unit(row), "a.wav") for row, t in enumerate(taxa[:-1])]
    return Index.of_entries(taxa, [*entries, Entry(taxa[-1].scientific_name, "text", unit(len(taxa) - 1), "common")])


def hear(vector: np.ndarray, index: Index, parameters: DecisionParameters, reviewed: Reviewed | None) -> Recognition:
    if parameters.rule == "independent":  # a logit of 20 is sure of everything: as far from nothing as elsewhere
        parameters = replace(parameters, offset=-parameters.null_logit)
    [found] = recognise(vector[None], [LOUD], Vocabulary(index, parameters, reviewed=reviewed))
    return found


def names(found: Recognition) -> set[str]:
    return {one.scientific_name for one in found.detections}


def between(taxa: list[Taxon], unit, first: float, second: float) -> np.ndarray:
    return of_unit_length((first * unit(0) + second * unit(1) + 0.3 * unit(6))[None])[0]


def not_this(name: str, *vectors: np.ndarray) -> Reviewed:
    return Reviewed({}, {name: np.stack(vectors)})


def confirmed(name: str, *vectors: np.ndarray) -> Reviewed:
    return Reviewed({name: np.stack(vectors)}, {})


@pytest.mark.parametrize("seed", range(10))
def test_what_was_not_reviewed_keeps_its_confidence_to_the_last_bit(taxa, index, parameters, seed):
    rng = np.random.default_rng(seed)
    vector, other = of_unit_length(rng.normal(size=(2, 8)).astype(np.float32))
    reviewed = Reviewed(
        {TIT: vector[None]}, {TIT: other[None], MARSH: vector[None]}, {("genus", "Corvus"): vector[None]}
    )

    before, after = hear(vector, index, parameters, None), hear(vector, index, parameters, reviewed)

    untouched = [row for row, taxon in enumerate(taxa) if taxon.scientific_name not in (TIT, MARSH)]
    assert (before.confidences[untouched] == after.confidences[untouched]).all()
    assert before.anything == after.anything
    kept = [{d.scientific_name: d for d in found.detections} for found in (before, after)]
    for name in kept[0].keys() - {TIT, MARSH, "Parus"}:
        assert kept[1][name] == kept[0][name]


def test_a_counterexample_lowers_its_taxon_near_it(index, parameters, unit):
    sound = of_unit_length((unit(0) + unit(6))[None])[0]
    before = hear(sound, index, parameters, None)
    after = hear(sound, index, parameters, not_this(TIT, sound))
    assert TIT in names(before) and TIT not in names(after)
    assert after.confidences[0] < 0.5 < before.confidences[0]


def test_the_farther_a_sound_is_the_less_it_is_lowered(index, parameters, unit):
    rejected = of_unit_length((unit(0) + unit(6))[None])[0]
    lowered = []
    for turn in (0.0, 0.5, 1.0, 2.0, 4.0):
        sound = of_unit_length((unit(0) + unit(6) + turn * unit(7))[None])[0]
        odds = [
            float(np.log(c / (1 - c)))
            for c in (
                np.float64(hear(sound, index, parameters, reviewed).confidences[0])
                for reviewed in (None, not_this(TIT, rejected))
            )
        ]
        lowered.append(odds[0] - odds[1])
    assert lowered == pytest.approx(sorted(lowered, reverse=True), abs=1e-3) and lowered[0] > 2 * lowered[-1] >= 0
    far = hear(unit(0), index, parameters, not_this(TIT, unit(6)))
    assert far.confidences[0] == pytest.approx(hear(unit(0), index, parameters, None).confidences[0], abs=1e-3)


@pytest.mark.parametrize("many", [1, 50])
def test_a_wrong_review_cannot_silence_a_clear_song(index, parameters, unit, many):
    reviewed = not_this(TIT, *[unit(0)] * many)
    assert TIT in names(hear(unit(0), index, parameters, reviewed))


def test_a_confirmed_sound_raises_its_taxon_near_it(index, parameters, unit):
    sound = of_unit_length((0.38 * unit(0) + unit(6))[None])[0]
    before = hear(sound, index, parameters, None)
    after = hear(sound, index, parameters, confirmed(TIT, sound))
    assert before.confidences[0] < after.confidences[0]
    assert TIT not in names(before) and TIT in names(after)
    [tit] = [one for one in after.detections if one.scientific_name == TIT]
    assert tit.confidence == pytest.approx(float(after.confidences[0])) and tit.common_name == "Great Tit"
    elsewhere = unit(7)
    assert hear(elsewhere, index, parameters, confirmed(TIT, sound)).confidences[0] == pytest.approx(
        hear(elsewhere, index, parameters, None).confidences[0], abs=1e-3
    )


def test_a_corrected_sound_is_named_rightly_from_then_on(index, parameters, unit):
    sound = of_unit_length((0.62 * unit(0) + 0.58 * unit(1) + 0.5 * unit(6))[None])[0]
    reviewed = Reviewed({MARSH: sound[None]}, {TIT: sound[None]})
    assert TIT in names(hear(sound, index, parameters, None))
    assert names(hear(sound, index, parameters, reviewed)) == {MARSH}


def test_a_species_known_by_name_alone_is_heard_once_confirmed(taxa, index, parameters, unit):
    last = taxa[-1].scientific_name
    assert last not in names(hear(unit(7), index, parameters, None))
    assert last in names(hear(unit(7), index, parameters, confirmed(last, unit(7))))


def test_a_rejected_group_is_lowered_near_it_alone(taxa, parameters, unit):
    near = np.stack([unit(row) for row in range(6)])
    near[1] = 0.95 * unit(0) + np.sqrt(1 - 0.95**2) * unit(1)
    alike = Index(taxa, {"audio": near})
    parameters = replace(parameters, threshold=0.9, rule="pursuit", null_logit=6.0)
    sound = of_unit_length((unit(0) + 0.16 * unit(1))[None])[0]
    of_genus = {("genus", "Parus"): sound[None]}

    [group] = hear(sound, alike, parameters, None).detections
    lowered = [one.confidence for one in hear(sound, alike, parameters, Reviewed({}, {}, of_genus)).detections]
    elsewhere = Reviewed({}, {}, {("genus", "Parus"): unit(7)[None]})

    assert group.scientific_name == "Parus"
    assert not lowered or lowered[0] < group.confidence
    [kept] = hear(sound, alike, parameters, elsewhere).detections
    assert kept.confidence == pytest.approx(group.confidence, abs=1e-3)
    assert names(hear(sound, alike, parameters, Reviewed({}, {}, {("family", "Paridae"): sound[None]}))) == {"Parus"}


def test_reviews_count_where_recordings_do(index, parameters, unit):
    reviewed = not_this(TIT, unit(0))
    for modalities, counts in ((("audio",), True), (("text",), False)):
        vocabulary = Vocabulary(index, parameters, modalities, reviewed)
        assert bool(vocabulary.changes(unit(0))) is (counts and TIT in vocabulary.rows)


def test_names_that_the_gallery_lacks_change_nothing(index, parameters, unit):
    reviewed = Reviewed({"Nothing here": unit(0)[None]}, {"Nor here": unit(0)[None]})
    before, after = hear(unit(0), index, parameters, None), hear(unit(0), index, parameters, reviewed)
    assert (before.confidences == after.confidences).all() and before.detections == after.detections


def test_a_gallery_keeps_counterexamples_apart_from_its_entries(filled: Path, unit):
    examples = [
        Counterexample("species", TIT, unit(0), "detection 1", "ana", "CC0", "garden"),
        Counterexample("order", "Passeriformes", unit(3), "detection 1"),
    ]
    with Gallery.open(filled, readonly=False) as gallery:
        before = Index.of(gallery)
        assert gallery.add_counterexamples(examples).added == 2
        after = Index.of(gallery)
    with Gallery.open(filled) as gallery:
        kept = gallery.counterexamples()
        assert [(one.taxon_rank, one.scientific_name, one.author, one.licence, one.source) for one in kept] == [
            ("species", TIT, "ana", "CC0", "garden"),
            ("order", "Passeriformes", "", "", ""),
        ]
        assert np.array_equal(kept[0].vector, unit(0)) and gallery.info()["counterexamples"] == 2
    assert all(np.array_equal(before.centroids[m], after.centroids[m]) for m in before.modalities)


def test_what_cannot_be_a_counterexample_is_rejected_with_the_reason(filled: Path, unit):
    with Gallery.open(filled, readonly=False) as gallery:
        good = Counterexample("species", TIT, unit(0), "one")
        added = gallery.add_counterexamples([good, good, replace(good, label="two", vector=2 * unit(0))])
        assert added.added == 1
        assert [one.reason for one in added.rejected] == [
            "counterexample is in the gallery already",
            "vector of length 2 instead of 1",
        ]
    with Gallery.open(filled) as gallery, pytest.raises(GalleryError, match="open for reading"):
        gallery.add_counterexamples([good])


def test_a_gallery_gives_what_was_reviewed(filled: Path, taxa, unit, index, parameters):
    with Gallery.open(filled, readonly=False) as gallery:
        gallery.add_entries([Entry(TIT, "audio", unit(6), "detection 1")])
        gallery.add_counterexamples([Counterexample("species", MARSH, unit(6), "detection 1")])
        reviewed = Reviewed.of(gallery)
    changes = Vocabulary(index, parameters, reviewed=reviewed).changes(unit(6))
    assert {index.taxa[row].scientific_name: change.shift for row, change in changes.items()} == {
        TIT: MOST_RAISED,
        MARSH: -MOST_LOWERED,
    }
