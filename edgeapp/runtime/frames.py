"""An audio encoder in two graphs, so that every frame of a recording is made once, whatever windows it lies in.

A frame of the spectrogram depends on the sound around it alone, but for the few at the ends of a window, where the
sound is mirrored. So a window adds a strip of frames to those of the windows before it, and makes only its ends itself.
A strip is made by the first thread that needs it; the threads of a recording wait for one another no longer than that.
Only windows that begin a whole number of frames apart share: any hop of whole frames, 5 s or 2.5 s, but not 1.005 s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np

from edgeapp.audio.windows import Level, Window
from edgeapp.pack.format import Pack
from edgeapp.pack.split import Between, SplitSpec
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.ort import run
from edgeapp.runtime.session import open_session
from edgeapp.runtime.settings import CPU, RunSettings

# Taking a mean off behind the frames costs digits where it is far above the sound: 40 dB leave a cosine of 0.999998.
MOST_OFFSET = 100.0  # times the RMS of the sound

Front = Callable[[np.ndarray], np.ndarray]  # sound [m * hop] to frames [bands, m]


@dataclass(frozen=True)
class SharedWindow(Window):
    """A window whose frames are shared with those beside it.

    Attributes
    ----------
    frames : callable
        Gives them, ``[bands, count]``.
    """

    frames: Callable[[], np.ndarray] = field(kw_only=True)


class SplitEncoder:
    """The front end and the trunk of a pack's audio encoder on the processor.

    Parameters
    ----------
    pack : Pack
        Its audio encoder has a `SplitSpec`.
    settings : RunSettings

    Raises
    ------
    PackError
        ONNX Runtime is not installed, or cannot load a graph.
    """

    def __init__(self, pack: Pack, split: SplitSpec, settings: RunSettings) -> None:
        whole, on_processor = PackGraph.of(pack, "audio"), replace(settings, provider="cpu")
        self._front = _part(whole, split.front, "waveform", "frames")
        self._trunk = _part(whole, split.trunk, "log_mel", "embedding")
        self._front_session, _ = open_session(self._front, on_processor)
        self._trunk_session, _ = open_session(self._trunk, on_processor)
        self._split = split
        self._count = pack.audio.window_samples // split.hop

    def encode(self, window: Window) -> np.ndarray:
        """One window to its vector, ``[1, dim]``."""
        level = window.level
        if isinstance(window, SharedWindow) and abs(level.mean) <= MOST_OFFSET * level.rms:
            frames = window.frames()
        else:
            frames, level = self.front(window.samples - np.float32(level.mean)), Level(0.0, level.rms)
        given = {"log_mel": log_mel(frames, level, self._split.between)[None]}
        return self._trunk.checked(run(self._trunk_session, self._trunk, CPU, given), 1, CPU)

    def front(self, samples: np.ndarray) -> np.ndarray:
        """Sound ``[m * hop]`` to frames ``[bands, m]``."""
        return run(self._front_session, self._front, CPU, {"waveform": samples[None]})[0]

    def sharing(self, cut: Iterator[Window]) -> Iterator[Window]:
        """The windows of one source, in order, each with the way to its frames."""
        hop, edge = self._split.hop, self._split.edge
        inner = self._count - 2 * edge
        strips: deque[_Strip] = deque()
        before = None
        for window in cut:
            if self._repeats(window):
                yield SharedWindow(*_as_given(window), frames=_Repeated(self.front, window, hop, edge, self._count))
                continue
            step = None if before is None else window.first - before
            if step is None or step <= 0 or step % hop or step >= inner * hop:
                strips.clear()
                step = inner * hop
            strips.append(_Strip(self.front, window.samples[-(step + 2 * edge * hop) :], step // hop, edge))
            while sum(strip.count for strip in strips) - strips[0].count >= inner:
                strips.popleft()
            before = window.first
            beginning = window.samples[: 2 * edge * hop]
            frames = _Frames(self.front, beginning, tuple(strips), edge, self._count)
            yield SharedWindow(*_as_given(window), frames=frames)

    def _repeats(self, window: Window) -> bool:
        """Whether a window repeats itself in whole frames, and so often that its frames are worth copying."""
        hop, edge = self._split.hop, self._split.edge
        return window.period > 0 and window.period % hop == 0 and window.period // hop + 4 * edge < self._count


def log_mel(frames: np.ndarray, level: Level, between: Between) -> np.ndarray:
    """What the trunk sees of a window of this level, ``[n_mels, m]``; written over ``frames`` ``[bands, m]``.

    In NumPy, whose logarithm takes a quarter of the time of ONNX Runtime's on a processor with AVX-512.
    """
    low = len(between.constant)
    mel = frames[: len(frames) - low]
    offset = np.float32((1.0 - between.preemphasis) * level.mean)
    if offset:
        lowest = mel[:low]
        lowest += offset * offset * np.array(between.constant, np.float32)[:, None] - 2.0 * offset * frames[len(mel) :]
        np.maximum(lowest, 0.0, out=lowest)
    mel *= np.float32((between.rms / max(level.rms, between.least_rms)) ** 2)
    mel += np.float32(between.floor)
    np.log(mel, out=mel)
    mel += np.float32(between.shift)
    mel /= np.float32(between.spread)
    return mel


class _Strip:
    """The last frames of a window: those that windows before it had not, and those at its end, that are its alone."""

    def __init__(self, front: Front, samples: np.ndarray, count: int, edge: int) -> None:
        self.count = count
        self._front, self._edge = front, edge
        self._samples: np.ndarray | None = samples  # until the frames are made
        self._made: np.ndarray
        self._lock = Lock()

    def frames(self) -> np.ndarray:
        """``[bands, count + edge]``."""
        with self._lock:
            if self._samples is not None:
                self._made, self._samples = self._front(self._samples)[:, self._edge :], None
            return self._made


class _Repeated:
    """The frames of a short sound that fills a window by repetition: one repetition is made, and both ends."""

    def __init__(self, front: Front, window: Window, hop: int, edge: int, count: int) -> None:
        self._front, self._samples, self._period = front, window.samples, window.period // hop
        self._hop, self._edge, self._count = hop, edge, count

    def __call__(self) -> np.ndarray:
        """``[bands, count]``."""
        edge, period, ends = self._edge, self._period, 2 * self._edge * self._hop
        made = self._front(self._samples[: period * self._hop + ends])  # that at its own end has no use
        inner = np.arange(self._count - 2 * edge) % period + edge
        last = self._front(self._samples[-ends:])[:, -edge:]
        return np.concatenate([made[:, :edge], made[:, inner], last], axis=1)


class _Frames:
    """The frames of one window, put together from strips."""

    def __init__(self, front: Front, beginning: np.ndarray, strips: tuple[_Strip, ...], edge: int, count: int) -> None:
        self._front, self._beginning, self._strips, self._edge, self._count = front, beginning, strips, edge, count

    def __call__(self) -> np.ndarray:
        """``[bands, count]``."""
        last = self._strips[-1].frames()
        frames = np.empty((len(last), self._count), np.float32)
        frames[:, : self._edge] = self._front(self._beginning)[:, : self._edge]
        end = self._count - self._edge
        frames[:, end:] = last[:, -self._edge :]
        for strip in reversed(self._strips):
            begin = max(end - strip.count, self._edge)
            frames[:, begin:end] = strip.frames()[:, strip.count - (end - begin) : strip.count]
            end = begin
        return frames


def _as_given(window: Window) -> tuple[float, float, np.ndarray, int, int]:
    return window.start_s, window.end_s, window.samples, window.first, window.period


def _part(whole: PackGraph, file: str, given: str, got: str) -> PackGraph:
    pack = whole.pack
    return replace(whole, path=pack.path(file), sha256=pack.files[file], input=given, output=got)
