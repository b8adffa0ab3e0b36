"""How far confidences can be believed, on numbers whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.reliability import calibration_error, reliability


def test_confidences_that_come_true_have_no_error() -> None:
    confidences = np.repeat([0.25, 0.75], 400)
    right = np.concatenate([np.arange(400) % 4 == 0, np.arange(400) % 4 != 0])
    assert calibration_error(confidences, right) == pytest.approx(0.0)


def test_the_error_is_the_mean_gap_of_the_bins() -> None:
    assert calibration_error(np.full(10, 0.9), np.arange(10) < 5) == pytest.approx(0.4)
    assert calibration_error(np.array([1.0, 0.0]), np.array([False, False])) == pytest.approx(0.5)
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) == 0.0


def test_precision_and_recall_are_those_at_the_threshold() -> None:
    confidences = np.array([[0.9, 0.6, 0.1], [0.4, 0.8, 0.0]])
    truth = np.array([[True, False, True], [True, True, False]])
    found = reliability(confidences, truth, 0.5)
    assert (found.precision, found.recall, found.named) == (pytest.approx(2 / 3), 0.5, 2)
    assert found.recall_among == {2: 0.75, 5: 1.0}


def test_noise_has_no_recall_and_silence_no_precision() -> None:
    found = reliability(np.full((4, 3), 0.1), np.zeros((4, 3), bool), 0.5)
    assert (found.precision, found.recall, found.named, found.recall_among) == (None, None, 0, {})
    assert found.to_dict()["precision"] is None


def test_taxa_of_no_confidence_do_not_hide_an_error() -> None:
    few, many = (np.zeros((1, taxa)) for taxa in (20, 2000))
    few[0, 0] = many[0, 0] = 0.9
    errors = [reliability(c, np.zeros(c.shape, bool), 0.5).expected_calibration_error for c in (few, many)]
    assert errors[0] == errors[1] == pytest.approx(0.09)
