"""Names that two sets of vectors give the same recordings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from export.agreement import Agreement, agree, likeliest, require
from export.errors import ParityError
from gallery import starter_taxa
from trainer.heard import uncalibrated

TAXA = starter_taxa()[:3]
PARAMETERS = replace(uncalibrated(("text",)), null_logit=12.0, silence_dbfs=-60.0, pool_windows=1)
LOUD = np.random.default_rng(0).standard_normal(100).astype(np.float32)
RECORDINGS = [("a.wav", np.stack([LOUD, LOUD])), ("b.wav", LOUD[None]), ("still.wav", np.zeros((1, 100), np.float32))]
NAMES = np.eye(3, 4)


def test_a_recording_is_named_by_its_best_window_and_silence_by_nothing() -> None:
    heard = [np.array([[0.5, 0.5, 0.5, 0.5], [0.0, 1.0, 0.0, 0.0]], np.float32), NAMES[2:], NAMES[:1]]
    named = likeliest(RECORDINGS, heard, NAMES, TAXA, PARAMETERS)
    assert named == [TAXA[1].scientific_name, TAXA[2].scientific_name, ""]


def test_the_share_counts_what_was_heard_and_names_a_difference() -> None:
    found = agree(RECORDINGS, ["Parus major", "Parus minor", ""], ["Parus major", "Bufo bufo", ""])
    assert found == Agreement(0.5, 2, "b.wav (Parus minor, now Bufo bufo)")
    with pytest.raises(ParityError, match=r"0\.5000 of 2 recordings, below 0\.97; first b\.wav"):
        require(found, 0.97)
    assert require(found, 0.5) is found


def test_no_recording_is_no_agreement() -> None:
    with pytest.raises(ParityError, match="no recording to compare"):
        require(agree(RECORDINGS[2:], [""], [""]), 0.0)
