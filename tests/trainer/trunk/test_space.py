"""The map into a pack's space: what it takes away, and that nothing is lost by it."""

from pathlib import Path

import numpy as np
import pytest

from trainer.errors import DataError
from trainer.trunk.space import SPACE, Whitening, fit_space

DIM = 12


def recordings(seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Six taxa with five recordings each, which differ by far the most along the first axis: the microphone's."""
    rng = np.random.default_rng(seed)
    taxa = rng.normal(size=(6, DIM))
    taxon = np.repeat(np.arange(6), 5)
    microphone = np.eye(DIM)[0] * 8
    offsets = [taxa[one] + microphone * rng.normal() + 0.1 * rng.normal(size=DIM) for one in taxon]
    return [(offset + 0.05 * rng.normal(size=(3, DIM))).astype(np.float32) for offset in offsets], taxon


def cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def test_recordings_of_one_species_come_closer_than_before():
    windows, taxon = recordings()
    space = fit_space(windows, taxon, shrinkage=0.01)
    means = np.stack([of_one.mean(axis=0) for of_one in windows])
    same = (taxon[:, None] == taxon) & ~np.eye(len(taxon), dtype=bool)
    gap = [c[same].mean() - c[taxon[:, None] != taxon].mean() for c in map(cosines, (means, space.vectors(means)))]
    assert gap[1] > gap[0] + 0.2


def test_a_classifier_gives_the_same_logits_in_the_space():
    windows, taxon = recordings()
    space = fit_space(windows, taxon)
    rng = np.random.default_rng(1)
    weights, bias = rng.normal(size=(4, DIM)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    rows, shifted = space.rows(weights, bias)
    np.testing.assert_allclose(space.vectors(windows[0]) @ rows.T + shifted, windows[0] @ weights.T + bias, atol=1e-3)
    back = space.layer(rows, shifted)
    np.testing.assert_allclose(back[0], weights, atol=1e-4)
    np.testing.assert_allclose(back[1], bias, atol=1e-3)


def test_vectors_of_the_space_can_be_undone():
    windows, taxon = recordings()
    space = fit_space(windows, taxon)
    np.testing.assert_allclose(space.embeddings(space.vectors(windows[3])), windows[3], atol=1e-4)


def test_a_space_is_kept_in_half_precision(tmp_path: Path):
    space = fit_space(*recordings())
    space.save(tmp_path)
    kept = Whitening.load(tmp_path)
    np.testing.assert_allclose(kept.matrix, space.matrix, atol=2e-3)
    with np.load(tmp_path / SPACE) as file:
        assert {file[name].dtype for name in ("mean", "matrix")} == {np.dtype(np.float16)}


def test_a_space_needs_taxa_with_several_recordings():
    windows, _ = recordings()
    with pytest.raises(DataError, match="0 taxa have several recordings"):
        fit_space(windows, np.arange(len(windows)))


@pytest.mark.parametrize("content", [None, b"no archive"], ids=["missing", "damaged"])
def test_a_space_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path):
    if content is not None:
        (tmp_path / SPACE).write_bytes(content)
    with pytest.raises(DataError, match="space.npz: cannot be read"):
        Whitening.load(tmp_path)
