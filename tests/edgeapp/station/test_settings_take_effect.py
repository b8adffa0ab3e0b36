"""Every setting does something: a station made with another value behaves otherwise, where the setting says so.

A setting without a case here fails the test, so none can be added that nobody reads.
"""

from __future__ import annotations

import io
import logging
import os
import re
import socket
import ssl
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgeapp.audio.memory import MemorySource
from edgeapp.audio.metadata import guano
from edgeapp.audio.source import Block
from edgeapp.clips.retention import Usage
from edgeapp.clips.ring import Ring
from edgeapp.commands.listen import _page, _screen
from edgeapp.config.settings import SETTINGS, Settings
from edgeapp.delivery.template import examples
from edgeapp.detections.pictures import DocumentPictures
from edgeapp.errors import BiovitaError
from edgeapp.journal import Journal, StoredClip
from edgeapp.station import sources
from edgeapp.station.assembly import assemble, clock_of, recogniser_of
from edgeapp.station.learned import learned_gallery
from edgeapp.station.logs import station_log
from edgeapp.station.permissions import restrict
from edgeapp.station.source_worker import SourceWorker
from edgeapp.station.sources import workers_of
from edgeapp.station.station import Station
from edgeapp.station.targets import targets
from edgeapp.web.access import write_password
from gallery import Counterexample, Entry, Gallery, build
from gallery.entry import Thumbnail
from gallery.recognition import Detection
from gallery.utc import utc_text
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.station.listening import CARD_HZ, NOON, Passing, SetClock, Watched, piped

MOMENT = SetClock().now()


@pytest.fixture
def folder(tmp_path, toy_pack):
    """Settings of a toy station, and files that other values name."""
    (tmp_path / "list.txt").write_text("Cuculus canorus\n")
    (tmp_path / "range.csv").write_text(
        "scientific_name,latitude_min,latitude_max,longitude_min,longitude_max,week_first,week_last\n"
        "Parus major,40,60,,,,\nBufo bufo,,,-20,20,,\n"
    )
    (tmp_path / "watched").mkdir()
    (tmp_path / "secret").write_text("from a file\n")
    paths = ssl.get_default_verify_paths()
    (tmp_path / "ca.pem").write_bytes(Path(paths.cafile or paths.openssl_cafile).read_bytes())
    return tmp_path


@pytest.fixture
def settings(folder, toy_pack) -> Settings:
    plain = Settings()
    return replace(
        plain,
        station=replace(plain.station, pack=toy_pack, journal=folder / "journal.sqlite", name="garden"),
        detections=replace(plain.detections, latitude=50.0, longitude=10.0),
        clips=replace(plain.clips, folder=folder / "clips"),
        mqtt=replace(plain.mqtt, host="broker"),
        webhook=replace(plain.webhook, url="https://example.org/hook"),
        notify=replace(plain.notify, url=("json://example.org/a",)),
        web=replace(plain.web, on=True, port=free_port(), password_file=folder / "none"),
    )


