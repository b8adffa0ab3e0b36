"""The pack that comes with the program, as it is installed."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from edgeapp import paths
from edgeapp.audio.file import FileSource
from edgeapp.audio.memory import MemorySource
from edgeapp.audio.resample import resampled
from edgeapp.audio.windows import windows
from edgeapp.cli import app
from edgeapp.pack.format import Pack
from edgeapp.paths import STARTER_PACK
from edgeapp.recognition.recogniser import Recogniser
from gallery.recognition import recognise
from tests.conftest import PROJECT

EXAMPLE = str(paths.EXAMPLE)


@pytest.fixture
def starter(starter_pack) -> Recogniser:
    return Recogniser(Pack.load(STARTER_PACK))


def test_the_example_is_heard_and_named(starter_pack):
    """From the program's start to its end, as a person runs it."""
    done = subprocess.run(
        [sys.executable, "-m", "edgeapp", "identify", EXAMPLE, "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    document = json.loads(done.stdout)
    assert document["species"][0]["scientific_name"]
    assert document["duration_s"] == 12.0


def test_it_knows_the_recordings_it_was_made_from(starter_pack, shared):
    """It tells a broken pack from a whole one; how good it is, the model card says on held-out recordings."""
    with (shared / "starter" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["modality"] == "audio"][::16]
    files = [str(shared / "starter" / row["path"]) for row in rows]
    result = CliRunner().invoke(app, ["identify", *files, "--format", "ndjson", "--quiet"])
    events = [event for event in map(json.loads, result.stdout.splitlines()) if event["event"] == "file"]
    right = [
        event["species"][0]["scientific_name"] == row["scientific_name"]
        for event, row in zip(events, rows, strict=True)
        if event["species"]
    ]
    assert sum(right) >= 0.8 * len(rows)


def test_every_field_recording_is_done(starter_pack, shared):
    """Continuous recordings at 22 to 48 kHz, with wind, rain and silence: each gives an answer or says nothing."""
    recordings = sorted(p for p in (shared / "field_recordings").iterdir() if p.suffix in (".flac", ".wav"))
    result = CliRunner().invoke(app, ["identify", *map(str, recordings), "--format", "ndjson", "--quiet"])
    assert (result.exit_code, result.stderr) == (0, "")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["file"] for event in events if event["event"] == "file"] == [str(path) for path in recordings]


def test_a_window_is_the_same_alone_and_in_company(starter):
    """A batch must not change an answer (LAION-CLAP issue 90)."""
    sound = np.random.default_rng(0).normal(0, 0.05, 30 * starter.pack.audio.rate_hz).astype(np.float32)
    rate_hz = starter.pack.audio.rate_hz
    together = list(starter.windows(MemorySource(sound, rate_hz)))
    alone = list(starter.windows(MemorySource(sound, rate_hz, live=True)))
    assert len(together) == len(alone) == 5
    for a, b in zip(together, alone, strict=True):
        assert a.vector is not None and b.vector is not None
        assert a.vector @ b.vector > 0.9999


def test_a_recording_gets_the_vectors_and_detections_of_the_plain_graph(starter_pack):
    """However many windows are worked on at once, and whatever the runtime makes of the graph."""
    import onnxruntime

    pack = Pack.load(STARTER_PACK)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(str(pack.path(pack.audio.file)), options, providers=["CPUExecutionProvider"])
    recogniser = Recogniser(pack, threads=3)
    results = list(recogniser.windows(FileSource(EXAMPLE), hop_s=0.5))
    cut = windows(resampled(FileSource(EXAMPLE), pack.audio.rate_hz), hop_s=0.5)
    assert len(results) == 5
    for result, window in zip(results, cut, strict=True):
        (wanted,) = plain.run([pack.audio.output], {pack.audio.input: window.samples[None]})
        assert float(wanted[0] @ result.vector) >= 0.9999
        (plainly,) = recognise(wanted, [result.level_dbfs], recogniser.vocabulary)
        assert [one.path for one in result.detections] == [one.path for one in plainly.detections]


def test_silence_is_nothing_heard(starter):
    (result,) = starter.windows(MemorySource(np.zeros(480_000), 48_000))
    assert not result.heard and result.detections == ()
