"""What `bench` prints was measured: figures that can be checked are, and none is left out."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest

from edgeapp.commands.bench import table
from edgeapp.doctor.bench import Bench, bench
from edgeapp.errors import DeviceError
from edgeapp.pack.format import Pack
from edgeapp.runtime.encoders import AudioEncoder

MEASURED: dict[tuple[object, ...], Bench] = {}


@pytest.fixture(scope="module")
def measured(toy_pack):
    # In a process of its own, as the command has: a child's peak begins at the memory of the process that starts it.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(bench, Pack.load(toy_pack), threads=1, seconds=30, n_windows=6).result()


@pytest.fixture
def measuring_once(monkeypatch):
    """What a command has measured is shown by another one that is asked for the same."""

    def measure(pack, *asked):
        if (pack.folder, *asked) not in MEASURED:
            MEASURED[(pack.folder, *asked)] = bench(pack, *asked)
        return MEASURED[(pack.folder, *asked)]

    monkeypatch.setattr("edgeapp.commands.bench.measure", measure)


def test_the_figures_agree_with_each_other(measured):
    assert measured.provider.endswith("ExecutionProvider")
    assert measured.windows_timed == 6 and measured.threads == 1
    assert 0 < measured.window_p50_ms <= measured.window_p95_ms
    assert measured.seconds_per_hour == pytest.approx(3600 / measured.times_real_time)
    assert 0 < measured.load_s < measured.start_s  # a process loads, and does more
    assert 20 < measured.peak_mb < 2000


def test_the_machine_and_the_versions_stand_above(measured):
    assert {"cpu", "cores", "system", "python", "onnxruntime"} <= set(measured.machine)
    names = [name for name, _ in table(measured)]
    assert names.index("onnxruntime") < names.index("pack") < names.index("encoder ran on")


def test_parity_is_with_the_plain_graph(measured, toy_pack, monkeypatch):
    assert measured.parity.least_cosine == pytest.approx(1.0, abs=1e-5)
    assert measured.parity.same_species == measured.parity.windows == 4
    encode = AudioEncoder.encode
    monkeypatch.setattr(AudioEncoder, "encode", lambda self, windows: np.roll(encode(self, windows), 1, axis=1))
    monkeypatch.setattr("edgeapp.doctor.bench._identify", lambda *given: (1.0, 100.0))  # no part of the parity
    wrong = bench(Pack.load(toy_pack), threads=1, seconds=10, n_windows=1).parity
    assert wrong.least_cosine < 0.9 and wrong.same_species < 4


def test_json_holds_every_figure_and_nothing_else(run, toy_pack, measuring_once):
    result = run("bench", "--pack", toy_pack, "--seconds", 10, "--windows", 1, "--threads", 1, "--format", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["pack"] == "toy" and document["recording_s"] == 10
    assert set(document["watts"]) == {"sensor", "idle", "busy"}
    assert document["parity"]["windows"] == 4


def test_the_table_has_a_line_for_each_figure(run, toy_pack, measuring_once):
    result = run("bench", "--pack", toy_pack, "--seconds", 10, "--windows", 1, "--threads", 1)
    assert result.exit_code == 0, result.output
    for word in ("ms of", "times real time", "MB at most", "cosine"):
        assert word in result.stdout


def test_building_an_engine_is_told_apart_from_loading_it(measured):
    assert measured.engine_build_s is None and not any("engine" in name for name, _ in table(measured))
    rows = dict(table(replace(measured, engine_build_s=12.34)))
    assert rows["engine, built once"] == "12.3 s" and rows["load, again"] == f"{measured.load_s:.2f} s"


def test_a_recording_too_short_to_say_anything_is_refused(run, toy_pack):
    result = run("bench", "--pack", toy_pack, "--seconds", 1)
    assert result.exit_code == 2


def test_a_process_that_fails_is_told(toy_pack):
    with pytest.raises(DeviceError, match="identify failed"):
        bench(Pack.load(toy_pack), "nowhere.sqlite", threads=1, seconds=10, n_windows=1)
