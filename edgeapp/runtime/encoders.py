"""The encoders of a pack: windows, texts and images to unit vectors of one space."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgeapp.audio.windows import Window
from edgeapp.errors import PackError
from edgeapp.pack.format import Pack
from edgeapp.pack.specs import ImageSpec
from edgeapp.runtime.frames import SplitEncoder
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.inputs import image_pixels, open_tokenizer
from edgeapp.runtime.ort import run
from edgeapp.runtime.session import open_session, processor_alone
from edgeapp.runtime.settings import CPU, ENGINE_PRECISIONS, RunSettings, driver_is_there

if TYPE_CHECKING:
    from PIL import Image

    from edgeapp.runtime.tensorrt.run import EngineRunner

TEXT_BATCH = 64
IMAGE_BATCH = 8


class AudioEncoder:
    """Windows to vectors.

    Parameters
    ----------
    pack : Pack
    threads : int or None
        ``BIOVITA_THREADS`` of the environment, or the cores this process may use, when None.
    provider : str or None
        Execution provider, one of `edgeapp.runtime.settings.PROVIDERS`; ``BIOVITA_PROVIDER`` of the environment,
        or ``auto``, when None. ``auto`` is an engine that was built before, else ONNX Runtime's TensorRT, CUDA or CPU.

    Attributes
    ----------
    provider : str
        The active provider.
    split : SplitEncoder or None
        The graph in two, where the processor runs it and the pack has them.
    engine_built_s : float or None
        Seconds that building its engine took, now or before, where an engine of `edgeapp.runtime.tensorrt` runs the
        graph.

    Raises
    ------
    PackError
        ONNX Runtime is not installed, or cannot load the graph.
    DeviceError
        The provider was asked for by name and is not there.
    UsageError
        An invalid option or setting.
    """

    def __init__(self, pack: Pack, threads: int | None = None, provider: str | None = None) -> None:
        self.spec = pack.audio
        split, settings = pack.audio.split, RunSettings.of(provider, threads)
        self._runner = None if split and processor_alone(settings) else _Runner(pack, "audio", threads, provider)
        self.provider = self._runner.provider if self._runner else CPU
        self.engine_built_s = self._runner.engine_built_s if self._runner else None
        self.split = SplitEncoder(pack, split, settings) if split and self.provider == CPU else None

    def sharing(self, cut: Iterator[Window]) -> Iterator[Window]:
        """The windows of one source, in order, ready to share what this encoder would make of each of them again."""
        return self.split.sharing(cut) if self.split else cut

    def hear(self, windows: Sequence[Window]) -> np.ndarray:
        """Encode windows, from `sharing` or not: list of n -> ``[n, dim]``; see `encode`.

        A processor takes one after the other, so that its layers stay in the cache.
        """
        if self.split:
            return np.concatenate([self.split.encode(window) for window in windows])
        if self.provider == CPU:
            return np.concatenate([self.encode(window.samples[None]) for window in windows])
        return self.encode(np.stack([window.samples for window in windows]))

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
            raise ValueError(f"windows are {windows.shape}, expected [n, {self.spec.window_samples}]")
        windows = np.ascontiguousarray(windows, np.float32)
        if self._runner:
            return self._runner.run(windows)
        return self.hear([Window(0.0, self.spec.window_s, samples) for samples in windows])


class TextEncoder:
    """Texts to vectors; raises `PackError` for a pack without a text encoder."""

    def __init__(self, pack: Pack, threads: int | None = None, provider: str | None = None) -> None:
        self._tokenizer = open_tokenizer(pack)
        self.spec = pack.text
        self._runner = _Runner(pack, "text", threads, provider)
        self.provider = self._runner.provider

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts: list of n -> ``[n, dim]`` float32, unit length."""
        rows = []
        for at in range(0, len(texts), TEXT_BATCH):
            encoded = self._tokenizer.encode_batch(list(texts[at : at + TEXT_BATCH]))
            rows.append(self._runner.run(np.array([one.ids for one in encoded], np.int64)))
        return np.concatenate(rows) if rows else np.zeros((0, self._runner.graph.dim), np.float32)


class ImageEncoder:
    """Photos to vectors; raises `PackError` for a pack without an image encoder."""

    def __init__(self, pack: Pack, threads: int | None = None, provider: str | None = None) -> None:
        if pack.image is None:
            raise PackError(
                f"pack {pack.folder} has no image encoder", "use a pack with one to add photos to a gallery"
            )
        self.spec: ImageSpec = pack.image
        self._runner = _Runner(pack, "image", threads, provider)
        self.provider = self._runner.provider

    def encode(self, images: Sequence[Image.Image | str | os.PathLike[str]]) -> np.ndarray:
        """Encode photos, opened or as paths: list of n -> ``[n, dim]`` float32, unit length."""
        rows = []
        for at in range(0, len(images), IMAGE_BATCH):
            pixels = [image_pixels(image, self.spec.size) for image in images[at : at + IMAGE_BATCH]]
            rows.append(self.encode_pixels(np.stack(pixels)))
        return np.concatenate(rows) if rows else np.zeros((0, self._runner.graph.dim), np.float32)

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Encode what `image_pixels` gives: ``[n, 3, size, size]`` -> ``[n, dim]`` float32, unit length."""
        return self._runner.run(pixels)


class _Runner:
    """One graph of a pack, on whatever runs it."""

    def __init__(self, pack: Pack, modality: str, threads: int | None, provider: str | None) -> None:
        settings = RunSettings.of(provider, threads)
        self.graph = PackGraph.of(pack, modality)
        engine = self._engine(settings)
        self.engine_built_s = engine.built_s if engine is not None else None
        if engine is not None:
            self._run, self.provider = engine.run, engine.provider
        else:
            self._session, self.provider = open_session(self.graph, settings)
            self._run = self._run_session

    def run(self, values: np.ndarray) -> np.ndarray:
        return self.graph.checked(self._run(values), len(values), self.provider)

    def _engine(self, settings: RunSettings) -> EngineRunner | None:
        if settings.provider in ENGINE_PRECISIONS:
            from edgeapp.runtime.tensorrt.cache import open_engine

            return open_engine(self.graph, ENGINE_PRECISIONS[settings.provider], settings)
        if settings.provider == "auto" and driver_is_there():
            from edgeapp.runtime.tensorrt.cache import kept_engine

            return kept_engine(self.graph, settings)
        return None

    def _run_session(self, values: np.ndarray) -> np.ndarray:
        if self.provider == CPU:
            return self._part(values)
        most = self.graph.batch  # what a GPU's memory is planned for
        return np.concatenate([self._part(values[at : at + most]) for at in range(0, max(len(values), 1), most)])

    def _part(self, values: np.ndarray) -> np.ndarray:
        return run(self._session, self.graph, self.provider, {self.graph.input: values})
