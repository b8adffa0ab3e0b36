"""What windows are compared with: directions, logits, similarities, groups."""

from dataclasses import replace

import numpy as np
import pytest

from gallery import GalleryError, Index, Taxon, Vocabulary


@pytest.fixture
def index(taxa: list[Taxon], unit) -> Index:
    """Both modalities for the first taxon, text only for the second, image only for the third, none for the rest."""
    centroids = {"text": np.zeros((6, 8), np.float32), "image": np.zeros((6, 8), np.float32)}
    centroids["text"][:2] = [unit(0), unit(1)]
    centroids["image"][[0, 2]] = [unit(2), unit(3)]
    return Index(taxa, centroids)


VECTOR = np.array([[0.5, 0.2, 0.3, 0.4, 0, 0, 0, np.sqrt(1 - 0.54)]], np.float32)


def test_a_logit_is_the_weighted_mean_over_the_modalities_of_a_taxon(index, parameters):
    vocabulary = Vocabulary(index, parameters)
    assert [taxon.scientific_name for taxon in vocabulary.taxa] == ["Parus major", "Parus minor", "Erithacus rubecula"]
    [got] = vocabulary.logits(VECTOR)
    wanted = [(1 * 20 * 0.5 + 3 * (20 * 0.3 + 1)) / 4, 20 * 0.2, 20 * 0.4 + 1]
    assert got.tolist() == pytest.approx(wanted, abs=1e-4)


def test_only_the_asked_modalities_count(index, parameters):
    vocabulary = Vocabulary(index, parameters, ["text"])
    assert [taxon.scientific_name for taxon in vocabulary.taxa] == ["Parus major", "Parus minor"]
    assert vocabulary.logits(VECTOR)[0, 0] == pytest.approx(10)


def test_a_modality_of_no_weight_counts_only_when_it_is_asked_for(index, parameters):
    weightless = replace(parameters, weight={"text": 1.0, "image": 0.0})
    assert len(Vocabulary(index, weightless)) == 2
    asked = Vocabulary(index, weightless, ["image"])
    assert asked.logits(VECTOR)[0].tolist() == pytest.approx([7, 9])


def test_a_modality_without_entries_or_parameters_is_refused(index, parameters):
    with pytest.raises(GalleryError, match="no taxon has entries of modality 'audio'; use text or image"):
        Vocabulary(index, parameters, ["audio"])
    text_only = replace(parameters, scale={"text": 1.0}, bias={"text": 0.0}, weight={"text": 1.0})
    with pytest.raises(GalleryError, match="no decision parameters for entries of modality 'image'; use text"):
        Vocabulary(index, text_only, ["image"])
    with pytest.raises(GalleryError, match="no modality of entries to match"):
        Vocabulary(index, parameters, [])


def test_the_similarity_shown_is_the_weighted_cosine(index, parameters):
    shown = Vocabulary(index, parameters).similarity(VECTOR[0], [0, 1, 2])
    assert shown.tolist() == pytest.approx([(0.5 + 3 * 0.3) / 4, 0.2, 0.4])


@pytest.mark.parametrize("shape", [(8,), (1, 7)])
def test_vectors_of_another_shape_are_refused(index, parameters, shape):
    with pytest.raises(GalleryError, match="cannot be compared with a gallery of dim 8"):
        Vocabulary(index, parameters).logits(np.zeros(shape))


def test_a_broken_encoder_is_not_taken_for_an_answer(index, parameters):
    with pytest.raises(GalleryError, match="not finite"):
        Vocabulary(index, parameters).logits(np.full((1, 8), np.nan))