class World:
    """What a station made from settings is and does, one question at a time."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = settings
        self.monkeypatch = monkeypatch

    def recogniser(self) -> Any:
        try:
            made = recogniser_of(self.settings)
        except BiovitaError as error:
            return type(error).__name__
        names = [taxon.scientific_name for taxon in made.taxa]
        return (
            made.pack.folder,
            made.gallery_path,
            names,
            made.vocabulary.modalities,
            made.threads,
            made.encoder.provider,
        )

    def learned(self) -> Any:
        """How many taxa are changed by what a journal beside the station's taught."""
        made = recogniser_of(self.settings)
        identity, file = made.pack.identity, self.settings.journal_path.with_name("own.learned.sqlite")
        with build(file, identity) as gallery:
            gallery.add_counterexamples([Counterexample("species", "Parus major", np.eye(4, dtype="f4")[0], "a")])
        learned_gallery(self.settings, made)
        return len(made.vocabulary.changes(np.eye(4)[0]))

    def verdicts(self) -> list[str]:
        """What becomes of some detections."""
        taxa = [taxon for taxon in toy.taxa() if taxon.scientific_name != "Parus minor"]
        found = [Detection("species", taxon.scientific_name, "", taxon.path(), 0.7, ()) for taxon in taxa]
        with self.assembled() as parts:
            filters = parts.classifier.filters
            return [filters.judge(one, MOMENT)[0].value for one in found]

    def confirmed(self) -> list[list[int]]:
        """Which of three windows without common sound are confirmed, and when."""
        with self.assembled() as parts:
            confirmation = parts.keeping.confirmation()
            return [confirmation.add(("a", "b"), at, at + 10.0, number) for number, at in enumerate((0.0, 40.0, 90.0))]

    def cutting(self) -> Any:
        with self.assembled() as parts:
            noise = MemorySource(np.full(16_000 * 30, 0.01, np.float32), 16_000)
            return [window.start_s for window in parts.cutting.cut(noise)], parts.deployment.hop_s

    def metered(self) -> Any:
        """Whether it is measured how loud it is, and for how many days that is kept."""
        with self.assembled() as parts:
            return parts.cutting.meters, parts.keep_levels_days

    def speech(self) -> Any:
        with self.assembled() as parts:
            speech = parts.classifier._speech
            return None if speech is None else speech.threshold

    def place(self) -> Any:
        with self.assembled() as parts:
            return parts.deployment.latitude, parts.deployment.longitude, self.sent()[0]["source"]["latitude"]

    def sent(self) -> list[dict[str, Any]]:
        """What is sent of a minute of song, in which nobody listens for speech: that takes longest."""
        self.monkeypatch.setattr("edgeapp.detections.speech.SpeechDetector.probability", lambda *_: 0.0)
        self.settings.journal_path.unlink(missing_ok=True)
        with self.assembled() as parts, Journal.open(self.settings.journal_path) as journal:
            journal.naming, journal.share_location = parts.naming, self.settings.station.share_location
            gallery = recogniser_of(self.settings).gallery_path
            journal.pictures = DocumentPictures(gallery, self.settings.station.pictures, pytest.fail)
            clock = SetClock()
            station = Station(
                parts.classifier, journal, parts.deployment, clock, Watched(), replace(parts.keeping, clips=None)
            )
            song = Passing(toy.tone(1000, seconds=60.0, rate_hz=CARD_HZ), clock)
            station.run([SourceWorker("microphone", piped(song, clock), parts.cutting, station.events)])
            return [dict(journal.composed(message.id).payload) for message in journal.due(0.0, target="webhook")]

    def clip(self) -> Any:
        """The clips of two detections in a minute of noise."""
        if self.settings.clips.folder is None:
            return None
        with self.assembled() as parts:
            ring = Ring(8_000, 120.0)
            noise = np.random.default_rng(0).standard_normal(8_000 * 90).astype(np.float32) * 0.01
            ring.add(Block(0, noise))
            self.monkeypatch.setattr(
                "edgeapp.detections.speech.SpeechDetector.heard", lambda self, samples, rate: False
            )
            clips = parts.keeping.clips(ring, 1)
            written = []
            clips._journal = SimpleNamespace(
                add_clip=lambda clip, ids: written.append(clip) or len(written),
                drop_unused_clip=lambda clip_id, why, when: False,
                together=lambda change: change(),
            )
            for number, at in enumerate((20.0, 32.0, 44.0)):
                clips.want(number, "Parus major", 0.9, MOMENT, at, at + 10.0, 1)
            clips.finish()
            return [(clip.start_s, clip.end_s, clip.format, Path(clip.path).parents[2]) for clip in written]

    def position(self) -> Any:
        """The location in the metadata of its clips."""
        folder = self.settings.clips.folder
        assert folder is not None and self.clip()
        [*_, path] = sorted(folder.rglob("*.flac"))
        return guano.read(path).get("Loc Position")

    def deleted(self) -> Any:
        """Which of some clips go on a disk that is 80 % full."""
        with self.assembled() as parts:
            retention = parts.sweeper._retention
        clips = [
            StoredClip(n, f"{n}.flac", "Parus major", "flac", 10, f"2026-05-{n:02d}T00:00:00.000Z", False)
            for n in range(1, 21)
        ]
        return [clip.id for clip, _ in retention.plan(clips, MOMENT, Usage(80, 100))]

    def sent_to(self) -> Any:
        """The targets, down to their last attribute."""
        chains: list[Any] = []  # of certificates of the station's own, which a context does not show
        self.monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", lambda self, *files, **more: chains.append(files))
        made = targets(self.settings)
        told: dict[str, Any] = {"chains": chains}
        for name, target in made.items():
            told[name] = {
                key: (value.verify_mode, len(value.get_ca_certs()))
                if isinstance(value, ssl.SSLContext)
                else repr(value)
                for key, value in vars(target).items()
                if isinstance(value, ssl.SSLContext) or " at 0x" not in repr(value)
            }
            if hasattr(target, "_body_of"):
                told[name]["body"] = target._body_of(examples()[0])
            told[name]["services"] = [service.urls() for _, service in getattr(target, "_services", ())]
            for handler in getattr(getattr(getattr(target, "_http", None), "_opener", None), "handlers", ()):
                if isinstance(handler, urllib.request.HTTPSHandler):
                    told[name]["trusted"] = len(handler._context.get_ca_certs())
        return told

    def trusted(self) -> Any:
        """Whether the settings confirm the clock."""
        return clock_of(self.settings)._sources.trusted

    def followed(self) -> Any:
        """Whether each target gets updates, and how long its messages wait for their clips."""
        with self.assembled() as parts:
            return {name: queue._order.clip_wait_s for name, queue in parts.outbox._queues.items()}

    def masked(self) -> Any:
        """The mask of the files of a station."""
        before = os.umask(0o022)
        try:
            restrict(self.settings)
            return os.umask(before)
        finally:
            os.umask(before)

    def notified(self) -> Any:
        """Titles and texts of what is told of some detections, the second of a tit a quarter of an hour later."""
        told: list[tuple[str, str, bool]] = []
        self.monkeypatch.setattr(
            "apprise.Apprise.notify",
            lambda self, body, title, attach="": told.append((title, body, attach.endswith(".jpg"))) or True,
        )
        self.settings.journal_path.with_suffix(".notified.json").unlink(missing_ok=True)
        with Journal.open(self.settings.journal_path) as journal:
            self.monkeypatch.setattr(
                "edgeapp.station.targets.last_before", lambda journal, name, moment: utc_text(NOON)
            )
            clock = SetClock()
            clock.passes(60.0)
            target = targets(self.settings, toy.taxa(), journal, clock)["notify"]
            for number, (name, minutes) in enumerate(
                (("Parus major", 0), ("Parus major", -15), ("Cuculus canorus", 0))
            ):
                document = examples()[0] | {"id": str(number), "updated": False, "review": None, "confidence": 0.7}
                moment = utc_text(NOON + timedelta(minutes=minutes))
                target.send(document | {"time": moment, "taxon": {"common_name": "", "scientific_name": name}})
        return told

    def workers(self) -> Any:
        """The sources, with what their recorders were opened with."""
        opened: list[Any] = []

        def open_nothing(
            device: Any, backend: str, *, stall_s: float, clock: Any, channel: Any, recordings: Any, claim: Any
        ) -> Any:
            opened.append((device, backend, stall_s, str(channel)))
            raise sources_error

        from edgeapp.errors import DeviceError

        sources_error = DeviceError("nothing is there", "plug it in")
        self.monkeypatch.setattr(sources, "Capture", open_nothing)
        clock = SetClock()
        with self.assembled() as parts, Journal.open(self.settings.journal_path) as journal:
            station = Station(parts.classifier, journal, parts.deployment, clock, Watched())
            found = workers_of(self.settings, parts.cutting, station, clock)
            told: list[Any] = []
            for worker in found:
                source = worker._source
                if self.settings.input.watch is not None:
                    told.append((source._folder, source._zone, source._channel))
                    continue
                source._sleep = lambda seconds, source=source: source.close()
                try:
                    told.append(list(source.streams()))
                except DeviceError as error:
                    told.append(str(error))
                told.append(worker._left_s)
        return opened, told

    def piped(self) -> Any:
        """Raw sound as it is understood."""
        raw = io.BytesIO(np.arange(-3000, 3000, dtype="<i2").tobytes())
        self.monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=raw))
        clock = SetClock()
        with self.assembled() as parts, Journal.open(self.settings.journal_path) as journal:
            station = Station(parts.classifier, journal, parts.deployment, clock, Watched())
            [worker] = workers_of(self.settings, parts.cutting, station, clock, from_stdin=True)
            [stream] = worker._source.streams()
            return stream.rate_hz, [block.samples.tolist() for block in stream.blocks()]

    def paths(self) -> Any:
        return self.settings.journal_path, self.settings.status_path

    def screen(self) -> Any:
        screen = _screen(self.settings.station.format, "title")
        screen.close()
        return type(screen).__name__

    def page(self) -> Any:
        """Where the live page is, its names, whether it has a password, and the proxies that it trusts."""
        with self.assembled() as parts, Journal.open(self.settings.journal_path) as journal:
            page = _page(self.settings, recogniser_of(self.settings), journal, parts, "garden")
        if page is None:
            return None
        with page._server._socket:
            access = page._server._access
            served = page._server._server.config
            trusted = (served.proxy_headers, served.forwarded_allow_ips)
            return page._server.url, access._hosts, access.password is None, trusted

    def logged(self) -> Any:
        """What a line at each level leaves behind, and the file's limits."""
        told = io.StringIO()
        with station_log(self.settings.log, told):
            for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
                for number in range(60):
                    logging.getLogger(f"edgeapp.{number}").log(level, "a line %s that is rather long", "x" * 300)
        file = self.settings.log.file
        kept = sorted(path.name for path in file.parent.glob(f"{file.name}*")) if file is not None else []
        return sorted(set(re.findall("debug|info|warning|error", told.getvalue().lower()))), kept

    def assembled(self):
        settings = self.settings

        class Assembled:
            def __enter__(self) -> Any:
                self.journal = Journal.open(settings.journal_path)
                return assemble(settings, recogniser_of(settings), self.journal, SetClock())

            def __exit__(self, *error: object) -> None:
                self.journal.close()

        return Assembled()


