"""A station is found by its settings as long as it lives, and what a dead one left is removed."""

from __future__ import annotations

import pytest

from edgeapp.station import claim
from edgeapp.station.presence import present, status_files


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    made = tmp_path / "locks"
    made.mkdir()
    monkeypatch.setattr(claim, "SHARED", made)
    return made


def test_a_station_is_found_by_its_settings_while_it_lives(tmp_path, folder):
    settings, other = tmp_path / "station.toml", tmp_path / "other.toml"
    with present(settings, tmp_path / "a.json"):
        assert status_files(settings) == status_files(tmp_path / "x" / ".." / "station.toml") == [tmp_path / "a.json"]
        assert status_files(other) == []
    assert status_files(settings) == list(folder.iterdir()) == []


def test_what_a_dead_station_left_is_removed(tmp_path, folder):
    settings = tmp_path / "station.toml"
    with present(settings, tmp_path / "a.json"):
        [path] = folder.iterdir()
    path.write_text('{"status": "/nowhere"}')  # no process holds it
    assert status_files(settings) == list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_no_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("edgeapp.station.presence.shared_folder", lambda: tmp_path / "none")
    with present(tmp_path / "station.toml", tmp_path / "a.json"):
        assert status_files(tmp_path / "station.toml") == []
