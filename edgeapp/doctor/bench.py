"""How fast this device is: the figures of ``biovita-edge bench``, each measured here and now.

The sound is sung by `edgeapp.examples.synthesise`: the encoder's work does not depend on what is sung. Start and
memory are those of processes of their own, as a person would start them; everything else is measured in this one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.audio.file import FileSource
from edgeapp.audio.memory import MemorySource
from edgeapp.audio.windows import Window
from edgeapp.board.machine import machine
from edgeapp.board.power import Draw, power_meter
from edgeapp.errors import DeviceError
from edgeapp.examples.synthesise import SONGS, synthesise
from edgeapp.pack.format import Pack
from edgeapp.paths import child_environment
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.runtime.encoders import AudioEncoder
from gallery.recognition import recognise

RATE_HZ = 48_000  # of the recording: what recorders in the field are set to
PIECE_S = 10.0  # sung once and repeated
CLIP_S = 10.0  # of the recording whose start to end is timed
STARTS = 3
WARM_UP = 2  # windows that are not timed: the first run plans memory
LEAST_WINDOWS = 5
MOST_LATENCY_S = 20.0  # a slow board times fewer windows, but `LEAST_WINDOWS` at least
IDLE_S = 2.0
PARITY_WINDOWS = 4
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss
MB = 1e6


@dataclass(frozen=True)
class Parity:
    """How near the encoder is to the same graph run plainly: on the CPU, with no optimisation.

    Attributes
    ----------
    least_cosine : float
        Over ``windows`` windows.
    same_species : int
        Windows whose likeliest species is the same.
    stored : mapping
        What the pack says of its own graph and the checkpoint it was made of.
    """

    least_cosine: float
    same_species: int
    windows: int
    stored: Mapping[str, Any]


@dataclass(frozen=True)
class Watts:
    """Mean power: of the machine at rest, and while it identifies; None where nothing tells."""

    sensor: str | None
    idle: float | None
    busy: float | None


@dataclass(frozen=True)
class Bench:
    """The figures; the JSON document of ``bench``.

    Attributes
    ----------
    provider : str
        What really ran the encoder.
    start_s : float
        From the start of an ``identify`` process to its end, for a clip of 10 s; median.
    engine_build_s : float or None
        Building the engine, when it was built; None where no engine of this program runs the encoder.
    first_load_s, load_s : float
        Making the encoder, the first time in this process and again. ONNX Runtime's TensorRT builds its engine the
        first time, unless it was there already, and does not tell how long that took.
    window_p50_ms, window_p95_ms : float
        From a window to its detections, one window at a time as ``listen`` does it.
    times_real_time, seconds_per_hour : float
        Of a recording, decoding included, once the program has started.
    peak_mb : float
        Most memory an ``identify`` process of that recording had resident.
    """

    machine: Mapping[str, str | int]
    pack: str
    pack_version: str
    provider: str
    threads: int
    start_s: float
    engine_build_s: float | None
    first_load_s: float
    load_s: float
    window_p50_ms: float
    window_p95_ms: float
    windows_timed: int
    recording_s: float
    times_real_time: float
    seconds_per_hour: float
    peak_mb: float
    watts: Watts
    parity: Parity
    notes: Sequence[str] = field(default_factory=tuple)


def bench(
    pack: Pack,
    gallery: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    provider: str | None = None,
    seconds: float = 300.0,
    n_windows: int = 50,
) -> Bench:
    """Measure this device.

    Parameters
    ----------
    pack : Pack
    gallery : path or None
        The pack's own when None.
    threads, provider : int or None, str or None
        See `edgeapp.recognition.recogniser.Recogniser`.
    seconds : float
        Length of the recording.
    n_windows : int
        Windows timed one by one, fewer on a board that is slow.

    Raises
    ------
    DeviceError
        A process of ``identify`` failed, with what it said.
    PackError, GalleryError
        What would fail `identify` too.
    """
    meter = power_meter()
    with Draw(meter) as idle:
        if meter is not None:
            time.sleep(IDLE_S)
    options = ["--pack", os.fspath(pack.folder), *(("--gallery", os.fspath(gallery)) if gallery is not None else ())]
    options += ["--threads", str(threads)] if threads else []
    options += ["--provider", provider] if provider else []
    with tempfile.TemporaryDirectory(prefix="biovita-edge-bench-") as folder:
        clip, recording = Path(folder) / "clip.wav", Path(folder) / "recording.wav"
        _sing(clip, CLIP_S)
        _sing(recording, seconds)
        # Before anything large is loaded: a process starts with the memory mark of the one that starts it.
        starts = [_identify(clip, options)[0] for _ in range(STARTS)]
        _, peak_mb = _identify(recording, options)
        first_load_s = _seconds(lambda: AudioEncoder(pack, threads, provider))
        load_s = _seconds(lambda: AudioEncoder(pack, threads, provider))
        recogniser = Recogniser(pack, gallery, threads=threads, provider=provider)
        with Draw(meter) as busy:
            took_s = _seconds(lambda: [None for _ in recogniser.windows(FileSource(recording))])
    recogniser = Recogniser(pack, gallery, threads=threads, provider=provider, live=True)
    cut = list(islice(_sung_windows(pack), max(WARM_UP + 1, PARITY_WINDOWS)))
    latencies = _latencies(recogniser, cut, n_windows)
    p50, p95 = np.percentile(latencies, [50, 95])
    return Bench(
        machine=machine(),
        pack=pack.name,
        pack_version=pack.version,
        provider=recogniser.encoder.provider,
        threads=recogniser.threads,
        start_s=float(np.median(starts)),
        engine_build_s=recogniser.encoder.engine_built_s,
        first_load_s=first_load_s,
        load_s=load_s,
        window_p50_ms=1000.0 * float(p50),
        window_p95_ms=1000.0 * float(p95),
        windows_timed=len(latencies),
        recording_s=seconds,
        times_real_time=seconds / took_s,
        seconds_per_hour=3600.0 * took_s / seconds,
        peak_mb=peak_mb,
        watts=Watts(meter.name if meter is not None else None, idle.watts, busy.watts),
        parity=_parity(recogniser, cut[:PARITY_WINDOWS]),
        notes=() if meter is not None else ("no power sensor found",),
    )


def _latencies(recogniser: Recogniser, cut: Sequence[Window], n_windows: int) -> list[float]:
    """Seconds from a window to its detections, one after the other."""
    for window in cut[:WARM_UP]:
        recogniser.answer([window])
    taken: list[float] = []
    while len(taken) < n_windows and (len(taken) < LEAST_WINDOWS or sum(taken) < MOST_LATENCY_S):
        window = cut[len(taken) % len(cut)]
        taken.append(_seconds(lambda: recogniser.answer([window])))  # noqa: B023
    return taken


def _parity(recogniser: Recogniser, cut: Sequence[Window]) -> Parity:
    """Compare the encoder with the plain graph."""
    import onnxruntime

    spec = recogniser.pack.audio
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(
        os.fspath(recogniser.pack.path(spec.file)), options, providers=["CPUExecutionProvider"]
    )
    least, same = 1.0, 0
    for window in cut:
        (wanted,) = plain.run([spec.output], {spec.input: window.samples[None]})
        vectors = recogniser.encoder.encode(window.samples[None])
        lengths = float(np.linalg.norm(wanted) * np.linalg.norm(vectors))  # 1 unless the pack's vectors are not unit
        least = min(least, float(np.sum(np.asarray(wanted, np.float64) * vectors)) / lengths)
        both = np.concatenate([np.asarray(wanted, np.float32), vectors])
        a, b = recognise(both, [window.level.dbfs] * 2, recogniser.vocabulary)
        same += int(np.argmax(a.confidences) == np.argmax(b.confidences))
    return Parity(least, same, len(cut), dict(recogniser.pack.parity.get("audio", {})))


def _sung_windows(pack: Pack) -> Iterator[Window]:
    """Windows of all songs, at the encoder's rate."""
    for song in SONGS.values():
        source = MemorySource(synthesise(song, 3 * pack.audio.window_s, RATE_HZ), RATE_HZ)
        yield from pack.audio.cutting.windows(source)


def _sing(path: Path, seconds: float) -> None:
    """Write a recording: a piece of song, again and again."""
    import soundfile

    song = synthesise(SONGS["great-tit"], min(PIECE_S, seconds), RATE_HZ)
    left = round(seconds * RATE_HZ)
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16") as file:
        while left > 0:
            file.write(song[:left])
            left -= len(song)


def _identify(path: Path, options: Sequence[str]) -> tuple[float, float]:
    """Run ``identify`` in a process of its own; seconds from start to end, and megabytes."""
    words = [sys.executable, "-m", "edgeapp", "identify", os.fspath(path), "--format", "json", "--quiet", *options]
    began = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=child_environment())
    assert process.stderr is not None
    with process.stderr:
        told = process.stderr.read().decode(errors="replace").strip()  # ends with the process
    _, status, usage = os.wait4(process.pid, 0)
    took_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise DeviceError(f"biovita-edge identify failed: {told.splitlines()[-1] if told else '-'}", "fix this error")
    return took_s, usage.ru_maxrss * RSS_UNIT / MB


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
