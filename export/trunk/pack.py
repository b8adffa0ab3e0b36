"""Write the pack of an ONNX classifier: the graph of its embedding and a gallery of its classes, with a check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgeapp.audio.windows import ZERO
from edgeapp.pack.format import PACK_GALLERY, Pack, adopt_gallery, write_pack_json
from edgeapp.pack.hashes import sha256
from edgeapp.pack.specs import MOST_WINDOW_SAMPLES, RATES_HZ, WINDOWS_S, AudioSpec
from edgeapp.paths import EXAMPLE, TAXONOMY
from edgeapp.runtime.encoders import AudioEncoder
from edgeapp.runtime.ort import first_line
from export.birdnet.parity import read_windows
from export.birdnet.towers import UNFITTED
from export.errors import ExportError, ParityError
from export.folder import new_pack, today
from export.labels import read_names, taxa_of_names, tell_others
from export.parity import cosines
from export.sessions import session
from export.trunk.graph import SIGMOID, SOFTMAX, Trunk, extracted, read_onnx, split_classifier
from gallery import DecisionParameters, Entry, build
from gallery.labels import Label, read_taxonomy
from gallery.parameters import INDEPENDENT, SHARED

AUDIO, CARD, PRESET = "audio.onnx", "MODEL_CARD.md", "trunk"
NO_NULL = -60.0  # null logit far below all classes, so that only classes share the confidence
MAX_DIFFERENCE = 1e-3  # between confidences of the pack and of the classifier
MAX_DIFFERENCE_HALF = 1e-2  # if the classifier computes its last layer in float16, which has 11 bits


@dataclass(frozen=True)
class Classifier:
    """A classifier and the settings of its pack.

    Attributes
    ----------
    model, labels : Path
    rate_hz : int
    window_s : float
    embedding, logits : str or None
        Names of outputs; found if None.
    softmax : bool
        Its classes share one confidence although it outputs logits, as for Perch.
    name, version, licence : str
        Of the pack; an empty version stands for today's date.
    """

    model: Path
    labels: Path
    rate_hz: int
    window_s: float
    embedding: str | None = None
    logits: str | None = None
    softmax: bool = False
    name: str = PRESET
    version: str = ""
    licence: str = "unknown"


def write_trunk(out: Path, given: Classifier, tell: Callable[[str], None] = lambda line: None) -> Pack:
    """Build a pack of an ONNX classifier.

    Raises
    ------
    ExportError
        It cannot be split, the labels do not match, or `out` is not a pack or cannot be written.
    ParityError
        The pack does not agree with the classifier. Nothing is written, as for every error.
    """
    (least_hz, most_hz), (least_s, most_s) = RATES_HZ, WINDOWS_S
    if not (least_hz <= given.rate_hz <= most_hz and least_s <= given.window_s <= most_s):
        raise ExportError(
            f"--rate must be {least_hz} to {most_hz}, and --window-s {least_s:g} to {most_s:g}",
            "give those of the classifier",
        )
    if given.rate_hz * given.window_s > MOST_WINDOW_SAMPLES:
        raise ExportError(
            f"--rate and --window-s give more than {MOST_WINDOW_SAMPLES} samples", "give those of the classifier"
        )
    names = read_names(given.labels)
    original = read_onnx(given.model)
    samples = round(given.rate_hz * given.window_s)
    trunk = split_classifier(given.model, original, samples, len(names), given.embedding, given.logits)
    labels = taxa_of_names(names, read_taxonomy(TAXONOMY))
    species = sum(label.is_species for label in labels)
    if not species:
        raise ExportError(f"{given.labels}: no label is a scientific name", "give genus and epithet: Parus major")
    if given.softmax and trunk.head == SIGMOID:
        raise ExportError(f"{given.model}: ends with a sigmoid, so its classes are independent", "leave out --softmax")
    softmax = given.softmax or trunk.head == SOFTMAX
    tell(f"{len(trunk.weights)} classes, {trunk.dim} dimensions, output {trunk.head or 'logits'}; {species} species")
    tell_others(labels, tell)
    with new_pack(out) as folder:
        onnx.save_model(trunk.model, str(folder / AUDIO))
        described = _described(given, trunk, softmax)
        (folder / CARD).write_text(_card(given, trunk, softmax), encoding="utf-8")
        write_pack_json(folder, **described)
        described["parity"] = _parity(Pack.load(folder), original, trunk, given.model)
        write_pack_json(folder, **described)
        pack = Pack.load(folder)
        with build(folder / PACK_GALLERY, pack.identity) as gallery:
            gallery.add_taxa(label.taxon for label in labels if label.is_species)
            gallery.add_entries(_entries(labels, trunk, given))
        adopt_gallery(pack)
    return Pack.load(out)


def decision(softmax: bool) -> DecisionParameters:
    """The classifier's own confidences: independent classes, or a softmax over the species."""
    rule = SHARED if softmax else INDEPENDENT
    return replace(UNFITTED, rule=rule, null_logit=NO_NULL if softmax else UNFITTED.null_logit)


