"""The encoders of a pack through ONNX Runtime: windows, texts and images to unit vectors of one space."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeapp.errors import PackError, UsageError
from edgeapp.pack import ImageSpec, Pack, TextSpec

if TYPE_CHECKING:
    from PIL import Image

# First that the installed ONNX Runtime offers wins; anything an accelerator cannot run falls through to the CPU.
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")

NORM_TOLERANCE = 1e-3  # a float16 graph is this far off one; a graph that forgot to normalise is much further
TEXT_BATCH = 64
IMAGE_BATCH = 8
PAD_ID = 0


class AudioEncoder:
    """Windows to vectors.

    Parameters
    ----------
    pack : Pack
    threads : int or None
        The cores this process may use when None.

    Raises
    ------
    PackError
        ONNX Runtime is not installed, or cannot load the graph.
    """

    def __init__(self, pack: Pack, threads: int | None = None) -> None:
        self.spec = pack.audio
        self._graph = _Graph(pack, pack.audio.file, pack.audio.input, pack.audio.output, threads)
        self.provider = self._graph.provider

    def encode(self, windows: np.ndarray) -> np.ndarray:
        """Encode windows.

        Parameters
        ----------
        windows : np.ndarray
            ``[n, window_samples]`` float32 at the pack's rate.

        Returns
        -------
        np.ndarray
            ``[n, dim]`` float32, unit length.

        Raises
        ------
        PackError
            The graph gave something that is not a finite unit vector.
        """
        if windows.ndim != 2 or windows.shape[1] != self.spec.window_samples:
            raise ValueError(f"windows are {windows.shape}, the encoder hears [n, {self.spec.window_samples}]")
        return self._graph.run(np.ascontiguousarray(windows, np.float32))


class TextEncoder:
    """Texts to vectors; raises `PackError` for a pack without a text encoder."""

    def __init__(self, pack: Pack, threads: int | None = None) -> None:
        if pack.text is None:
            raise PackError(f"pack {pack.folder} has no text encoder", "use a pack with one to add names to a gallery")
        from tokenizers import Tokenizer

        self.spec: TextSpec = pack.text
        try:
            self._tokenizer = Tokenizer.from_file(str(pack.path(self.spec.tokenizer)))
        except Exception as error:  # the library raises bare Exception for a file it cannot read
            raise PackError(f"{pack.path(self.spec.tokenizer)}: {error}", "get the pack again") from None
        self._tokenizer.enable_truncation(self.spec.context)
        self._tokenizer.enable_padding(length=self.spec.context, pad_id=PAD_ID)
        self._graph = _Graph(pack, self.spec.file, self.spec.input, self.spec.output, threads)
        self.provider = self._graph.provider

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts: list of n -> ``[n, dim]`` float32, unit length."""
        rows = []
        for at in range(0, len(texts), TEXT_BATCH):
            encoded = self._tokenizer.encode_batch(list(texts[at : at + TEXT_BATCH]))
            rows.append(self._graph.run(np.array([one.ids for one in encoded], np.int64)))
        return np.concatenate(rows) if rows else np.zeros((0, self._graph.dim), np.float32)


class ImageEncoder:
    """Photos to vectors; raises `PackError` for a pack without an image encoder."""

    def __init__(self, pack: Pack, threads: int | None = None) -> None:
        if pack.image is None:
            raise PackError(
                f"pack {pack.folder} has no image encoder", "use a pack with one to add photos to a gallery"
            )
        self.spec: ImageSpec = pack.image
        self._graph = _Graph(pack, self.spec.file, self.spec.input, self.spec.output, threads)
        self.provider = self._graph.provider

    def encode(self, images: Sequence[Image.Image | str | os.PathLike[str]]) -> np.ndarray:
        """Encode photos, opened or as paths: list of n -> ``[n, dim]`` float32, unit length."""
        rows = []
        for at in range(0, len(images), IMAGE_BATCH):
            pixels = [image_pixels(image, self.spec.size) for image in images[at : at + IMAGE_BATCH]]
            rows.append(self.encode_pixels(np.stack(pixels)))
        return np.concatenate(rows) if rows else np.zeros((0, self._graph.dim), np.float32)

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Encode what `image_pixels` gives: ``[n, 3, size, size]`` -> ``[n, dim]`` float32, unit length."""
        return self._graph.run(pixels)


def image_pixels(image: Image.Image | str | os.PathLike[str], size: int) -> np.ndarray:
    """What the image encoder sees: upright RGB, shorter side resized to ``size`` (bicubic), centre crop.

    Returns
    -------
    np.ndarray
        ``[3, size, size]`` float32, 0..255; the graph normalises.
    """
    from PIL import Image, ImageOps

    if isinstance(image, (str, os.PathLike)):
        with Image.open(image) as opened:
            return image_pixels(opened, size)
    upright = ImageOps.exif_transpose(image).convert("RGB")
    short = min(upright.size)
    wide, high = (size * side // short for side in upright.size)  # sides and crop rounded as open_clip rounds them
    resized = upright.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (round((side - size) / 2) for side in resized.size)
    cropped = resized.crop((left, top, left + size, top + size))
    return np.asarray(cropped, np.float32).transpose(2, 0, 1)


def available_cores() -> int:
    """Cores this process may use, which in a container is fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Graph:
    """One ONNX graph with one input and one output of unit vectors."""

    def __init__(self, pack: Pack, file: str, input_name: str, output_name: str, threads: int | None) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"{threads} threads cannot work", "give --threads 1 or more")
        try:
            import onnxruntime
        except ImportError:
            raise PackError("ONNX Runtime is not installed", "pip install 'biovita-edge[cpu]'") from None
        self.path: Path = pack.path(file)
        self.dim = pack.dim
        self._input, self._output = input_name, output_name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        # A waiting thread that spins takes the core from the thread that decodes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        offered = onnxruntime.get_available_providers()
        try:
            self._session = onnxruntime.InferenceSession(
                str(self.path), options, providers=[name for name in PROVIDERS if name in offered]
            )
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise PackError(f"{self.path}: cannot be loaded ({_first_line(error)})", "get the pack again") from None
        names = [one.name for one in self._session.get_inputs()], [one.name for one in self._session.get_outputs()]
        if input_name not in names[0] or output_name not in names[1]:
            raise PackError(
                f"{self.path}: has {names[0]} -> {names[1]}, not {input_name} -> {output_name}", "get the pack again"
            )
        self.provider: str = self._session.get_providers()[0]

    def run(self, values: np.ndarray) -> np.ndarray:
        out: Any
        (out,) = self._session.run([self._output], {self._input: values})
        vectors = np.asarray(out, np.float32)
        if vectors.shape != (len(values), self.dim):
            raise PackError(
                f"{self.path}: gave {vectors.shape} for {len(values)} inputs, not [n, {self.dim}]", "get the pack again"
            )
        norms = np.linalg.norm(vectors, axis=1)
        if not np.isfinite(vectors).all() or (np.abs(norms - 1.0) > NORM_TOLERANCE).any():
            raise PackError(
                f"{self.path}: gave a vector that is not finite and of unit length on {self.provider}",
                "get the pack again, or run it on another provider",
            )
        return vectors


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
