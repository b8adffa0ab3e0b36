"""A run with workers that do as they are told: what is kept, what is tried again, when it stops."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from edgeapp.archive import run as running
from edgeapp.archive.inputs import recordings
from edgeapp.archive.plan import MOST_ITEMS, Plan, Scan
from edgeapp.archive.progress import Progress
from edgeapp.archive.recognition import Recognition
from edgeapp.archive.results.dataset import DataSet
from edgeapp.archive.results.parts import Parts
from edgeapp.archive.results.record import Record
from edgeapp.archive.run import MOST_LOST, TRIES, Outcome, Run
from edgeapp.archive.workers.engine import Done
from edgeapp.archive.workers.worker import Heard, Task, Worker
from edgeapp.errors import AudioError, PackError
from edgeapp.terminal import duration
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.archive.results.test_parts import some_record


class Here:
    """The engine's twin: one worker in this process, which something may happen to at any task."""

    workers = 1

    def __init__(self, worker: Worker, happens: Callable[[Task], str | None] = lambda task: None) -> None:
        self._worker, self._happens = worker, happens
        self._task: Task | None = None
        self.tasks: list[Task] = []

    @property
    def free(self) -> int:
        return int(self._task is None)

    def submit(self, task: Task) -> None:
        assert self._task is None
        self._task = task
        self.tasks.append(task)

    def wait(self, timeout_s: float) -> list[Done]:
        task, self._task = self._task, None
        assert task is not None
        died = self._happens(task)
        return [Done(task, None, died)] if died else [Done(task, self._worker.hear(task))]


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Fifty recordings of a second."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    for n in range(50):
        soundfile.write(folder / f"{n:02}.wav", toy.tone(1000, seconds=1.0, level=0.05 + n / 1000), toy.RATE_HZ)
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    some_record(tables=("files", "detections")).write(folder)
    return folder


@pytest.fixture(scope="module")
def worker(toy_pack: Path) -> Worker:
    return Worker(Recognition(toy_pack), some_record(tables=("files", "detections")))


def run_over(sounds: Path, results: Path, engine: Here) -> tuple[Outcome, list[str]]:
    told: list[str] = []
    plan = Plan.of(Scan.of(recordings([str(sounds)])), DataSet(results))
    parts = Parts(results, Record.read(results))
    return Run(plan, engine, parts, Progress(0, 0, quiet=True), told.append).go(), told


def rows(results: Path) -> dict[str, dict]:
    found = DataSet(results).table("files").to_pylist()
    by_name = {os.path.basename(row["file"]): row for row in found}
    assert len(found) == len(by_name)
    return by_name


def test_recordings_go_to_workers_many_at_a_time(sounds, results, worker):
    engine = Here(worker)
    outcome, told = run_over(sounds, results, engine)
    assert outcome == Outcome(done=50, failed=0, moved=0, stopped_by=None)
    assert [len(task.items) for task in engine.tasks] == [50] and MOST_ITEMS >= 50
    assert told == [] and len(rows(results)) == 50


@pytest.mark.parametrize("poison", ["00", "17", "49"])
def test_what_kills_workers_is_found_by_halves(sounds, results, worker, poison):
    engine = Here(worker, lambda task: "killed" if any(poison in Path(i.file).name for i in task.items) else None)
    outcome, told = run_over(sounds, results, engine)
    assert (outcome.done, outcome.failed) == (49, 1)
    found = rows(results)
    assert [name for name, row in found.items() if row["error"]] == [f"{poison}.wav"]
    assert len(told) == 1 and f"{TRIES} workers died while they heard it (killed)" in told[0]
    assert run_over(sounds, results, Here(worker))[0].done == 0  # it is not tried again


def test_a_worker_that_was_killed_twice_costs_no_recording(sounds, results, worker):
    deaths = iter(["killed", "killed"])
    outcome, _ = run_over(sounds, results, Here(worker, lambda task: next(deaths, None)))
    assert (outcome.done, outcome.failed) == (50, 0)