Case = tuple[Callable[[World], Any], Callable[[Path], Any], dict[str, Callable[[Path], Any]]]


def case(ask: Callable[[World], Any], value: Any, **others: Any) -> Case:
    """Where the effect of a setting is seen, another value for it, and settings that it needs beside it."""
    given = {
        key.replace("__", "."): other if callable(other) else (lambda folder, other=other: other)
        for key, other in others.items()
    }
    return ask, value if callable(value) else (lambda folder: value), given


CASES: dict[str, Case] = {
    "station.name": case(lambda world: world.sent()[0]["source"]["station"], "forest"),
    "station.pack": case(World.recogniser, lambda folder: toy.make(folder / "other")),
    "station.gallery": case(World.recogniser, lambda folder: toy.make(folder / "other") / "gallery.sqlite"),
    "station.learned": case(World.learned, lambda folder: str(folder / "own.learned.sqlite")),
    "station.hop": case(World.cutting, 2.0),
    "station.only": case(World.recogniser, ("Aves",)),
    "station.language": case(lambda world: world.sent()[0]["taxon"]["common_name"], "de"),
    "station.pictures": case(
        lambda world: world.sent()[0]["pictures"],
        0,
        station__gallery=lambda folder: with_photo(toy.make(folder / "seen")),
    ),
    "station.modalities": case(World.recogniser, ("image",)),
    "station.threads": case(World.recogniser, 7),
    "station.provider": case(World.recogniser, "cuda"),
    "station.journal": case(World.paths, lambda folder: folder / "other.sqlite"),
    "station.status": case(World.paths, lambda folder: folder / "status.json"),
    "station.file_mode": case(World.masked, "private"),
    "station.format": case(World.screen, "ndjson"),
    "station.duration": case(World.workers, 10.0, microphone__wait=True),
    "microphone.device": case(World.workers, ("usb", "other"), microphone__wait=True),
    "microphone.backend": case(World.workers, "arecord", microphone__wait=True),
    "microphone.wait": case(World.workers, True),
    "microphone.netrc": case(
        World.workers,
        lambda folder: one_log_in(folder / "netrc"),
        microphone__wait=True,
        microphone__device=("rtsp://camera/1",),
    ),
    "microphone.meters": case(lambda world: world.metered()[0], True),
    "microphone.keep_meters": case(lambda world: world.metered()[1], 7.0),
    "microphone.stall": case(World.workers, 3.0, microphone__wait=True),
    "input.watch": case(World.workers, lambda folder: folder / "watched", microphone__wait=True),
    "input.recorder_zone": case(World.workers, "Europe/Berlin", input__watch=lambda folder: folder / "watched"),
    "input.channel": case(World.workers, ("best",), microphone__wait=True),
    "input.pcm_format": case(World.piped, "s32le"),
    "input.pcm_rate": case(World.piped, 32_000),
    "input.pcm_channels": case(World.piped, 2),
    "detections.min_confidence": case(World.verdicts, 0.8),
    "detections.species_list": case(World.verdicts, lambda folder: folder / "list.txt"),
    "detections.range_table": case(World.verdicts, lambda folder: folder / "range.csv", detections__latitude=0.0),
    "detections.min_occurrence": case(
        World.verdicts, 0.95, station__pack=lambda folder: toy.add_range(toy.make(folder / "ranged"))
    ),
    "detections.latitude": case(World.verdicts, 0.0, detections__range_table=lambda folder: folder / "range.csv"),
    "detections.longitude": case(World.verdicts, 90.0, detections__range_table=lambda folder: folder / "range.csv"),
    "detections.confirm": case(World.confirmed, 2),
    "detections.confirm_within": case(World.confirmed, 30.0, detections__confirm=2),
    "detections.longest": case(World.sent, 25.0),
    "privacy.speech": case(World.speech, "keep"),
    "privacy.speech_threshold": case(World.speech, 0.9),
    "clips.folder": case(World.clip, lambda folder: folder / "elsewhere"),
    "clips.format": case(World.clip, "wav"),
    "clips.pre_roll": case(World.clip, 5.0),
    "clips.post_roll": case(World.clip, 5.0),
    "clips.longest": case(World.clip, 25.0),
    "clips.keep_days": case(World.deleted, 20.0),
    "clips.disk_share": case(World.deleted, 0.7),
    "clips.keep_per_species": case(World.deleted, 16, clips__disk_share=0.1),
    "mqtt.host": case(World.sent_to, "other"),
    "mqtt.port": case(World.sent_to, 1884),
    "mqtt.username": case(World.sent_to, "anna"),
    "mqtt.password": case(World.sent_to, "secret"),
    "mqtt.password_file": case(World.sent_to, lambda folder: folder / "secret"),
    "mqtt.topic": case(World.sent_to, "birds"),
    "mqtt.tls": case(World.sent_to, True),
    "mqtt.ca_file": case(World.sent_to, lambda folder: one_certificate(folder / "ca.pem"), mqtt__tls=True),
    "mqtt.cert_file": case(World.sent_to, lambda folder: folder / "garden.pem", mqtt__tls=True),
    "mqtt.key_file": case(
        World.sent_to,
        lambda folder: folder / "garden.key",
        mqtt__tls=True,
        mqtt__cert_file=lambda folder: folder / "garden.pem",
    ),
    "mqtt.discovery": case(World.sent_to, True),
    "station.share_location": case(World.sent, "coarse", detections__latitude=52.5163, detections__longitude=13.3777),
    "station.clock": case(World.trusted, "trusted"),
    "mqtt.discovery_prefix": case(World.sent_to, "ha"),
    "mqtt.retain": case(World.sent_to, "all"),
    "mqtt.updates": case(World.followed, False, mqtt__host="broker"),
    "webhook.updates": case(World.followed, False),
    "webhook.url": case(World.sent_to, "https://example.com/hook"),
    "webhook.header": case(World.sent_to, ("Authorization: Bearer x",)),
    "webhook.url_file": case(World.sent_to, lambda folder: line_of(folder / "hook", "https://example.com/x")),
    "webhook.header_file": case(World.sent_to, lambda folder: line_of(folder / "headers", "X-Key: a")),
    "webhook.ca_file": case(World.sent_to, lambda folder: one_certificate(folder / "ca.pem")),
    "webhook.template": case(World.sent_to, lambda folder: line_of(folder / "body", "{{ time | tojson }}")),
    "webhook.probe": case(World.sent_to, "post"),
    "notify.url": case(World.sent_to, ("json://example.com/b",)),
    "notify.url_file": case(World.sent_to, lambda folder: line_of(folder / "urls", "json://example.com/b")),
    "notify.species": case(World.notified, ("Cuculus",)),
    "notify.first": case(World.notified, "day"),
    "notify.min_confidence": case(World.notified, 0.8),
    "notify.quiet": case(World.notified, "00:00-23:59"),
    "notify.cool_down": case(World.notified, 0.0),
    "notify.max_age": case(World.notified, 10.0),
    "notify.title": case(World.notified, "heard"),
    "notify.template": case(World.notified, lambda folder: line_of(folder / "body", "heard")),
    "notify.picture": case(
        World.notified, "species", station__gallery=lambda folder: with_photo(toy.make(folder / "seen"))
    ),
    "birdweather.token": case(World.sent_to, "a-token"),
    "birdweather.token_file": case(World.sent_to, lambda folder: line_of(folder / "token", "a-token")),
    "birdweather.url": case(World.sent_to, "https://example.com/api", birdweather__token="a-token"),
    "web.on": case(World.page, False),
    "web.address": case(World.page, "127.0.0.2"),
    "web.port": case(World.page, lambda folder: free_port()),
    "web.host": case(World.page, ("birds.example",)),
    "web.proxy": case(World.page, ("192.0.2.1",)),
    "web.password_file": case(World.page, lambda folder: one_password(folder / "web-password")),
    "log.file": case(World.logged, lambda folder: folder / "station.log"),
    "log.level": case(World.logged, "error"),
    "log.max_mb": case(World.logged, 0.01, log__file=lambda folder: folder / "station.log"),
    "log.keep": case(World.logged, 1, log__file=lambda folder: folder / "station.log", log__max_mb=0.01),
}


