"""Class vectors: the rows of a classifier's last layer in a gallery, and its own confidences out of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gallery import DecisionParameters, EncoderIdentity, Entry, GalleryError, Index, Taxon, Vocabulary, recognise
from gallery.pooling import Pool
from gallery.recognition import Recognition
from gallery.search import ClassVectors
from gallery.store import Gallery, build

DIM = 8
LOUD = -20.0


@pytest.fixture
def layer(taxa: list[Taxon]) -> tuple[np.ndarray, np.ndarray]:
    """Weights [n_taxa, dim] and bias [n_taxa] of a last layer."""
    rng = np.random.default_rng(7)
    return rng.normal(size=(len(taxa), DIM)).astype(np.float32), rng.normal(size=len(taxa)).astype(np.float32)


@pytest.fixture
def classes(taxa: list[Taxon], layer: tuple[np.ndarray, np.ndarray]) -> list[Entry]:
    return [class_vector(taxon, weights, bias) for taxon, weights, bias in zip(taxa, *layer)]


@pytest.fixture
def parameters(parameters: DecisionParameters) -> DecisionParameters:
    by_modality = {"text": 20.0, "audio": 30.0}
    return replace(
        parameters,
        scale=by_modality,
        bias={"text": -5.0, "audio": -14.0},
        weight={"text": 1.0, "audio": 1.0},
        rule="independent",
        threshold=0.25,
    )


def class_vector(taxon: Taxon, weights: np.ndarray, bias: float) -> Entry:
    length = float(np.linalg.norm(weights))
    return Entry(taxon.scientific_name, "audio", weights / length, "class", logit_scale=length, logit_bias=float(bias))


def windows(n: int = 20) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n, DIM)).astype(np.float32) * 2


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(x, float)))


def test_the_classifiers_own_confidences_come_out(taxa, layer, classes, parameters):
    weights, bias = layer
    found = recognise(windows(), [LOUD] * 20, Vocabulary(Index.of_entries(taxa, classes), parameters))
    wanted = sigmoid(windows() @ weights.T + bias)
    np.testing.assert_allclose([one.confidences for one in found], wanted, atol=1e-5)
    for one, confidences in zip(found, wanted):
        species = {d.scientific_name for d in one.detections if d.taxon_rank == "species"}
        assert species == {t.scientific_name for t, c in zip(taxa, confidences) if c >= 0.25}


def test_names_of_no_weight_beside_a_class_change_nothing(taxa, classes, parameters, unit):
    names = [Entry(taxon.scientific_name, "text", unit(row), "name") for row, taxon in enumerate(taxa)]
    alone = Vocabulary(Index.of_entries(taxa, classes), parameters)
    both = Vocabulary(Index.of_entries(taxa, [*classes, *names]), parameters)
    assert len(both.directions) == 0
    np.testing.assert_array_equal(both.logits(windows()), alone.logits(windows()))


def test_entries_beside_a_class_count_by_their_weight(taxa, layer, classes, parameters, unit):
    weights, bias = layer
    recording = Entry(taxa[2].scientific_name, "audio", unit(5), "a.wav")
    weighted = replace(parameters, beside_class={"audio": 3.0})
    logits = Vocabulary(Index.of_entries(taxa, [*classes, recording]), weighted).logits(windows())
    by_class = windows() @ weights.T + bias
    cosine = windows()[:, 5] / np.linalg.norm(windows(), axis=1)
    by_recording = parameters.scale["audio"] * cosine + parameters.bias["audio"]
    np.testing.assert_allclose(logits[:, 2], (by_class[:, 2] + 3 * by_recording) / 4, rtol=1e-4, atol=1e-4)
    others = [row for row in range(len(taxa)) if row != 2]
    np.testing.assert_allclose(logits[:, others], by_class[:, others], rtol=1e-4, atol=1e-4)


def test_few_recordings_are_drawn_to_their_class(taxa, layer, classes, parameters, unit):
    weights, bias = layer
    recordings = [
        Entry(taxa[row].scientific_name, "audio", unit(axis), f"{row} {axis}.wav")
        for row, axis in ((1, 5), (2, 5), (2, 6), (2, 7))
    ]
    drawing = replace(parameters, beside_class={"audio": 3.0}, class_entries=2.0)
    logits = Vocabulary(Index.of_entries(taxa, [*classes, *recordings]), drawing).logits(windows())
    heard = windows() / np.linalg.norm(windows(), axis=1, keepdims=True)
    by_class = windows() @ weights.T + bias
    for row, total in ((1, unit(5)), (2, unit(5) + unit(6) + unit(7))):
        mean = total + 2 * weights[row] / np.linalg.norm(weights[row])
        cosine = heard @ (mean / np.linalg.norm(mean))
        by_recordings = parameters.scale["audio"] * cosine + parameters.bias["audio"]
        np.testing.assert_allclose(logits[:, row], (by_class[:, row] + 3 * by_recordings) / 4, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(logits[:, 3:], by_class[:, 3:], rtol=1e-4, atol=1e-4)


def test_recordings_beside_a_class_are_a_linear_discriminant(taxa, layer, classes, parameters, unit):
    weights, bias = layer
    recordings = [Entry(taxa[2].scientific_name, "audio", unit(axis), f"{axis}.wav") for axis in (5, 6, 7)]
    stranger = Entry("Ignotus novus", "audio", unit(4), "b.wav")
    everyone = [*taxa, replace(taxa[0], scientific_name="Ignotus novus", common_names={}, synonyms=())]
    counted = replace(parameters, beside_class={"audio": 3.0}, class_entries=2.0, class_scale=40.0, class_bias=1.5)
    index = Index.of_entries(everyone, [*classes, *recordings, stranger])
    vocabulary = Vocabulary(index, counted)
    logits = vocabulary.logits(windows())
    heard = windows() / np.linalg.norm(windows(), axis=1, keepdims=True)
    by_class = windows() @ weights.T + bias
    mean = (unit(5) + unit(6) + unit(7) + 2 * weights[2] / np.linalg.norm(weights[2])) / 5
    by_recordings = 40.0 * (heard @ mean - mean @ mean / 2) + 1.5
    np.testing.assert_allclose(logits[:, 2], (by_class[:, 2] + 3 * by_recordings) / 4, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(logits[:, 3:-1], by_class[:, 3:], rtol=1e-4, atol=1e-4)
    alone = parameters.scale["audio"] * heard[:, 4] + parameters.bias["audio"]
    np.testing.assert_allclose(logits[:, -1], alone, rtol=1e-4, atol=1e-4)
    [shown] = vocabulary.similarity(windows()[0], [2])
    cosine = weights[2] @ heard[0] / np.linalg.norm(weights[2])
    assert shown == pytest.approx((cosine + 3 * heard[0] @ mean / np.linalg.norm(mean)) / 4, abs=1e-5)
    part = Vocabulary(index.only([taxa[2].scientific_name]), counted)
    np.testing.assert_allclose(part.logits(windows())[:, 0], logits[:, 2], rtol=1e-4, atol=1e-4)


def test_more_recordings_beside_a_class_change_its_constant(taxa, classes, parameters, unit):
    recordings = [Entry(taxa[2].scientific_name, "audio", unit(axis), f"{axis}.wav") for axis in (5, 6, 7)]
    index = Index.of_entries(taxa, [*classes, *recordings])
    plain = replace(parameters, beside_class={"audio": 3.0}, class_scale=40.0)
    before, after = (Vocabulary(index, replace(plain, class_count=n)).logits(windows()) for n in (0.0, -0.5))
    wanted = np.zeros(len(taxa))
    wanted[2] = 0.75 * -0.5 * np.log(4)
    np.testing.assert_allclose(after - before, np.broadcast_to(wanted, before.shape), atol=1e-5)


def test_the_quality_of_a_window_counts_where_there_are_recordings(taxa, layer, classes, parameters, unit):
    weights, bias = layer
    recording = Entry(taxa[2].scientific_name, "audio", unit(5), "a.wav")
    strangers = [replace(taxa[0], scientific_name=f"Ignotus {n}", common_names={}, synonyms=()) for n in ("a", "b")]
    heard = Entry("Ignotus a", "audio", unit(4), "b.wav")
    named = Entry("Ignotus b", "text", unit(3), "a prompt")
    index = Index.of_entries([*taxa, *strangers], [*classes, recording, heard, named])
    plain = replace(parameters, beside_class={"audio": 3.0})
    measured = replace(plain, quality_mean=0.5, quality_length=2.0, quality_bias=-1.0)
    before, after = (Vocabulary(index, one).logits(windows()) for one in (plain, measured))
    means, lengths = (windows() @ weights.T + bias).mean(axis=1), np.linalg.norm(windows(), axis=1)
    wanted = np.zeros(before.shape)
    wanted[:, [2, len(taxa)]] = (0.5 * means + 2.0 * lengths - 1.0)[:, None]
    np.testing.assert_allclose(after - before, wanted, atol=1e-4)


def test_the_quality_of_a_window_does_not_depend_on_what_is_asked_for(taxa, classes, parameters, unit):
    recording = Entry(taxa[2].scientific_name, "audio", unit(5), "a.wav")
    measured = replace(parameters, beside_class={"audio": 3.0}, quality_mean=0.5, quality_length=2.0)
    whole = Index.of_entries(taxa, [*classes, recording])
    part = Vocabulary(whole.only([taxa[2].scientific_name]), measured).logits(windows())
    np.testing.assert_allclose(part[:, 0], Vocabulary(whole, measured).logits(windows())[:, 2], rtol=1e-4, atol=1e-4)


def test_without_class_vectors_the_quality_of_a_window_says_nothing(taxa, parameters, unit):
    index = Index.of_entries(taxa[:1], [Entry(taxa[0].scientific_name, "audio", unit(5), "a.wav")])
    measured = replace(parameters, quality_mean=0.5, quality_length=2.0, quality_bias=-1.0)
    np.testing.assert_array_equal(*(Vocabulary(index, one).logits(windows()) for one in (parameters, measured)))


def test_recordings_lower_a_class_by_no_more_than_they_may(taxa, layer, classes, parameters, unit):
    weights, bias = layer
    recording = Entry(taxa[2].scientific_name, "audio", unit(5), "a.wav")
    index = Index.of_entries(taxa, [*classes, recording])
    free = replace(parameters, beside_class={"audio": 3.0})
    bounded = replace(free, class_lowered=0.5)
    by_class = windows() @ weights.T + bias
    wanted = Vocabulary(index, free).logits(windows())
    assert (wanted[:, 2] < by_class[:, 2] - 0.5).any()
    wanted[:, 2] = np.maximum(wanted[:, 2], by_class[:, 2] - 0.5)
    np.testing.assert_allclose(Vocabulary(index, bounded).logits(windows()), wanted, rtol=1e-4, atol=1e-4)
    shifts = [Vocabulary(index, one).shifts([2])[2].of(2.0) for one in (free, bounded)]
    assert np.abs(shifts[0]).max() > 0
    np.testing.assert_array_equal(*shifts)  # what a direction adds knows no bound


def test_a_part_of_an_index_is_drawn_to_its_classes_as_the_whole(taxa, classes, parameters, unit):
    recordings = [Entry(taxa[2].scientific_name, "audio", unit(axis), f"{axis}.wav") for axis in (5, 6)]
    drawing = replace(parameters, beside_class={"audio": 3.0}, class_entries=2.0)
    whole = Index.of_entries(taxa, [*classes, *recordings])
    part = Vocabulary(whole.only([taxa[2].scientific_name]), drawing)
    row = Vocabulary(whole, drawing).rows[taxa[2].scientific_name]
    in_whole = Vocabulary(whole, drawing).logits(windows())[:, row]
    np.testing.assert_allclose(part.logits(windows())[:, 0], in_whole, rtol=1e-4, atol=1e-4)


def test_recordings_without_a_class_stay_as_they_are(taxa, classes, parameters, unit):
    recording = Entry(taxa[0].scientific_name, "audio", unit(5), "a.wav")
    index = Index.of_entries(taxa, [*classes[1:], recording])
    plain, drawing = (replace(parameters, beside_class={"audio": 1.0}, class_entries=n) for n in (0.0, 4.0))
    np.testing.assert_array_equal(*(Vocabulary(index, one).logits(windows()) for one in (plain, drawing)))


def test_sure_windows_of_a_recording_still_differ_when_pooled(taxa, parameters):
    pool = Pool(2, replace(parameters, pool_windows=2))
    for logits in ([9.0, 14.0], [9.0, 3.0]):
        pool.add(Recognition(True, sigmoid(logits).astype(np.float32), (), 0.0))
    np.testing.assert_allclose(pool.confidences(), sigmoid([9.0, 8.5]), atol=2e-6)
    assert pool.confidences().argmax() == 0  # the mean of the confidences would be 0.976 for the second


def test_a_taxon_without_a_class_is_compared_by_direction_alone(taxa, classes, parameters, unit):
    name = Entry(taxa[0].scientific_name, "text", unit(1), "name")
    vocabulary = Vocabulary(Index.of_entries(taxa, [*classes[1:], name]), parameters)
    row = vocabulary.rows[taxa[0].scientific_name]
    np.testing.assert_allclose(
        vocabulary.logits(windows())[:, row], vocabulary.logits(5 * windows())[:, row], rtol=1e-5
    )


def test_another_species_does_not_lower_a_confidence(taxa, parameters, unit):
    classes = [class_vector(taxon, 4 * unit(row), -2.0) for row, taxon in enumerate(taxa)]
    vocabulary = Vocabulary(Index.of_entries(taxa, classes), parameters)
    alone, both = recognise(np.stack([unit(0), unit(0) + unit(3)]), [LOUD] * 2, vocabulary)
    assert alone.confidences[0] == pytest.approx(both.confidences[0])
    assert [len(one.detections) for one in (alone, both)] == [1, 2]


def test_a_gallery_file_keeps_class_vectors(taxa, classes, tmp_path: Path):
    path = tmp_path / "classes.sqlite"
    with build(path, EncoderIdentity("space", DIM, "pack 1")) as made:
        made.add_taxa(taxa)
        assert made.add_entries(classes).added == len(taxa)
        assert made.add_entries([replace(classes[0], label="another")]).rejected
    with Gallery.open(path) as gallery:
        assert gallery.info()["class_vectors"] == gallery.info()["entries"]["audio"] == len(taxa)
        kept = {entry.scientific_name: entry for entry in gallery.entries("audio")}
        index = Index.of(gallery)
    assert index.modalities == ("audio",) and index.class_vectors is not None
    in_memory = Index.of_entries(taxa, classes).class_vectors
    np.testing.assert_allclose(index.class_vectors.weights, in_memory.weights, rtol=1e-6)
    np.testing.assert_array_equal(index.class_vectors.bias, in_memory.bias)
    for entry in classes:
        assert kept[entry.scientific_name].logit_scale == entry.logit_scale


def test_what_says_nothing_beside_a_class_is_not_read(taxa, classes, parameters, unit, tmp_path: Path):
    path = tmp_path / "classes.sqlite"
    names = [Entry(taxon.scientific_name, "text", unit(row), "name") for row, taxon in enumerate(taxa)]
    with build(path, EncoderIdentity("space", DIM, "pack 1")) as made:
        made.add_taxa(taxa)
        made.add_entries([*classes[1:], *names])
    with Gallery.open(path) as gallery:
        whole, needed = Index.of(gallery), Index.of(gallery, parameters)
        weighted = Index.of(gallery, replace(parameters, beside_class={"text": 0.1}))
    assert [index.present["text"].tolist() for index in (whole, needed, weighted)] == [
        [True] * len(taxa),
        [True] + [False] * (len(taxa) - 1),
        [True] * len(taxa),
    ]
    logits = [Vocabulary(index, parameters).logits(windows()) for index in (whole, needed)]
    np.testing.assert_array_equal(*logits)


def test_a_part_of_an_index_keeps_its_class_vectors(taxa, classes):
    part = Index.of_entries(taxa, classes[:4]).only([taxa[1].scientific_name, taxa[5].scientific_name, taxa[3].genus])
    assert [taxon.scientific_name for taxon in part.taxa if taxon in taxa[:4]] == [
        part.taxa[row].scientific_name for row in part.class_vectors.rows
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"logit_bias": None}, "class vector without its logit scale or bias"),
        ({"logit_scale": None}, "class vector without its logit scale or bias"),
        ({"modality": "text"}, "class vector of modality 'text'"),
        ({"logit_scale": 0.0}, "class vector with logit scale 0.0"),
        ({"logit_bias": float("nan")}, "class vector with logit scale"),
    ],
)
def test_a_class_vector_that_cannot_be_is_refused(taxa, classes, change, reason):
    with pytest.raises(GalleryError, match=reason):
        Index.of_entries(taxa, [replace(classes[0], **change)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rule": "majority"}, "rule must be pursuit or independent or shared"),
        ({"beside_class": {"video": 1.0}}, "modality without a scale"),
        ({"class_entries": -1.0}, "class_entries must be at least 0"),
        ({"class_scale": -1.0}, "class_scale must be at least 0"),
        ({"class_bias": float("nan")}, "every number must be finite"),
        ({"class_count": float("inf")}, "every number must be finite"),
        ({"quality_mean": float("nan")}, "every number must be finite"),
        ({"quality_length": float("inf")}, "every number must be finite"),
        ({"quality_bias": float("nan")}, "every number must be finite"),
        ({"class_lowered": -1.0}, "class_lowered must be at least 0"),
        ({"beside_class": {"audio": -1.0}}, "no weight beside a class may be below 0"),
    ],
)
def test_parameters_of_class_vectors_are_checked(parameters, change, reason):
    with pytest.raises(GalleryError, match=reason):
        replace(parameters, **change)


def test_taxa_that_share_one_confidence_have_the_softmax_over_them(parameters):
    taxa, z = [Taxon(f"Avis {name}", *[""] * 6, {}) for name in ("una", "dua", "tria")], np.array([2.0, 1.0, -1.0])
    classes = ClassVectors(np.arange(3), np.eye(3, dtype=np.float32), z.astype(np.float32))
    shared = replace(parameters, rule="shared", null_logit=-60.0, slope=1.0, offset=0.0, threshold=0.5)
    vocabulary = Vocabulary(Index(taxa, {}, class_vectors=classes), shared)
    [found] = recognise(np.zeros((1, 3), np.float32), [-20.0], vocabulary)
    np.testing.assert_allclose(found.confidences, np.exp(z) / np.exp(z).sum(), atol=1e-6)
    assert [one.scientific_name for one in found.detections if one.taxon_rank == "species"] == ["Avis una"]
    beside = Vocabulary(Index(taxa, {}, class_vectors=classes), replace(shared, null_logit=2.0))
    [found] = recognise(np.zeros((1, 3), np.float32), [-20.0], beside)
    np.testing.assert_allclose(found.confidences, np.exp(z) / (np.exp(z).sum() + np.exp(2.0)), atol=1e-6)