def test_a_recording_that_is_gone_fails_and_is_tried_again(sounds, results, worker, monkeypatch):
    monkeypatch.setattr("edgeapp.archive.plan.MOST_ITEMS", 5)
    engine = Here(worker, lambda task: (sounds / "07.wav").unlink(missing_ok=True))
    outcome, told = run_over(sounds, results, engine)
    assert (outcome.done, outcome.failed) == (49, 1)
    assert "07.wav: cannot be read (No such file or directory)" in told[0]
    shutil.copy(sounds / "08.wav", sounds / "07.wav")
    assert run_over(sounds, results, Here(worker))[0] == Outcome(1, 0, 0, None)
    assert rows(results)["07.wav"]["error"] is None


def test_a_share_that_goes_away_stops_the_run(sounds, results, worker, monkeypatch):
    monkeypatch.setattr("edgeapp.archive.plan.MOST_ITEMS", 5)
    engine = Here(worker)

    def unmounted(task: Task) -> None:
        if len(engine.tasks) == 3:
            sounds.rename(sounds.with_name("away"))

    engine._happens = unmounted
    with pytest.raises(AudioError, match=rf"{MOST_LOST} recordings in a row cannot be read.*same command again"):
        run_over(sounds, results, engine)
    assert sorted(rows(results)) == [f"{n:02}.wav" for n in range(10)]
    sounds.with_name("away").rename(sounds)
    assert run_over(sounds, results, Here(worker))[0] == Outcome(40, 0, 0, None)
    assert not any(row["error"] for row in rows(results).values())


def test_what_ends_a_run_leaves_what_was_heard(sounds, results, worker, monkeypatch):
    monkeypatch.setattr("edgeapp.archive.plan.MOST_ITEMS", 10)
    engine = Here(worker)

    def broken(task: Task) -> None:
        if len(engine.tasks) == 4:
            raise PackError("audio.onnx: gave something that is not finite")

    engine._happens = broken
    with pytest.raises(PackError):
        run_over(sounds, results, engine)
    assert len(rows(results)) == 30


def test_parts_are_written_as_the_run_goes(sounds, results, worker, monkeypatch):
    monkeypatch.setattr("edgeapp.archive.plan.MOST_ITEMS", 10)
    monkeypatch.setattr(running, "PART_FILES", 20)
    seen = []
    run_over(sounds, results, Here(worker, lambda task: seen.append(len(list(results.glob("files/*.parquet"))))))
    assert seen == [0, 0, 1, 1, 2]


def test_a_recording_that_changes_while_it_is_heard_is_heard_again(sounds, results, worker):
    hear = worker.hear

    def meanwhile(task: Task) -> Heard:
        heard = hear(task)
        with open(sounds / "03.wav", "ab") as file:
            file.write(b"more")
        return heard

    engine = Here(worker)
    engine._worker = type("Changed", (), {"hear": staticmethod(meanwhile)})
    run_over(sounds, results, engine)
    assert run_over(sounds, results, Here(worker))[0].done == 1


class Terminal:
    """A stream that may be a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        self.text, self._is = "", is_terminal

    def isatty(self) -> bool:
        return self._is

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize(("is_terminal", "after_s"), [(True, 1.0), (False, 61.0)])
def test_progress_is_told_now_and_then(capsys, is_terminal, after_s):
    now = [0.0]
    stream = Terminal(is_terminal)
    progress = Progress(100, 1000, stream, lambda: now[0])
    progress.add(10, 100, 3600.0, failed=1)
    progress.tell()
    assert stream.text + capsys.readouterr().err == ""
    now[0] = after_s
    progress.tell()
    words = "10 of 100 files, 1.0 h of sound"
    assert words in (stream.text if is_terminal else capsys.readouterr().err)
    assert f"1 failed, {duration(9 * after_s)} left" in progress.line()
