"""The audio trunk is the published one, and says so when it is given another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.trainer.tiny import Tiny, audioset_head, layers
from trainer.errors import CheckpointError
from trainer.frontend import LogMel
from trainer.models.efficientat import BANDS, FEATURES, MobileNetAudio, load_published

WEIGHTS = "efficientat_mn04_as.pt"


def test_features_and_tags_are_the_reference_implementations(shared: Path) -> None:
    golden = np.load(shared / "pretrained" / "efficientat_mn04_golden.npz")
    with layers():
        trunk, head = MobileNetAudio().eval(), audioset_head()
    load_published(trunk, shared / "pretrained" / WEIGHTS)
    given = torch.load(shared / "pretrained" / WEIGHTS, weights_only=True)
    tagger = {name: tensor for name, tensor in given.items() if name.startswith("classifier.")}
    head.load_state_dict(
        {name.replace("classifier.2", "0").replace("classifier.5", "2"): t for name, t in tagger.items()}
    )
    with torch.no_grad():
        features = trunk(LogMel()(torch.from_numpy(golden["waveform"]).reshape(1, -1).float()))
        pooled = features.reshape(FEATURES, BANDS).mean(dim=1)
        logits = head(pooled)
    for ours, theirs in ((pooled, golden["features"]), (logits, golden["audioset_logits"])):
        theirs = torch.from_numpy(theirs.astype(np.float32)).reshape(-1)
        assert F.cosine_similarity(ours, theirs, dim=0) > 0.9999
        assert torch.allclose(ours, theirs, atol=0.02)


def test_features_keep_four_bands_and_forget_the_length() -> None:
    with layers():
        trunk = MobileNetAudio().eval()
    with torch.no_grad():
        for frames in (1000, 320):
            assert trunk(torch.zeros((2, 128, frames))).shape == (2, FEATURES * BANDS) == (2, trunk.out_features)


def test_published_weights_are_loaded_and_the_head_is_left(tiny: Tiny) -> None:
    trunk = MobileNetAudio()
    load_published(trunk, tiny.pretrained / WEIGHTS)
    stored = torch.load(tiny.pretrained / WEIGHTS, weights_only=True)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in trunk.state_dict().items())
    head = sorted(set(stored) - set(trunk.state_dict()))
    assert head == ["classifier.2.bias", "classifier.2.weight", "classifier.5.bias", "classifier.5.weight"]


def test_weights_that_cannot_be_used_are_named(tiny: Tiny, tmp_path: Path) -> None:
    stored = torch.load(tiny.pretrained / WEIGHTS, weights_only=True)
    (tmp_path / "text.pt").write_text("not weights")
    torch.save({name: t for name, t in stored.items() if name != "features.0.0.weight"}, tmp_path / "lacking.pt")
    torch.save({**stored, "features.0.0.weight": torch.zeros(1)}, tmp_path / "other.pt")
    for name, says in (
        ("absent.pt", "no such file"),
        ("text.pt", "not a PyTorch checkpoint"),
        ("lacking.pt", "features.0.0.weight"),
        ("other.pt", "features.0.0.weight"),
    ):
        with pytest.raises(CheckpointError) as error:
            load_published(MobileNetAudio(), tmp_path / name)
        assert name in str(error.value) and says in str(error.value) and "\n" not in str(error.value)
