"""The microphones of a station: which channel of which, what they were like, and how loud it was."""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from edgeapp.audio.microphones.channel_health import ChannelFault, Fault
from edgeapp.config.settings import Settings
from edgeapp.errors import DeviceError, UsageError
from edgeapp.journal import Reader
from edgeapp.station import sources
from edgeapp.station.source_worker import SourceWorker, Windowing
from edgeapp.station.sources import microphones_of, workers_of
from tests.conftest import PROJECT
from tests.edgeapp import pulse_server
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.station.listening import CARD_HZ, Passing, piped, reopened


class FakeCapture:
    """A microphone with two channels that is told which are asked of it."""

    asked: list[tuple[str | None, str]] = []

    def __init__(self, device, backend, *, channel, **more) -> None:
        self.asked.append((device, str(channel)))
        self.name, self.channels = "USB", 2
        self.recording = SimpleNamespace(left=lambda: None)

    def close(self) -> None:
        pass


@pytest.fixture
def asked(monkeypatch):
    monkeypatch.setattr(sources, "Capture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "asked", [])
    return FakeCapture.asked


def made(devices: tuple[str, ...], channels: tuple[str, ...], wait: bool = False) -> list[SourceWorker]:
    plain = Settings()
    settings = replace(
        plain,
        microphone=replace(plain.microphone, device=devices, wait=wait),
        input=replace(plain.input, channel=channels),
    )
    cutting = Windowing(lambda source: iter(()))
    return workers_of(settings, cutting, SimpleNamespace(events=None), None)


def test_each_channel_is_a_source_and_every_device_has_its_own_choice(asked, monkeypatch):
    monkeypatch.setattr(sources, "Reconnector", lambda opened, tell, **more: SimpleNamespace(opened=opened, **more))
    workers = made(("left", "array", "rtsp://anna:secret@camera/1"), ("2", "each", "best"))

    assert [worker.name for worker in workers] == ["left", "array, channel 1", "array, channel 2", "rtsp://camera/1"]
    assert [worker._source.channel for worker in workers] == [2, 1, 2, None]
    asked.clear()
    assert [worker._source.opened().name for worker in workers] == ["USB", "USB, channel 1", "USB, channel 2", "USB"]
    assert [channel for _, channel in asked] == ["2", "1", "2", "best"]


def test_one_choice_is_that_of_every_device(asked):
    workers = made(("a", "b"), ("best",))
    for worker in workers:
        with pytest.raises(AttributeError):
            next(worker._source.streams())

    assert asked == [("a", "best"), ("b", "best")]


def test_a_device_that_is_not_there_cannot_be_taken_apart(monkeypatch):
    def missing(*words, **more):
        raise DeviceError("no microphone matches 'array'", "plug it in")

    monkeypatch.setattr(sources, "Capture", missing)
    with pytest.raises(DeviceError, match="array'; plug it in"):
        made(("array",), ("each",))
    with pytest.raises(DeviceError, match="cannot be counted; repeat --device, once for each channel"):
        made(("array",), ("each",), wait=True)


def test_a_device_that_is_repeated_is_one_source_a_channel(asked):
    workers = made(("array", "array"), ("1", "2"), wait=True)

    assert [worker.name for worker in workers] == ["array, channel 1", "array, channel 2"]
    assert asked == []  # nothing has to be there yet


def test_how_loud_it_was_is_in_the_journal_minute_by_minute(listening):
    station = listening.station()
    sound = toy.tone(1000, seconds=90.0, rate_hz=CARD_HZ)
    cutting = Windowing(lambda source: listening.recogniser.cut(source, 5.0), meters=True)
    station.run(
        [SourceWorker("usb", piped(Passing(sound, listening.clock, "usb"), listening.clock), cutting, station.events)]
    )

    first, rest = listening.journal.sound_levels()
    level = 20 * np.log10(np.sqrt(np.square(sound).mean()))
    assert (first["seconds"], rest["seconds"], rest["start_s"]) == (60.0, 30.0, 60.0)
    assert first["leq_dbfs"] == pytest.approx(level, abs=0.1) and max(first["bands_dbfs"]) == first["bands_dbfs"][17]
    assert first["time_utc"] == "2026-06-01T12:00:00.000Z" and rest["time_utc"] == "2026-06-01T12:01:00.000Z"
    assert first["source"] == "usb" and first["clock_set"] == 1


def test_nobody_is_measured_who_did_not_ask(listening):
    listening.hear(toy.tone(1000, seconds=70.0, rate_hz=CARD_HZ))

    assert list(listening.journal.sound_levels()) == []


def test_what_a_microphone_was_like_is_in_the_journal(listening):
    noise = np.random.default_rng(1).normal(0, 0.01, 12 * CARD_HZ).astype(np.float32)

    class Faulty(Passing):
        def blocks(self):
            for number, block in enumerate(super().blocks()):
                if number == 50:
                    worker.health.channels([ChannelFault(Fault.DEAD, 2, "channel 2 has no sound")], 1005.0)
                if number == 100:
                    worker.health.channels([], 1010.0)
                yield block

    station = listening.station()
    worker = listening.worker(station, reopened([Faulty(noise, listening.clock, "usb")], listening.clock))
    station.run([worker])

    told = [(row["source"], row["state"], row["why"]) for row in listening.journal.microphone_states()]
    assert [state for _, state, _ in told] == ["hearing", "dead channel", "hearing", "lost"]
    assert told[1] == ("usb", "dead channel", "channel 2 has no sound")
    times = [row["time_utc"] for row in listening.journal.microphone_states()]
    assert times[1:3] == ["2026-06-01T12:00:05.000Z", "2026-06-01T12:00:10.000Z"]


@pytest.mark.skipif(bool(pulse_server.missing()), reason=pulse_server.missing())
def test_two_birds_in_two_channels_of_one_microphone_are_told_apart(sound_server, toy_pack, tmp_path, forks):
    server = sound_server.another()
    source = server.environment.pop("PULSE_SOURCE")
    birds = np.stack([toy.tone(1000, seconds=16.0, rate_hz=CARD_HZ), toy.tone(3000, seconds=16.0, rate_hz=CARD_HZ)], 1)
    soundfile.write(tmp_path / "birds.wav", birds, CARD_HZ)
    journal = tmp_path / "j.sqlite"
    command = [*forks.python(), "-m", "edgeapp", "listen", "--pack", str(toy_pack), "--journal", str(journal)]
    command += ["--device", f"pulse:{source}", "--channel", "each", "--hop", "2", "--duration", "12", "--meters"]
    environment = {**server.environment, "PYTHONPATH": str(PROJECT), "XDG_CONFIG_HOME": str(tmp_path)}
    waiting = pulse_server.PulseServer(environment, source.removesuffix(".monitor"))
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as listener:
        try:
            waiting.wait_for_listener()
            player = threading.Thread(target=server.play, args=(tmp_path / "birds.wav",))
            player.start()
            _, told = listener.communicate(timeout=200)
        finally:
            listener.kill()
        player.join()
    assert listener.returncode == 0, told

    with Reader(journal) as reader:
        rows = [row for row in reader.detections() if row["taxon_rank"] == "species"]
        heard = {(row["channel"], row["scientific_name"]) for row in rows}
        names = {row["source"] for row in rows}
        levels = list(reader.sound_levels())
    assert heard == {(1, "Parus major"), (2, "Cuculus canorus")}
    assert {name.rpartition(", ")[2] for name in names} == {"channel 1", "channel 2"}
    assert {row["channel"] for row in levels} == {1, 2}

    def output(*words: str) -> str:
        done = subprocess.run(
            [*forks.python(), "-m", "edgeapp", "journal", *words, "--journal", str(journal)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    head, *lines = output("levels", "--format", "csv").splitlines()
    assert head.startswith("time_utc,clock_set,station,source,device_id,channel,stream,seconds,leq_dbfs")
    assert ",20_hz_dbfs,25_hz_dbfs,31.5_hz_dbfs," in head and len(lines) == len(levels)
    states = [json.loads(line) for line in output("states", "--format", "ndjson").splitlines()]
    assert {state["state"] for state in states} <= {"hearing", "silent"} and len({one["source"] for one in states}) == 2
    assert "hearing" in output("states")


# which of them


def test_each_microphone_has_its_channel_and_the_log_in_of_now(tmp_path):
    netrc = tmp_path / "netrc"
    plain = Settings()
    settings = replace(
        plain,
        microphone=replace(plain.microphone, device=("USB", "rtsp://camera/1"), netrc=netrc),
        input=replace(plain.input, channel=("mix", "2")),
    )
    usb, camera = microphones_of(settings)
    assert (usb.name, usb.located, str(usb.channel)) == ("USB", "USB", "mix")

    for password in ("before", "after"):
        netrc.write_text(f"machine camera login anna password {password}\n")
        assert camera.located == f"rtsp://anna:{password}@camera/1"
    assert (camera.name, str(camera.channel)) == ("rtsp://camera/1", "2")
    assert "after" not in repr(camera)


def test_without_a_name_the_default_microphone_is_meant():
    [one] = microphones_of(Settings())
    assert (one.name, one.located) == ("microphone", None)


def test_channels_of_other_microphones_than_there_are_is_an_error():
    plain = Settings()
    devices = replace(plain.microphone, device=("a", "b", "c"))
    with pytest.raises(UsageError, match="2 channels for 3 microphones"):
        microphones_of(replace(plain, microphone=devices, input=replace(plain.input, channel=("1", "2"))))