def with_photo(pack: Path) -> Path:
    """A pack's gallery, with a photo of what sings."""
    path, made = pack / "gallery.sqlite", io.BytesIO()
    Image.new("RGB", (4, 3)).save(made, "JPEG")
    with Gallery.open(path, readonly=False) as gallery:
        photo = Entry(
            "Parus major",
            "image",
            np.eye(4, dtype="f4")[0],
            "tit.jpg",
            licence="CC0-1.0",
            thumbnail=Thumbnail(made.getvalue(), made.getvalue(), 4, 3),
        )
        gallery.add_entries([photo])
    return path


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def one_password(path: Path) -> Path:
    """A file with a password."""
    write_password(path, "a heron on the roof")
    return path


def one_log_in(path: Path) -> Path:
    """A file with a log-in."""
    path.write_text("machine camera login anna password secret\n")
    return path


def one_certificate(path: Path) -> Path:
    """A file with the first certificate alone."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    text = path.read_text()
    path.write_text(text[text.index(begin) : text.index(end) + len(end)] + "\n")
    return path


def line_of(path: Path, text: str) -> Path:
    """A file of one line."""
    path.write_text(f"{text}\n")
    return path


def with_value(settings: Settings, key: str, value: Any) -> Settings:
    section, name = key.split(".")
    return replace(settings, **{section: replace(getattr(settings, section), **{name: value})})


@pytest.mark.parametrize("key", [setting.key for setting in SETTINGS])
def test_another_value_makes_another_station(key, settings, folder, monkeypatch):
    ask, value, others = CASES[key]
    for other, given in others.items():
        settings = with_value(settings, other, given(folder))
    before = ask(World(settings, monkeypatch))
    for old in folder.glob("station.log*"):
        old.unlink()
    after = ask(World(with_value(settings, key, value(folder)), monkeypatch))

    assert before != after


def test_a_threshold_of_a_taxon_counts(settings, monkeypatch):
    strict = replace(settings, thresholds={"Parus": 0.9})

    assert World(settings, monkeypatch).verdicts() == ["detection"] * 3
    assert World(strict, monkeypatch).verdicts() == ["below", "detection", "detection"]


@pytest.mark.parametrize(
    ("share", "position"), [("exact", "52.5163000 13.3777000"), ("coarse", "52.5000000 13.4000000"), ("no", None)]
)
def test_clips_have_the_location_as_it_is_shared(settings, monkeypatch, share, position):
    for key, value in (
        ("station.share_location", share),
        ("detections.latitude", 52.5163),
        ("detections.longitude", 13.3777),
    ):
        settings = with_value(settings, key, value)

    assert World(settings, monkeypatch).position() == position


def test_the_same_value_makes_the_same_station(settings, monkeypatch):
    """Otherwise the test above would prove nothing."""
    for ask in {ask for ask, _, _ in CASES.values() if getattr(ask, "__name__", "") != "<lambda>"}:
        if ask is not World.logged:
            assert ask(World(settings, monkeypatch)) == ask(World(settings, monkeypatch)), ask.__name__
