"""Parity of the converted network with the public one, measured on the user's machine.

The public file is run by `ai-edge-litert` if that is installed. As it is optional, BirdNET's outputs for the bundled
example are stored with the towers, `golden.npz`: `embedding` [windows, dim] and `first` [windows], the number of the
class with the highest score.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.audio.file import FileSource
from edgeapp.audio.microphones.complaints import overheard
from edgeapp.audio.resample import resampled
from edgeapp.audio.windows import level_dbfs, windows
from edgeapp.errors import AudioError
from edgeapp.pack.format import Pack
from edgeapp.pack.specs import AudioSpec
from edgeapp.paths import EXAMPLE
from edgeapp.recognition.material import manifest
from edgeapp.runtime.encoders import AudioEncoder
from edgeapp.runtime.ort import first_line
from export.birdnet.sources import Sources
from export.birdnet.towers import GOLDEN, Space, Towers
from export.errors import ExportError, ParityError
from export.parity import cosines
from export.precision import Judge, Precision
from export.tflite.convert import Converted
from export.tflite.reader import DAMAGED
from gallery.entry import Rejection

LITERT = "ai_edge_litert"
MIN_COSINE = 0.99999  # in float32
# A window is scaled to its own range, and bands are raised to a power of about 0.23: for silence and padding only the
# rounding errors of the transform remain, which differ between libraries (cosine 0.99998).
QUIETEST_DBFS = -60.0
MAX_WINDOWS = 400


@dataclass(frozen=True, eq=False)
class Original:
    """Outputs of the public network for windows, if available.

    Attributes
    ----------
    windows : numpy.ndarray
        [n, samples] float32
    embeddings : numpy.ndarray or None
        [n, dim] of the network, None if unknown.
    against : str
        Their origin, or why they are unknown.
    """

    windows: np.ndarray
    embeddings: np.ndarray | None
    against: str


def read_windows(paths: Sequence[Path], spec: AudioSpec) -> np.ndarray:
    """Complete windows of recordings [n, samples] above silence: at most `MAX_WINDOWS`, evenly from all."""
    most = max(1, MAX_WINDOWS // max(1, len(paths)))
    cut: list[np.ndarray] = []
    for path in paths:
        try:
            with closing(FileSource(path)) as source, overheard():  # an MP3 decoder reports damage
                parts = windows(resampled(source, spec.rate_hz), spec.window_s, spec.hop_s, pad=spec.pad)
                whole = [one.samples for one in parts if one.end_s - one.start_s > 0.999 * spec.window_s]
                own = [samples for samples in whole if level_dbfs(samples) >= QUIETEST_DBFS]
        except AudioError:
            continue
        cut += own[:: -(-len(own) // most) or 1]
    return np.stack(cut[:MAX_WINDOWS]) if cut else np.zeros((0, spec.window_samples), np.float32)


def original(sources: Sources, converted: Converted, spec: AudioSpec, towers: Towers, data: Path | None) -> Original:
    """Outputs of the public network for the bundled example, or for the recordings of a manifest.

    Raises
    ------
    ExportError
        The manifest has no readable recording, or TensorFlow Lite cannot run the model.
    """
    if data is None:
        heard = read_windows([EXAMPLE], spec)
        if not len(heard):
            raise ExportError(
                f"the bundled example is shorter than a window of {spec.window_s:g} s", "name recordings with --data"
            )
    else:
        rows = [one for one in manifest(data) if not isinstance(one, Rejection) and one.modality == "audio"]
        heard = read_windows([one.path for one in rows], spec)
        if not len(heard):
            raise ExportError(f"{data}: has no readable recording", "name another manifest with --data")
    if importlib.util.find_spec(LITERT) is not None:
        return Original(heard, by_litert(sources.model, converted.tensor, heard), "TensorFlow Lite")
    if sources.official and data is None and towers.has(GOLDEN):
        with np.load(towers.folder / GOLDEN) as file:
            return Original(heard, file["embedding"], "TensorFlow Lite (stored)")
    return Original(heard, None, f"{LITERT.replace('_', '-')} is not installed")


def by_litert(model: Path, tensor: int, heard: np.ndarray) -> np.ndarray:
    """A tensor [n, values] of a TFLite model for windows [n, samples].

    Raises
    ------
    ExportError
        TensorFlow Lite cannot run the model.
    """
    litert: Any = importlib.import_module(f"{LITERT}.interpreter")
    plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # keeps inner tensors, without warnings
    rows = []
    try:
        interpreter = litert.Interpreter(
            str(model), experimental_op_resolver_type=plain, experimental_preserve_all_tensors=True, num_threads=1
        )
        interpreter.allocate_tensors()
        given = interpreter.get_input_details()[0]["index"]
        for window in heard:
            interpreter.set_tensor(given, window[None])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(tensor)[0].copy())
    except (ValueError, RuntimeError) as error:
        raise ExportError(f"{model}: TensorFlow Lite cannot run it ({first_line(error)})", DAMAGED) from None
    return np.stack(rows)


def judge(converted: Converted, space: Space, precision: Precision) -> Judge:
    """Criterion for the layers of a lower precision: cosine of the embeddings, and the first class of the windows."""

    def near(wanted: np.ndarray, given: np.ndarray) -> str:
        one, other = embeddings(wanted, space), embeddings(given, space)
        found, same = cosines(one, other), float((first(one, converted) == first(other, converted)).mean())
        worst = int(found.argmin())
        if found[worst] < precision.aim:
            return f"the cosine on window {worst + 1} is {found[worst]:.4f}, below {precision.aim:.4f}"
        if same < precision.names:
            return f"{same:.4f} of the windows have the same class, below {precision.names}"
        return ""

    return near


def embeddings(vectors: np.ndarray, space: Space) -> np.ndarray:
    """The network's embeddings [n, dim] of vectors in the space."""
    return np.asarray(np.linalg.solve(space.matrix.astype(np.float64), vectors.T.astype(np.float64)).T + space.mean)


def first(vectors: np.ndarray, converted: Converted) -> np.ndarray:
    """Number of the class with the highest score [n] for embeddings."""
    return np.asarray((vectors @ converted.weights.T + converted.bias).argmax(axis=1))


def measure(
    pack: Pack,
    converted: Converted,
    space: Space,
    known: Original,
    precision: Precision,
) -> dict[str, Any]:
    """Compare the pack's audio graph with the public network.

    Returns
    -------
    dict
        For `pack.json`: minimum cosine of embeddings, number of windows, and the share with the same first class; empty
        if the network's embeddings are unknown.

    Raises
    ------
    ParityError
        A cosine or the share is below the bound of the precision, or a value is not finite.
    """
    given = embeddings(AudioEncoder(pack).encode(known.windows), space)
    if known.embeddings is None:
        return {}
    wanted = known.embeddings.astype(np.float64)
    least, share = (MIN_COSINE, 1.0) if precision.lower is None else (precision.cosine, precision.names)
    near = cosines(wanted, given)
    same = float((first(wanted, converted) == first(given, converted)).mean())
    if near.min() < least or same < share:
        raise ParityError(
            f"audio.onnx does not agree with the network (cosine at least {near.min():.6f}, the same first class "
            f"in {same:.4f} of {len(near)} windows)",
            "report it with the versions of onnx and onnxruntime"
            if precision.lower is None
            else "use --precision fp32",
        )
    found = {"least": round(float(near.min()), 7), "inputs": len(near), "same_first": round(same, 4)}
    return {"audio": {**found, "against": known.against}}
