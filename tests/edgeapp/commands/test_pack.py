"""``biovita-edge pack`` and the packs that the other commands take, as a person meets them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeapp.cli import app
from edgeapp.pack.format import UNCALIBRATED
from edgeapp.paths import EXAMPLE, STARTER_PACK
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.pack.file_server import file_server


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packs of the test's own."""
    monkeypatch.setenv("BIOVITA_PACKS", str(tmp_path / "packs"))
    return tmp_path / "packs"


@pytest.fixture
def birdnet(packs: Path) -> Path:
    """An installed toy pack that says it is the best there is."""
    folder = toy.make(packs / "birdnet")
    document = json.loads((folder / "pack.json").read_text())
    (folder / "pack.json").write_text(json.dumps(document | {"preset": "birdnet"}))
    return folder


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def only_line(result: Result, code: int) -> str:
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    [line] = result.stderr.splitlines()
    return line


def test_with_nothing_installed_the_starter_pack_is_listed(packs):
    told = call("pack", "list")
    assert told.exit_code == 0
    [_, row] = told.stdout.splitlines()
    assert row.split()[:2] == ["*", "starter"] and row.endswith(str(STARTER_PACK))
    assert told.stderr == "* starter: the default, as the best one installed\n"


def test_a_pack_is_installed_used_and_removed(packs, toy_pack):
    done = call("pack", "install", toy_pack)
    assert done.stdout == f"toy: installed: toy 1.0 in {packs / 'toy'}\n"
    assert done.stderr == "the default is starter, as the best one installed\n"
    assert call("pack", "use", "toy").stdout.startswith("toy: the default, as chosen with `pack use`, in ")
    told = json.loads(call("pack", "list", "--format", "json").stdout)
    assert (told["default"], told["why"]) == ("toy", "chosen with `pack use`")
    rows = {row["name"]: row for row in told["packs"]}
    assert list(rows) == ["toy", "starter"]
    assert rows["toy"] == {
        "name": "toy",
        "default": True,
        "version": "1.0",
        "preset": "toy",
        "licence": "CC0-1.0",
        "calibrated": True,
        "taxa": 4,
        "size_bytes": sum(path.stat().st_size for path in (packs / "toy").iterdir()),
        "folder": str(packs / "toy"),
        "fault": None,
    }
    assert rows["starter"]["taxa"] == 260 and not rows["starter"]["default"]
    assert call("pack", "install", toy_pack).stdout.startswith("toy: replaced by toy 1.0 in ")
    assert call("pack", "use", "--best").stdout.startswith("starter: the default, as the best one installed")
    assert call("pack", "remove", "toy").stdout == f"{packs / 'toy'}: removed\n"
    assert list(packs.iterdir()) == []


def test_a_pack_goes_through_an_archive_to_another_device(packs, toy_pack, tmp_path, monkeypatch):
    done = call("pack", "archive", tmp_path / "toy.zip", toy_pack)
    assert done.exit_code == 0 and done.stdout.startswith(f"{tmp_path / 'toy.zip'}: toy 1.0, ")
    with file_server() as served:
        served.content = (tmp_path / "toy.zip").read_bytes()
        assert call("pack", "install", served.url, "--name", "sent").exit_code == 0
    assert "files as they were made" in call("pack", "verify", "sent").stdout
    assert "(named)" in call("pack", "info", "sent").stdout


def test_a_pack_that_was_not_calibrated_says_so(packs, toy_pack, record):
    call("pack", "install", toy_pack)
    path = packs / "toy" / "pack.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"calibrated": False}))
    assert f"toy: {UNCALIBRATED}" in call("pack", "list").stderr.splitlines()
    rows = json.loads(call("pack", "list", "--format", "json").stdout)["packs"]
    assert [row["calibrated"] for row in rows] == [False, True]
    assert f"no: {UNCALIBRATED}" in call("pack", "info", "toy").stdout
    tits = [record(name, toy.tone(1000, seconds=12)) for name in ("a.wav", "b.wav")]
    told = call("identify", *tits, "--pack", "toy", "--format", "ndjson")
    assert told.stderr.count(UNCALIBRATED) == 1
    documents = [json.loads(call("identify", tit, "--pack", "toy", "--format", "json").stdout) for tit in tits]
    assert all(UNCALIBRATED in document["notes"] for document in documents)


def test_every_command_takes_the_best_pack_installed(birdnet, record, tmp_path):
    tit = record("tit.wav", toy.tone(1000, seconds=12))
    document = json.loads(call("identify", tit, "--format", "json").stdout)
    assert document["pack"]["name"] == "toy"
    assert f"{birdnet} (the best one installed)" in call("pack", "info").stdout
    assert str(birdnet) in call("pack", "verify").stdout
    assert json.loads(call("gallery", "info", "--json").stdout)["space"] == "toy"
    table = tmp_path / "taxa.csv"
    ranks = "kingdom,phylum,class,order,family,genus"
    row = "Animalia,Chordata,Aves,Passeriformes,Paridae,Parus"
    table.write_text(f"scientific_name,common_name,{ranks}\nParus major,Great Tit,{row}\n")
    made = call("gallery", "build", tmp_path / "g.sqlite", "--taxa", table, "--modalities", "text")
    assert made.exit_code == 0, made.output
    assert json.loads(call("gallery", "info", tmp_path / "g.sqlite", "--json").stdout)["space"] == "toy"
    assert call("identify", tit, "--pack", "starter", "--format", "json").exit_code == 0


