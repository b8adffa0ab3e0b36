"""Log-odds of taxa that compete, against the formulas worked out plainly; and whole windows against the same."""

from dataclasses import replace

import numpy as np
import pytest

from gallery import Gallery, Index, Taxon, Vocabulary, recognise
from gallery.competition import Competition
from gallery.recognition import LEAST_FOUND, LEAST_LEFT

LOUD = -20.0


def plain_odds(logits, null, together):
    others = np.tile(logits, (len(logits), 1))
    others[:, together] = -np.inf
    np.fill_diagonal(others, -np.inf)
    return logits - np.logaddexp(np.logaddexp.reduce(others, axis=1), null)


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0, 300.0])
@pytest.mark.parametrize("together", [[], [3], [0, 7]])
def test_log_odds_are_those_of_the_formula(spread, together):
    logits = np.random.default_rng(2).standard_normal(200) * spread
    for null in (-5.0, 0.0, 40.0):
        competition, plain = Competition(logits, null, together), plain_odds(logits, null, together)
        sure = np.abs(plain) < 20  # beyond, the others are less than the rounding of the whole
        np.testing.assert_allclose(competition.odds()[sure], plain[sure], atol=1e-6)
        assert (np.sign(competition.odds()[~sure]) == np.sign(plain[~sure])).all()
        rows = np.flatnonzero(sure).tolist()[:5]
        assert [competition.odds_of(row) for row in rows] == pytest.approx(plain[rows].tolist(), abs=1e-6)
        free = np.delete(np.arange(len(logits)), together)
        assert competition.likeliest == free[logits[free].argmax()]
        assert competition.anything() == pytest.approx(np.logaddexp.reduce(logits[free]) - null, abs=1e-9)
        assert competition.of_any() == pytest.approx(competition.probabilities().sum())


def plainly(vector, vocabulary):
    """Species of a window and its confidences by the rule ``pursuit``, with all taxa gone through at every step."""
    parameters, [logits] = vocabulary.parameters, vocabulary.logits(vector[None]).astype(float)
    directions = np.stack([vocabulary.unit_direction(row) for row in range(len(vocabulary))]).astype(float)
    scaled = np.asarray(vocabulary.directions, float)
    heard = vector.astype(float) / np.linalg.norm(vector)

    def odds(rows):
        z = logits
        if rows:
            units = directions[rows]
            amounts = np.linalg.lstsq(units @ units.T, units @ heard, rcond=None)[0]
            kept = list(rows)
            while (amounts < 0).any():
                kept = [row for row, amount in zip(kept, amounts) if amount >= 0]
                units = directions[kept]
                amounts = np.linalg.lstsq(units @ units.T, units @ heard, rcond=None)[0]
            left = max(float(np.linalg.norm(heard - amounts @ units)), LEAST_LEFT)
            shift = scaled @ (amounts @ units)
            z = (logits - vocabulary.bias - shift) / left + vocabulary.bias
        found = plain_odds(z, parameters.null_logit, rows)
        return 1 / (1 + np.exp(-(parameters.slope * found + parameters.offset)))

    found = []
    while len(found) < 6:
        confidences = odds(found)
        confidences[found] = -1
        if confidences.max() < LEAST_FOUND:
            break
        found.append(int(confidences.argmax()))
    unsure = {}
    while found:
        sure = {row: odds([other for other in found if other != row])[row] for row in found}
        weakest = min(sure, key=sure.get)
        if sure[weakest] >= parameters.threshold:
            break
        unsure[weakest] = sure[weakest]
        found.remove(weakest)
    confidences = odds(found)
    for row, confidence in unsure.items():
        confidences[row] = max(confidences[row], confidence)
    for row in found:
        confidences[row] = sure[row]
    return sorted(vocabulary.taxa[row].scientific_name for row in found), confidences


def mixed(directions, n, noise=0.6, seed=5):
    """Windows [n, dim] of up to three taxa each, in noise."""
    rng = np.random.default_rng(seed)
    amounts = rng.random((n, 3)) * (rng.random((n, 3)) < [0.9, 0.6, 0.3])
    vectors = (amounts[:, :, None] * directions[rng.integers(0, len(directions), (n, 3))]).sum(axis=1)
    vectors += rng.standard_normal(vectors.shape) * noise / np.sqrt(directions.shape[1])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def agree(vocabulary, vectors):
    detected = 0
    for found, vector in zip(recognise(vectors, [LOUD] * len(vectors), vocabulary), vectors):
        names, confidences = plainly(vector, vocabulary)
        species = sorted(one.scientific_name for one in found.detections if one.taxon_rank == "species")
        assert species == names
        np.testing.assert_allclose(found.confidences, confidences, atol=2e-5)
        detected += len(names)
    assert detected > len(vectors) / 3


def test_many_windows_at_once_are_decided_as_each_plainly(parameters, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gallery.recognition.WINDOWS_AT_ONCE", 16)
    rng = np.random.default_rng(6)
    taxa = [
        Taxon(f"Genus{row // 3} species{row}", "A", "B", "C", "D", "E", f"Genus{row // 3}", {}) for row in range(90)
    ]
    centroids = (rng.standard_normal((30, 64))[np.arange(90) // 3] + rng.standard_normal((90, 64))).astype(np.float32)
    vocabulary = Vocabulary(Index(taxa, {"text": centroids}), replace(parameters, null_logit=9.0))
    agree(vocabulary, mixed(vocabulary.directions / 20.0, 40))


def test_taxa_with_other_modalities_are_decided_as_each_plainly(parameters):
    rng = np.random.default_rng(8)
    taxa = [Taxon(f"Genus{row} species", "A", "B", "C", "D", "E", f"Genus{row}", {}) for row in range(60)]
    centroids = {one: rng.standard_normal((60, 64)).astype(np.float32) for one in ("text", "image", "audio")}
    centroids["image"][::3] = centroids["audio"][1::2] = 0.0
    tables = {
        "scale": {"text": 20.0, "image": 25.0, "audio": 30.0},
        "bias": {"text": 0.0, "image": 1.0, "audio": -2.0},
        "weight": {"text": 1.0, "image": 3.0, "audio": 2.0},
    }
    for slope, null_logit in ((1.0, 9.0), (0.6, 7.0)):
        mixing = replace(parameters, **tables, slope=slope, null_logit=null_logit)
        vocabulary = Vocabulary(Index(taxa, centroids), mixing)
        agree(vocabulary, mixed(vocabulary.directions / 20.0, 30))


def test_real_vectors_are_decided_as_each_plainly(starter_pack):
    from edgeapp.pack.format import Pack

    pack = Pack.load(starter_pack, verify=False)
    with Gallery.open(starter_pack / "gallery.sqlite") as gallery:
        vocabulary = Vocabulary(Index.of(gallery), pack.decision)
        sounds = np.stack([entry.vector for entry in gallery.entries("audio") if entry.logit_scale is None])
    agree(vocabulary, mixed(sounds, 8, noise=0.2))
