"""One graph of a pack: its inputs and checks of its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeapp.errors import PackError
from edgeapp.file_names import printable, utf8
from edgeapp.pack.format import Pack

NORM_TOLERANCE = 1e-3  # a float16 graph is this far off one; a graph that forgot to normalise is much further

MODALITIES = ("audio", "text", "image")
BATCH = {"audio": 8, "text": 64, "image": 8}  # most inputs of one run on an accelerator


@dataclass(frozen=True)
class PackGraph:
    """An encoder's graph: ``[n, *shape]`` in, unit vectors ``[n, dim]`` out.

    Attributes
    ----------
    pack : Pack
    modality : str
        audio, text or image.
    path : Path
    sha256 : str
        As the pack has it.
    input, output : str
        Names in the graph.
    shape : tuple of int
        Of one input.
    batch : int
        Most inputs of one run on an accelerator; a CPU takes any number.
    dim : int
    """

    pack: Pack
    modality: str
    path: Path
    sha256: str
    input: str
    output: str
    shape: tuple[int, ...]
    batch: int
    dim: int

    @classmethod
    def of(cls, pack: Pack, modality: str) -> PackGraph:
        """The graph of one modality.

        Raises
        ------
        PackError
            The pack has none.
        """
        shape: tuple[int, ...]
        if modality == "audio":
            spec, shape = pack.audio, (pack.audio.window_samples,)
            names = spec.file, spec.input, spec.output
        elif modality == "text" and pack.text is not None:
            names, shape = (pack.text.file, pack.text.input, pack.text.output), (pack.text.context,)
        elif modality == "image" and pack.image is not None:
            names, shape = (pack.image.file, pack.image.input, pack.image.output), (3, pack.image.size, pack.image.size)
        else:
            raise PackError(f"pack {pack.folder} has no {modality} encoder", "use a pack with one")
        file, given, got = names
        return cls(pack, modality, pack.path(file), pack.files[file], given, got, shape, BATCH[modality], pack.dim)

    def at(self, n: int) -> str:
        """The shape of n inputs, as ONNX Runtime's TensorRT wants it."""
        return f"{self.input}:{'x'.join(map(str, (n, *self.shape)))}"

    def checked(self, vectors: np.ndarray, n: int, provider: str) -> np.ndarray:
        """What a run gave, as ``[n, dim]`` float32.

        Raises
        ------
        PackError
            It is not ``n`` finite unit vectors.
        """
        vectors = np.asarray(vectors, np.float32)
        if vectors.shape != (n, self.dim):
            raise PackError(
                f"{self.path}: gave {vectors.shape} for {n} inputs, not [n, {self.dim}]", "reinstall the pack"
            )
        norms = np.linalg.norm(vectors, axis=1)
        unit = self.modality != "audio" or self.pack.audio.unit
        if not np.isfinite(vectors).all() or (unit and (np.abs(norms - 1.0) > NORM_TOLERANCE).any()):
            raise PackError(
                f"{self.path}: gave a vector that is not finite{' and of unit length' if unit else ''} on {provider}",
                "reinstall the pack, or run it on another provider",
            )
        return vectors


def model_path(path: Path) -> str:
    """The path of a graph as ONNX Runtime takes it.

    Raises
    ------
    PackError
        Its name is in bytes that are no UTF-8.
    """
    name = utf8(path)
    if name is None:
        raise PackError(
            f"{printable(str(path))}: its name is not UTF-8, which ONNX Runtime needs",
            "move the pack elsewhere",
        )
    return name
