"""`identify` hears the channel that was asked for, and says which it was in every format."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import soundfile

from edgeapp.audio.pcm import STDIN
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.outputs import receivers

RATE_HZ = toy.RATE_HZ
TIT, CUCKOO = "Parus major", "Cuculus canorus"


@pytest.fixture
def duet(tmp_path):
    """A great tit on the left and a cuckoo on the right."""
    path = tmp_path / "duet.wav"
    soundfile.write(path, np.stack([toy.tone(1000), toy.tone(3000)], axis=1), RATE_HZ)
    return path


def documents(text: str) -> list[dict]:
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:].strip()
    return found


def names(document: dict) -> set[str]:
    return {one["taxon"]["scientific_name"] for one in document["detections"]}


@pytest.mark.parametrize(
    ("channel", "heard"),
    [
        ("left", [(1, TIT)]),
        ("right", [(2, CUCKOO)]),
        ("1", [(1, TIT)]),
        ("2", [(2, CUCKOO)]),
        ("each", [(1, TIT), (2, CUCKOO)]),
    ],
)
def test_the_channel_that_was_asked_for_is_heard_and_named(run, duet, channel, heard):
    found = documents(run("identify", duet, "-f", "json", "--channel", channel).stdout)
    assert [(one["channel"], *names(one)) for one in found] == heard
    assert [{detection["source"]["channel"] for detection in one["detections"]} for one in found] == [
        {number} for number, _ in heard
    ]


def test_all_channels_are_heard_together_unless_asked_otherwise(run, duet):
    asked = [documents(run("identify", duet, "-f", "json", *args).stdout) for args in ((), ("--channel", "mix"))]
    assert asked[0] == asked[1] and asked[0][0]["channel"] is None


def test_the_best_channel_is_chosen_for_each_file(run, record, tmp_path):
    paths = []
    for n, swap in enumerate((False, True)):
        pair = [toy.tone(1000), toy.noise(10)[: len(toy.tone(1000))]]
        soundfile.write(tmp_path / f"{n}.wav", np.stack(pair[::-1] if swap else pair, axis=1), RATE_HZ)
        paths.append(tmp_path / f"{n}.wav")
    paths.append(record("mono.wav", toy.tone(1000)))
    found = documents(run("identify", *paths, "-f", "json", "--channel", "best").stdout)
    assert [(one["channel"], *names(one)) for one in found] == [(1, TIT), (2, TIT), (1, TIT)]


def test_a_channel_that_a_file_does_not_have_fails_that_file_only(run, duet, record):
    mono = record("mono.wav", toy.tone(1000))
    result = run("identify", mono, duet, "-f", "json", "--channel", "right")
    assert result.exit_code == 1
    assert f"{mono}: has no channel 2, only one channel; choose another --channel" in result.stderr
    assert [one["file"] for one in documents(result.stdout)] == [str(duet)]


@pytest.mark.parametrize("channel", ["0", "both", "-1"])
def test_a_channel_that_cannot_be_is_refused(run, duet, channel):
    result = run("identify", duet, f"--channel={channel}")
    assert result.exit_code == 2 and "there is no channel" in result.stderr


def test_each_channel_is_told_in_every_table(run, duet, record, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    soundfile.write("one.wav", toy.tone(2000), RATE_HZ)

    def written(format: str) -> str:
        return run("identify", "duet.wav", "one.wav", "-f", format, "--channel", "each").stdout

    rows = list(csv.DictReader(io.StringIO(written("csv"))))
    assert [(row["Scientific name"], row["File"], row["channel"]) for row in rows] == [
        (TIT, "duet.wav", "1"),
        (CUCKOO, "duet.wav", "2"),
        ("Parus minor", "one.wav", "1"),
    ]
    selections = receivers.raven(written("raven"))
    assert [(row["Channel"], float(row["Begin Time (s)"])) for row in selections] == [("1", 0), ("2", 0), ("1", 10)]
    assert [(begin, label.rpartition(" (")[2]) for begin, _, label in receivers.audacity(written("audacity"))] == [
        (0.0, "channel 1)"),
        (0.0, "channel 2)"),
        (10.0, "channel 1)"),
    ]
    assert "duet.wav  channel 2" in written("table")
    events = [json.loads(line) for line in written("ndjson").splitlines()]
    assert [event["channel"] for event in events if event["event"] == "window"] == [1, 2, 1]


def test_a_file_of_channels_counts_once(run, duet, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF no sound")
    result = run("identify", duet, tmp_path / "bad.wav", "-f", "json", "--channel", "each")
    assert result.exit_code == 1 and "1 of 2 files done, 1 failed" in result.stderr


def test_channels_that_cancel_are_heard_and_noted(run, tmp_path):
    path = tmp_path / "inverted.wav"
    soundfile.write(path, np.stack([toy.tone(1000), -toy.tone(1000)], axis=1), RATE_HZ)
    result = run("identify", path, "-f", "json")
    [document] = documents(result.stdout)
    told = "channels cancel each other: one of them is used instead"
    assert names(document) == {TIT} and told in document["notes"] and told in result.stderr


def test_raw_sound_has_channels_too(run, duet):
    raw = soundfile.read(duet, dtype="int16")[0].tobytes()
    options = ("--pcm-rate", RATE_HZ, "--pcm-channels", 2, "-f", "json")
    [document] = documents(run("identify", STDIN, *options, "--channel", "right", input=raw).stdout)
    assert (document["channel"], *names(document)) == (2, CUCKOO)
    refused = run("identify", STDIN, *options, "--channel", "best", input=raw)
    assert refused.exit_code == 2 and "reads a recording twice" in refused.stderr


def test_a_report_shows_each_channel(run, duet, tmp_path):
    result = run("identify", duet, "--channel", "each", "--report", tmp_path / "report.html")
    assert result.exit_code == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "duet.wav, channel 1" in page and "duet.wav, channel 2" in page


def test_faults_of_a_recording_are_noted_for_it(run, tmp_path):
    path = tmp_path / "offset.wav"
    soundfile.write(path, toy.tone(1000) + 0.3, RATE_HZ)
    result = run("identify", path, "-f", "ndjson")
    event = json.loads(result.stdout.splitlines()[-1])
    assert any("constant offset of +30.0% of full scale" in note for note in event["notes"])
    assert result.stderr.count("constant offset") == 1