def _described(given: Classifier, trunk: Trunk, softmax: bool) -> dict[str, Any]:
    [waveform], [vector] = trunk.model.graph.input, trunk.model.graph.output
    return {
        "name": given.name,
        "version": given.version or today(),
        "licence": given.licence,
        "preset": PRESET,
        "space": sha256(given.model)[:16],
        "dim": trunk.dim,
        "audio": AudioSpec(
            AUDIO,
            given.rate_hz,
            given.window_s,
            waveform.name,
            vector.name,
            hop_s=given.window_s,
            pad=ZERO,
            unit=False,
        ),
        "decision": decision(softmax),
    }


def _entries(labels: list[Label], trunk: Trunk, given: Classifier) -> list[Entry]:
    lengths = np.linalg.norm(trunk.weights.astype(np.float64), axis=1)
    return [
        Entry(
            label.taxon.scientific_name,
            "audio",
            (trunk.weights[row] / lengths[row]).astype(np.float32),
            f"class of {given.name}",
            licence=given.licence,
            source=given.model.name,
            logit_scale=float(lengths[row]),
            logit_bias=float(trunk.bias[row]),
        )
        for row, label in enumerate(labels)
        if label.is_species and lengths[row] > 0
    ]


def _parity(pack: Pack, original: onnx.ModelProto, trunk: Trunk, path: Path) -> dict[str, Any]:
    """Compare the classes by the pack's graph and the last layer with those of the classifier."""
    heard = read_windows([EXAMPLE], pack.audio)
    if not len(heard):  # windows longer than the example
        heard = np.resize(
            np.random.default_rng(0).normal(0, 0.1, pack.audio.window_samples), (1, pack.audio.window_samples)
        )
        heard = heard.astype(np.float32)
    try:
        running = session(extracted(original, trunk.classes))
        [value] = running.get_inputs()
        shape = [1, 1, -1] if len(value.shape) == 3 else [1, -1]
        sound = heard.astype(np.float16 if "float16" in value.type else np.float32)
        feeds = [one.reshape(shape) for one in sound]
        wanted = np.concatenate([running.run(None, {value.name: one})[0].reshape(1, -1) for one in feeds])
        cut = session(trunk.model)
        alone = np.concatenate([cut.run(None, {pack.audio.input: one[None]})[0] for one in heard])
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise ExportError(f"{path}: does not run ({first_line(error)})", "check it with ONNX Runtime") from None
    if not (np.isfinite(wanted).all() and np.isfinite(alone).all()):
        raise ExportError(f"{path}: gives values that are not finite for the bundled example", "download it again")
    try:
        together = cut.run(None, {pack.audio.input: heard})[0]
    except Exception:
        raise ExportError(f"{path}: has no dynamic batch", "export it with a dynamic batch size") from None
    single = AudioEncoder(pack, provider="cpu").encode(heard)
    bound, differences = MAX_DIFFERENCE_HALF if trunk.is_half else MAX_DIFFERENCE, []
    for vectors in (single, together):
        given = after(vectors @ trunk.weights.T + trunk.bias, trunk.head)
        differences.append(np.abs(given - wanted).max() / max(1.0, float(np.abs(wanted).max())))
    worst = float(np.max(differences))
    same = float((given.argmax(axis=1) == wanted.argmax(axis=1)).mean())
    if not worst <= bound or (same < 1.0 and not trunk.is_half):  # in float16, the first two may be equal
        raise ParityError(
            f"{path}: its last layer does not reproduce its classes (difference {worst:.2g})",
            "name other outputs with --embedding and --logits",
        )
    least = float(cosines(single, together).min())
    return {
        "audio": {"least": round(least, 7), "inputs": len(heard), "same_first": same, "difference": round(worst, 7)}
    }


def after(logits: np.ndarray, head: str) -> np.ndarray:
    """Output of the activation after the last layer, [n, classes]."""
    if head == SIGMOID:
        return np.asarray(1.0 / (1.0 + np.exp(-logits)))
    if head == SOFTMAX:
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))
    return logits


def _card(given: Classifier, trunk: Trunk, softmax: bool) -> str:
    rule = "a softmax over its species" if softmax else "the sigmoid of each class"
    return (
        f"# {given.name}\n\nBuilt from `{given.model.name}` (sha256 {sha256(given.model)}) with the labels "
        f"`{given.labels.name}`. Confidence is {rule}; {len(trunk.weights)} classes. Terms: {given.licence}.\n"
    )
