"""The pack made of BirdNET's public weights, where `make birdnet` could make it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeapp.cli import app
from edgeapp.pack.format import Pack
from edgeapp.pack.installed import default_pack
from edgeapp.paths import EXAMPLE


@pytest.fixture
def installed(birdnet_pack: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIOVITA_PACKS", str(birdnet_pack.parent))
    return birdnet_pack


def test_it_hears_three_seconds_side_by_side_with_silence_behind(birdnet_pack):
    pack = Pack.load(birdnet_pack)
    audio = pack.audio
    assert (pack.preset, audio.rate_hz, audio.window_s, audio.hop_s) == ("birdnet", 48_000, 3.0, 3.0)
    assert (audio.pad, audio.unit) == ("zero", False)
    assert "CC BY-NC-SA 4.0" in pack.licence


def test_it_is_the_default_and_names_the_example(installed):
    assert default_pack().name == "birdnet"
    done = CliRunner().invoke(app, ["identify", str(EXAMPLE), "--format", "json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["pack"]["name"] == "birdnet"
    assert [window["start_s"] for window in document["windows"]] == [0.0, 3.0, 6.0, 9.0]


def test_it_is_examined_without_an_error(installed):
    done = CliRunner().invoke(app, ["doctor", "--no-microphone", "--json"])
    findings = json.loads(done.stdout)["findings"]
    about = [one for one in findings if one["name"] in ("pack", "parity", "gallery", "provider", "answer")]
    assert len(about) >= 4 and not [one for one in about if one["state"] == "error"]
