"""``biovita-edge archive``: any number of recordings, whatever happens to the run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from edgeapp.archive.results.dataset import DataSet
from edgeapp.cli import app
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.forks import ARCHIVE, Forks

# Run by every process before it loads the program: what is called so kills the worker, as a native crash does.
POISON = """
import os
import sys

import edgeapp.audio.file as file

class Poisoned(file.FileSource):
    def __init__(self, path, *args, **named):
        if "poison" in os.path.basename(str(path)) and "multiprocessing" in sys.modules and is_worker():
            os.abort()
        super().__init__(path, *args, **named)

def is_worker():
    import multiprocessing
    return multiprocessing.parent_process() is not None

file.FileSource = Poisoned
"""
# The command, with a part for each task.
HASTY = "import edgeapp.archive.run as run; run.PART_S = 0.0; from edgeapp.cli import main; main()"
MARK = "BIOVITA_TEST"  # in the environment of what a test starts: its folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sounds` is a copy of."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "site a").mkdir(parents=True)
    (folder / "site ü").mkdir()

    def write(name: str, samples: np.ndarray, rate_hz: int = toy.RATE_HZ, **options: str) -> None:
        soundfile.write(folder / name, samples, rate_hz, **options)

    write("site a/SMA_20260522_050000Z.wav", toy.tone(1000, seconds=31.0))
    write("site a/20260523T040000Z.flac", toy.tone(1000, 3000))
    write("site a/short.wav", toy.tone(3000, seconds=1.0))
    write("site a/silence.wav", np.zeros(80_000, np.float32))
    write("site a/noise.ogg", toy.noise(), format="OGG")
    stereo = np.stack([toy.tone(500, rate_hz=48_000), toy.tone(2000, rate_hz=48_000)], axis=1)
    write("site ü/stereo.wav", stereo, 48_000)
    write("site ü/three.wav", np.stack([toy.tone(1000)] * 3, axis=1))
    write("site ü/same.wav", toy.tone(2000))
    shutil.copy(folder / "site ü/same.wav", folder / "site ü/same again.wav")
    (folder / "site ü/broken.wav").write_bytes(b"no sound at all")
    return folder


@pytest.fixture
def sounds(made: Path, tmp_path: Path) -> Path:
    """Ten recordings in two folders: tones, noise, silence, a short one, stereo at 48 kHz, one that is no sound."""
    return shutil.copytree(made, tmp_path / "sounds")


@pytest.fixture
def archive(loaded_workers: None, toy_pack: Path, tmp_path: Path) -> Callable[..., Result]:
    """Run ``archive`` into the folder ``results``, with one worker unless words say otherwise."""

    def call(*words: object) -> Result:
        args = ["archive", *map(str, words), "--output", str(tmp_path / "results")]
        if "--pack" not in args:
            args += ["--pack", str(toy_pack)]
        if "--workers" not in args:
            args += ["--workers", "1"]
        return CliRunner().invoke(app, args)

    return call


@pytest.fixture
def begun(forks: Forks, toy_pack: Path, tmp_path: Path) -> Callable[..., subprocess.Popen]:
    """Start the command in a process of its own, as are its workers; what `workers` finds them by."""

    def start(results: Path, *words: object, first: str = ARCHIVE, hasty: bool = False) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", MARK: str(tmp_path)}
        python = [*forks.python(environment, first), *(("-c", HASTY) if hasty else ("-m", "edgeapp"))]
        return subprocess.Popen(
            [*python, "archive", *map(str, words), "--output", str(results), "--pack", str(toy_pack)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    return start


def files_of(results: Path) -> dict[str, dict]:
    """Rows of the table of files by the name of the file; each is there once."""
    rows = DataSet(results).table("files").to_pylist()
    by_name = {os.path.basename(row["file"]): row for row in rows}
    assert len(by_name) == len(rows)
    return by_name


def detections_of(results: Path) -> list[tuple]:
    rows = DataSet(results).table("detections").to_pylist()
    keys = ("source_file", "start_s", "end_s", "taxon_scientific_name", "confidence")
    return sorted(tuple(row[key] for key in keys) for row in rows)


def many(folder: Path, n: int) -> Path:
    """Many short recordings, in ten versions."""
    folder.mkdir()
    for number in range(n):
        if number < 10:
            soundfile.write(folder / f"{number:04}.wav", toy.tone(1000, seconds=1.0, level=0.05 + number / 200), 8000)
        else:
            os.link(folder / f"{number % 10:04}.wav", folder / f"{number:04}.wav")
    return folder


@pytest.mark.parametrize("options", [(), ("--hop", 2.5, "--only", "Parus", "--language", "de")])
def test_identify_and_archive_give_the_same(sounds, archive, run, tmp_path, options):
    files = sorted(str(path) for path in sounds.rglob("*") if path.is_file())
    said = run("identify", *files, "--format", "json", *options)
    documents = json.loads("[" + said.stdout.replace("\n}\n{", "\n},\n{") + "]")
    result = archive(sounds, "--windows", *options)
    assert (said.exit_code, result.exit_code) == (1, 1)
    results = DataSet(tmp_path / "results")
    rows = results.table("detections").to_pylist()
    heard = {os.path.basename(one["file"]): one for one in documents}
    assert len(heard) == 9
    assert sum(len(one["detections"]) for one in documents) == len(rows) > 5
    for name, row in files_of(tmp_path / "results").items():
        if name == "broken.wav":
            assert row["error"] in said.stderr
            continue
        document = heard[name]
        mine = [results.document(one) for one in rows if one["source_file"] == document["file"]]
        assert mine == document["detections"]
        assert (row["duration_s"], row["notes"]) == (document["duration_s"], document["notes"])
        assert row["species"] == document["species"]
        assert row["n_windows"] == len(document["windows"])


def test_with_a_place_they_give_the_same_too(sounds, archive, run, tmp_path, toy_copy):
    toy.add_range(toy_copy)
    place = ("--latitude", 52.5, "--longitude", 13.4, "--pack", toy_copy)
    files = sorted(str(path) for path in sounds.rglob("*") if path.is_file())
    said = run("identify", *files, "--format", "ndjson", *place)
    events = [json.loads(line) for line in said.stdout.splitlines()]
    notes = {one["file"]: one["notes"] for one in events if one["event"] == "file"}
    wanted = [{k: v for k, v in one.items() if k != "event"} for one in events if one["event"] == "detection"]
    assert archive(sounds, *place).exit_code == 1
    results = DataSet(tmp_path / "results")
    got = [results.document(row) for row in results.table("detections").to_pylist()]
    assert sorted(map(str, got)) == sorted(map(str, wanted))
    rows = results.table("files").to_pylist()
    assert {row["file"]: row["notes"] for row in rows if row["error"] is None} == notes
    assert any("not expected" in note for row in rows for note in row["notes"])


def test_the_same_command_goes_on_and_does_nothing_twice(sounds, archive, tmp_path):
    assert archive(sounds / "site a").exit_code == 0
    before = files_of(tmp_path / "results")
    result = archive(sounds)
    assert "10 recordings" in result.stderr and "5 done before; 5 to hear" in result.stderr
    after = files_of(tmp_path / "results")
    assert len(after) == 10 and all(after[name] == row for name, row in before.items())
    again = archive(sounds)
    assert again.exit_code == 1  # one failed
    assert "10 done before, of which 1 failed (--retry-failed hears them again)" in again.stderr
    assert "nothing to do" in again.stderr
    assert files_of(tmp_path / "results") == after


def test_recordings_of_one_content_are_both_heard(sounds, archive, tmp_path):
    archive(sounds)
    rows = files_of(tmp_path / "results")
    assert rows["same.wav"]["sha256"] == rows["same again.wav"]["sha256"]
    assert rows["same.wav"]["n_detections"] == rows["same again.wav"]["n_detections"] == 1


def test_moved_recordings_are_known_by_content(sounds, archive, tmp_path):
    archive(sounds, "--embeddings")
    before = files_of(tmp_path / "results")
    (sounds / "site ü").rename(sounds / "moved")
    result = archive(sounds, "--embeddings")
    assert "5 of them heard before under another name" in result.stderr
    after = files_of(tmp_path / "results")
    assert set(after) == set(before)
    results = DataSet(tmp_path / "results")
    assert not any("site ü" in file for file in results.table("detections")["source_file"].to_pylist())
    moved = {row["file_id"] for row in after.values() if f"{os.sep}moved{os.sep}" in row["file"]}
    assert {row["file_id"] for row in results.table("embeddings").to_pylist()} >= moved - {
        after["broken.wav"]["file_id"]
    }
    assert archive(sounds, "--embeddings").stderr.count("10 done before") == 1


def test_a_renamed_partition_by_folder_follows_the_folder(sounds, archive, tmp_path):
    archive(sounds, "--partition", "folder")
    (sounds / "site ü").rename(sounds / "moved")
    archive(sounds, "--partition", "folder")
    folders = {path.name for path in (tmp_path / "results" / "detections").iterdir()}
    assert len(folders) == 2 and all(name.endswith(("site a", "moved")) for name in folders)


def test_both_doors_count_recordings_alike(archive, toy_pack, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("good.wav", "cut.wav"):
        soundfile.write(folder / name, toy.tone(1000, seconds=20), toy.RATE_HZ)
    whole = (folder / "cut.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "broken.wav").write_bytes(b"RIFF" + bytes(100))
    count = "1 of 3 files done, 2 failed"
    one, other = archive(folder), CliRunner().invoke(app, ["identify", str(folder), "--pack", str(toy_pack)])
    assert count in one.stderr and count in other.stderr
    assert one.exit_code == other.exit_code == 1


def test_a_touched_recording_is_not_heard_again(sounds, archive, tmp_path):
    archive(sounds / "site a")
    before = files_of(tmp_path / "results")["short.wav"]
    os.utime(sounds / "site a/short.wav", (1_700_000_000, 1_700_000_000))
    assert "1 of 1 files done, 0 failed, 1 of them heard before" in archive(sounds / "site a").stderr
    after = files_of(tmp_path / "results")["short.wav"]
    assert after["mtime"].timestamp() == 1_700_000_000
    assert after["sha256"] == before["sha256"]


def test_a_changed_recording_replaces_its_old_rows(sounds, archive, tmp_path):
    archive(sounds / "site a")
    path = sounds / "site a/short.wav"
    stat = path.stat()
    soundfile.write(path, toy.tone(500, seconds=1.0), toy.RATE_HZ)
    os.utime(path, (stat.st_atime, stat.st_mtime + 10))
    assert path.stat().st_size == stat.st_size
    assert archive(sounds / "site a").exit_code == 0
    found = [one for one in detections_of(tmp_path / "results") if one[0] == str(path)]
    assert [one[3] for one in found] == ["Bufo bufo"]


def test_failed_recordings_are_heard_again_if_asked(sounds, archive, tmp_path):
    archive(sounds)
    soundfile.write(sounds / "site ü/broken.wav", toy.tone(1000), toy.RATE_HZ)
    stat = (sounds / "site ü/broken.wav").stat()
    assert files_of(tmp_path / "results")["broken.wav"]["error"]
    assert archive(sounds).exit_code == 0  # it is another file now
    assert files_of(tmp_path / "results")["broken.wav"]["error"] is None
    (sounds / "bad.wav").write_bytes(b"also no sound")
    assert archive(sounds).exit_code == 1
    assert "1 to hear" in archive(sounds, "--retry-failed").stderr
    assert stat.st_size == files_of(tmp_path / "results")["broken.wav"]["size"]


def test_other_settings_are_refused_or_begin_a_new_run(sounds, archive, tmp_path):
    archive(sounds / "site a")
    before = files_of(tmp_path / "results")
    refused = archive(sounds / "site a", "--hop", 2.5)
    assert refused.exit_code == 2
    assert "was begun with other settings: hop is 2.5, and was 5.0" in refused.stderr
    assert files_of(tmp_path / "results") == before
    assert archive(sounds / "site a", "--hop", 2.5, "--new-run").exit_code == 0
    assert files_of(tmp_path / "results.1") == before
    assert files_of(tmp_path / "results")["noise.ogg"]["n_windows"] == 1


def test_another_pack_is_refused(sounds, archive, short_pack):
    archive(sounds / "site a")
    refused = archive(sounds / "site a", "--pack", short_pack)
    assert refused.exit_code == 2
    assert "pack sha256 is" in refused.stderr


def test_a_dry_run_says_what_there_is_and_writes_nothing(sounds, archive, tmp_path):
    result = archive(sounds, "--dry-run")
    assert result.exit_code == 0
    assert "10 recordings" in result.stderr and "1 of 10 looked into cannot be read" in result.stderr
    assert "broken.wav: is not readable audio" in result.stderr
    assert "with 1 worker (" in result.stderr and "of results" in result.stderr
    assert not (tmp_path / "results").exists()


def test_a_folder_with_something_else_is_left_alone(sounds, archive, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "thesis.docx").write_text("dear")
    result = archive(sounds)
    assert result.exit_code == 2
    assert "holds something else (thesis.docx)" in result.stderr


def test_a_recording_that_is_not_there_fails_alone(sounds, archive, tmp_path):
    result = archive(sounds / "site a/short.wav", sounds / "gone.wav")
    assert result.exit_code == 1
    assert "gone.wav: does not exist" in result.stderr
    assert set(files_of(tmp_path / "results")) == {"short.wav", "gone.wav"}


def test_names_in_any_bytes_are_kept(sounds, archive, tmp_path):
    name = os.fsdecode(b"caf\xe9 \xff.wav")
    shutil.copy(sounds / "site a/short.wav", sounds / name)
    assert archive(sounds / name).exit_code == 0
    [row] = DataSet(tmp_path / "results").table("files").to_pylist()
    assert row["path"] == os.fsencode(str(sounds / name)) and row["file"].endswith(".wav")
    assert "1 done before" in archive(sounds / name).stderr


def test_a_killed_worker_is_replaced_and_nothing_is_lost(begun, tmp_path):
    folder = many(tmp_path / "many", 200)
    process = begun(tmp_path / "results", folder, "--workers", 2)
    killed = 0
    while process.poll() is None and killed < 2:
        for pid in workers(tmp_path):
            if killed < 2:
                os.kill(pid, signal.SIGKILL)
                killed += 1
        time.sleep(0.05)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert killed == 2
    assert len(files_of(tmp_path / "results")) == 200
    assert len(detections_of(tmp_path / "results")) == 200


def test_a_killed_run_goes_on_where_it_was(begun, tmp_path):
    folder = many(tmp_path / "many", 250)
    results = tmp_path / "results"
    process = begun(results, folder, "--workers", 1, hasty=True)
    while process.poll() is None and not list(results.glob("files/*.parquet")):
        time.sleep(0.02)
    begun_with = workers(tmp_path)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    wait_for(lambda: not any(alive(pid) for pid in begun_with))
    again = begun(results, folder, "--workers", 2)
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert "100 done before" in err or "200 done before" in err
    assert len(files_of(results)) == 250
    assert len(detections_of(results)) == 250
    assert sorted(path.name for path in results.iterdir()) == [".lock", "detections", "files", "run.json"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_done_and_says_how_to_go_on(begun, tmp_path, number, code):
    folder = many(tmp_path / "many", 3000)
    results = tmp_path / "results"
    process = begun(results, folder, "--workers", 1)
    wait_for(lambda: bool(workers(tmp_path)))
    time.sleep(1.0)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "the same command goes on" in err
    rows = files_of(results) if (results / "files").exists() else {}
    assert len(rows) < 3000
    assert len(detections_of(results)) == len(rows)


def test_a_recording_that_kills_its_worker_is_named(begun, tmp_path):
    folder = many(tmp_path / "many", 11)
    shutil.copy(folder / "0007.wav", folder / "0007 poison.wav")
    process = begun(tmp_path / "results", folder, "--workers", 1, first=POISON + ARCHIVE)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 1, err
    rows = files_of(tmp_path / "results")
    assert len(rows) == 12
    assert [name for name, row in rows.items() if row["error"]] == ["0007 poison.wav"]
    assert "workers died while they heard it (killed by SIGABRT)" in rows["0007 poison.wav"]["error"]
    assert "0007 poison.wav: 3 workers died" in err


def test_two_runs_do_not_write_to_one_folder(sounds, archive, tmp_path):
    from edgeapp.archive.results import lock

    assert archive(sounds / "site a").exit_code == 0
    with lock.alone(tmp_path / "results"):
        result = archive(sounds)
    assert result.exit_code == 2
    assert "another run is writing there" in result.stderr


def test_a_full_disk_stops_the_run_and_it_goes_on_later(sounds, small_disk, toy_pack, run, loaded_workers):
    words = ("archive", sounds / "site a", "--output", small_disk / "results", "--pack", toy_pack, "--workers", 1)
    (small_disk / "ballast").write_bytes(b"0" * ((1 << 20) - 16_384))
    result = run(*words)
    assert result.exit_code == 2, result.stderr
    assert "No space left on device" in result.stderr and "same command again" in result.stderr
    (small_disk / "ballast").unlink()
    assert run(*words).exit_code == 0
    assert len(files_of(small_disk / "results")) == 5


def test_ray_gives_the_same(sounds, begun, tmp_path):
    ours = begun(tmp_path / "ours", sounds, "--workers", 1)
    ours.communicate(timeout=120)
    rays = begun(tmp_path / "rays", sounds, "--workers", 1, "--ray", "local")
    _, err = rays.communicate(timeout=240)
    assert (ours.returncode, rays.returncode) == (1, 1), err
    assert all(line.startswith("biovita-edge: ") for line in err.splitlines()), err
    assert detections_of(tmp_path / "rays") == detections_of(tmp_path / "ours") != []


@pytest.mark.slow
def test_two_workers_of_ray_lose_nothing_when_one_is_killed_twice(begun, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    soundfile.write(folder / "00000.wav", toy.tone(1000, seconds=60.0), toy.RATE_HZ)
    for number in range(1, 1000):
        os.link(folder / "00000.wav", folder / f"{number:05}.wav")
    process = begun(tmp_path / "results", folder, "--workers", 2, "--ray", "local")
    killed: set[int] = set()
    while process.poll() is None:
        busy = [pid for pid in actors(tmp_path, "hear") if pid not in killed]
        if len(killed) < 2 and busy:
            time.sleep(0.5)
            os.kill(busy[0], signal.SIGKILL)
            killed.add(busy[0])
        time.sleep(0.1)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, ""), err
    assert len(killed) == 2
    rows = files_of(tmp_path / "results")
    assert len(rows) == 1000 and not any(row["error"] for row in rows.values())
    assert len(detections_of(tmp_path / "results")) == 1000


def test_without_ray_or_pyarrow_one_line_says_what_to_install(sounds, archive, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = archive(sounds, "--ray", "local")
    assert result.exit_code == 2 and "Ray is not installed; pip install 'biovita-edge[ray]'" in result.stderr
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = archive(sounds)
    assert result.exit_code == 2 and "pip install 'biovita-edge[archive]'" in result.stderr


def test_a_cluster_that_is_not_there_is_told(sounds, begun, tmp_path):
    process = begun(tmp_path / "results", sounds, "--ray", "127.0.0.1:1")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "no Ray cluster responds at 127.0.0.1:1" in err


def marked(folder: Path, words: bytes) -> list[int]:
    """Processes that a test with such a folder started, with such words in their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if words in (entry / "cmdline").read_bytes() and f"{MARK}={folder}".encode() in (
                entry / "environ"
            ).read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return sorted(found)


def actors(folder: Path, method: str) -> list[int]:
    """Processes of Ray that are at a method of a worker."""
    return marked(folder, f"ray::_Actor.{method}".encode())


def workers(folder: Path) -> list[int]:
    """Worker processes of a run."""
    return marked(folder, b"spawn_main")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