def test_listen_takes_the_pack_and_its_hop(packs, short_pack, tmp_path, forks):
    call("pack", "install", short_pack, "--name", "short")
    call("pack", "use", "short")
    words = [*forks.python(), "-m", "edgeapp", "listen", "-", "--pcm-rate", "48000", "--format", "ndjson"]
    words += ["--journal", str(tmp_path / "journal.sqlite")]
    sound = (32767 * toy.tone(1000, seconds=9, rate_hz=48_000)).astype("<i2").tobytes()
    home = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(words, input=sound, capture_output=True, env={**os.environ, **home}, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    events = [json.loads(line) for line in done.stdout.splitlines()]
    starts = [event["start_s"] for event in events if event["event"] == "window"]
    assert starts == [0.0, 3.0, 6.0]


def test_the_hop_is_the_packs_unless_another_is_asked(short_pack, record):
    tit = record("tit.wav", toy.tone(1000, seconds=9))
    document = json.loads(call("identify", tit, "--pack", short_pack, "--format", "json").stdout)
    assert (document["window_s"], document["hop_s"]) == (3.0, 3.0)
    assert [window["start_s"] for window in document["windows"]] == [0.0, 3.0, 6.0]
    assert [(one["start_s"], one["end_s"]) for one in document["detections"]] == [(0.0, 9.0)]
    document = json.loads(call("identify", tit, "--pack", short_pack, "--format", "json", "--hop", "1.5").stdout)
    assert [window["start_s"] for window in document["windows"]] == [0.0, 1.5, 3.0, 4.5, 6.0]
    document = json.loads(call("identify", EXAMPLE, "--pack", "starter", "--format", "json").stdout)
    assert document["hop_s"] == 5.0


def test_a_gallery_of_other_encoders_is_one_line(birdnet, record):
    tit = record("tit.wav", toy.tone(1000, seconds=12))
    line = only_line(call("identify", tit, "--gallery", STARTER_PACK / "gallery.sqlite"), 3)
    assert "was made by other encoders" in line and "pack starter" in line and line.endswith("with --pack")


def test_a_damaged_default_is_one_line_and_no_other_pack(birdnet, record):
    (birdnet / "audio.onnx").write_bytes(b"")
    tit = record("tit.wav", toy.tone(1000, seconds=12))
    line = only_line(call("identify", tit), 3)
    assert "audio.onnx was changed" in line and "(the best one installed); install it again" in line
    (birdnet / "pack.json").write_text("{")
    assert "is not JSON" in only_line(call("identify", tit), 3)
    told = call("pack", "list")
    assert told.exit_code == 3
    assert [row.split()[:2] for row in told.stdout.splitlines()[1:]] == [["!", "birdnet"], ["starter", "2026.11.28"]]
    assert "unknown whether" in told.stderr
    assert call("identify", EXAMPLE, "--pack", "starter").exit_code == 0
    assert call("pack", "remove", "birdnet").exit_code == 0
    assert call("identify", EXAMPLE).exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["identify", "EXAMPLE", "--pack", "startr"], 3, "did you mean 'starter'?"),
        (["identify", "EXAMPLE", "--pack", "./nowhere"], 3, "is not a folder"),
        (["pack", "use"], 2, "give the name of an installed pack, or --best"),
        (["pack", "use", "starter", "--best"], 2, "give the name of an installed pack, or --best"),
        (["pack", "use", "eagle"], 3, "is not installed"),
        (["pack", "use", "starter", "--shared"], 2, "omit --shared or BIOVITA_PACKS"),
        (["pack", "remove", "starter"], 2, "part of the program"),
        (["pack", "install", "nowhere"], 3, "nowhere: is not there"),
        (["pack", "install", "EXAMPLE"], 3, "is neither a zip nor a tar archive"),
        (["pack", "install", "EXAMPLE", "--sha256", "0"], 2, "64 hexadecimal digits"),
        (["pack", "archive", "/proc/toy.zip", "starter"], 2, "name another file"),
        (["gallery", "build", "--pack", "starter"], 2, "installed pack 'starter' cannot be rebuilt"),
        (["gallery", "build"], 2, "installed pack 'starter' cannot be rebuilt"),
    ],
)
def test_a_wish_that_cannot_be_fulfilled_is_one_line(packs, words, code, told):
    line = only_line(call(*(str(EXAMPLE) if word == "EXAMPLE" else word for word in words)), code)
    assert told in line


def test_a_pack_is_chosen_by_a_setting_too(birdnet, tmp_path):
    (tmp_path / "config.toml").write_text('[station]\npack = "starter"\n')
    told = call("doctor", "--config", tmp_path / "config.toml", "--no-microphone", "--json")
    [pack] = [one["what"] for one in json.loads(told.stdout)["findings"] if one["name"] == "pack"]
    assert pack.startswith("starter ") and "named in the settings" in pack
    told = call("doctor", "--config", os.devnull, "--no-microphone", "--json")
    [pack] = [one["what"] for one in json.loads(told.stdout)["findings"] if one["name"] == "pack"]
    assert pack.startswith("toy ") and "the best one installed" in pack


def test_doctor_names_a_damaged_pack_that_is_not_in_use(birdnet):
    (birdnet / "audio.onnx").unlink()
    call("pack", "use", "starter")
    told = json.loads(call("doctor", "--config", os.devnull, "--no-microphone", "--json").stdout)["findings"]
    used, other = [one for one in told if one["name"] == "pack"]
    assert "chosen with `pack use`" in used["what"]
    assert other["state"] == "warning" and "audio.onnx is missing (not in use)" in other["what"]
