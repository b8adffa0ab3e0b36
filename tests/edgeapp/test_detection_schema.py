"""What leaves by any door is as `docs/detection.schema.json` says, and what is not is refused by it."""

from __future__ import annotations

import copy
import io
import json
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from edgeapp.clock.system import SystemClock
from edgeapp.config.load import load
from edgeapp.delivery.mqtt import MqttTarget
from edgeapp.delivery.webhook import WebhookTarget
from edgeapp.detections.filters import Filters
from edgeapp.detections.pictures import DocumentPictures
from edgeapp.journal import Clip, Journal, Review
from edgeapp.pack.format import Pack
from edgeapp.recognition.gallery_build import build_gallery
from edgeapp.recognition.material import Material
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.station.assembly import messages
from edgeapp.station.microphone_health import State, Transition
from edgeapp.station.screens import NdJson
from edgeapp.station.station import Storage
from edgeapp.web.of_journal import page_of
from gallery.vocabulary import Vocabulary
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.delivery.mosquitto_broker import Broker, Subscriber, until
from tests.edgeapp.station.listening import CARD_HZ, Listening

SCHEMA = json.loads((PROJECT / "docs" / "detection.schema.json").read_text(encoding="utf-8"))
GOLDEN = json.loads((Path(__file__).parent / "journal" / "golden_document.json").read_text(encoding="utf-8"))


def faults(document: object, of: str = "detection") -> list[str]:
    """What the schema has against a document."""
    validator = Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{of}"})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def chorus() -> np.ndarray:
    """A great tit, silence, a genus for a demanding pack, noise, a cuckoo."""
    rate_hz = CARD_HZ
    genus = toy.tone(1000, 2000, rate_hz=rate_hz) + 0.3 * toy.tone(500, rate_hz=rate_hz)
    noise = toy.noise(rate_hz=rate_hz, level=0.02)
    parts = [toy.tone(1000, rate_hz=rate_hz), np.zeros(10 * rate_hz), genus, noise, toy.tone(3000, rate_hz=rate_hz)]
    return np.concatenate(parts).astype(np.float32)


@pytest.fixture(scope="module")
def heard(toy_pack, tmp_path_factory):
    """A journal that a station filled, with messages, a review and a clip; and what the station told."""
    folder = tmp_path_factory.mktemp("heard")
    made = Recogniser(Pack.load(toy_pack), threads=1)
    made.vocabulary = Vocabulary(made.index, replace(made.parameters, threshold=0.9999))
    told = io.StringIO()
    with Journal.open(folder / "journal.sqlite") as journal:
        listening = Listening(made, journal)
        listening.screen = NdJson(told)
        listening.hear(
            chorus(),
            hop_s=10.0,
            keeping=Storage(messages=messages(["mqtt", "webhook"], SystemClock())),
            filters=Filters(made.taxa, 0.0, {"Cuculus": 1.0}),
        )
        listening.screen.microphone("microphone", Transition(0.0, State.HEARING, State.LOST, "is gone"))
        at = listening.clock.now()
        journal.add_clip(Clip("/clips/2026/06/a.flac", "flac", 0.0, 10.0, 1, 1, at), [1])
        journal.add_review(Review(1, "corrected", "ana", "Parus minor", "wing bar"), at)
    return folder / "journal.sqlite", [json.loads(line) for line in told.getvalue().splitlines()]


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)
    for name in SCHEMA["$defs"]:
        faults({}, name)


def test_the_golden_document_is_as_it_says():
    assert faults(GOLDEN) == []


def changed(change: Callable[[dict], object]) -> dict:
    document = copy.deepcopy(GOLDEN)
    change(document)
    return document


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda it: it.pop("clip"), "'clip' is a required property"),
        (lambda it: it.update(probability=0.5), "probability"),
        (lambda it: it.update(schema=1), "2 was expected"),
        (lambda it: it.update(time="2026-05-01 04:12"), "$.time"),
        (lambda it: it.update(clock="perhaps"), "is not one of"),
        (lambda it: it.update(confidence=1.2), "maximum of 1"),
        (lambda it: it["taxon"].update(common_name="Great Tit"), "is not of type 'null'"),
        (lambda it: it["taxon"].update(species="Parus major"), "species"),
        (lambda it: it["source"].pop("station"), "'station' is a required property"),
        (lambda it: it["candidates"][0].update(rank=1), "rank"),
        (lambda it: it.update(review={"verdict": "perhaps"}), "is not valid under any of the given schemas"),
        (lambda it: it.update(start_s="15"), "is not of type 'number'"),
    ],
)
def test_a_document_that_is_otherwise_is_refused(change, told):
    found = faults(changed(change))
    assert found and any(told in fault for fault in found), found


def test_pictures_are_as_it_says(run, record, toy_pack, tmp_path):
    Image.new("RGB", (90, 60), (255, 0, 0)).save(tmp_path / "a.png")
    song = Path(record("song.wav", toy.tone(1000)))
    material = [
        Material(tmp_path / "a.png", "Parus major", "image", "A", "CC0"),
        Material(song, "Parus major", "audio"),
    ]
    gallery = tmp_path / "g.sqlite"
    build_gallery(gallery, Pack.load(toy_pack), toy.taxa(), material, ("text", "image", "audio"))
    path = record("chorus.wav", chorus(), CARD_HZ)
    document = json.loads(run("identify", path, "-f", "json", "--pictures", "--gallery", gallery).stdout)
    shown = [one for detection in document["detections"] for one in detection["pictures"]]
    assert faults(document, "file") == []
    assert {one["modality"] for one in shown} == {"image", "audio"} and any(one["relative"] for one in shown)


def test_identify_gives_documents_of_recordings(run, record):
    path = record("20260601_120000Z.wav", chorus(), CARD_HZ)
    document = json.loads(run("identify", path, "--format", "json").stdout)

    assert faults(document, "file") == []
    assert document["recorded_at"] and len(document["detections"]) >= 3 and len(document["windows"]) == 9


def test_identify_gives_events(run, record, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    done = run("identify", record("a.wav", chorus(), CARD_HZ), tmp_path / "broken.wav", "--format", "ndjson")
    events = [json.loads(line) for line in done.stdout.splitlines()]

    assert {event["event"] for event in events} == {"window", "detection", "file", "error"}
    assert [fault for event in events for fault in faults(event, "identify_event")] == []


def test_a_station_tells_events(heard):
    _, events = heard

    assert [fault for event in events for fault in faults(event, "listen_event")] == []
    assert {event["event"] for event in events} == {"window", "detection", "microphone"}
    found = [event for event in events if event["event"] == "detection"]
    assert {event["taxon"]["rank"] for event in found} == {"species", "genus"}
    assert {one["verdict"] for event in events if event["event"] == "window" for one in event["detections"]} == {
        "detection",
        "below",
    }
    for event in found:
        assert faults({key: value for key, value in event.items() if key != "event"}) == []


@pytest.mark.parametrize("command", ["list", "export"])
@pytest.mark.parametrize("format", ["json", "ndjson"])
def test_the_journal_gives_documents(run, heard, command, format):
    text = run("journal", command, "--journal", heard[0], "--format", format).stdout
    documents = json.loads(text) if format == "json" else [json.loads(line) for line in text.splitlines()]

    assert len(documents) == 2 and [fault for document in documents for fault in faults(document)] == []
    assert (documents[0]["clip"], documents[0]["review"]["verdict"]) == ("2026/06/a.flac", "corrected")


def test_every_door_gives_a_detection_the_same_id(run, heard):
    listed = json.loads(run("journal", "list", "--journal", heard[0], "--format", "json").stdout)
    with Journal.open(heard[0]) as journal:
        sent = [journal.composed(message.id).payload["id"] for message in journal.due(0.0, target="mqtt")]

    told = [event["id"] for event in heard[1] if event["event"] == "detection"]
    assert [document["id"] for document in listed] == sent == told


def test_every_door_gives_a_detection_the_same_pictures(run, toy_pack, photo_gallery, tmp_path):
    path, told = tmp_path / "journal.sqlite", io.StringIO()
    made = Recogniser(Pack.load(toy_pack), photo_gallery, threads=1)
    with Journal.open(path) as journal:
        journal.pictures = DocumentPictures(photo_gallery)
        listening = Listening(made, journal)
        listening.screen = NdJson(told)
        sound = np.concatenate([toy.tone(1000, rate_hz=CARD_HZ), np.zeros(20 * CARD_HZ)]).astype(np.float32)
        listening.hear(sound, hop_s=10.0, keeping=Storage(messages=messages(["mqtt", "webhook"], SystemClock())))
        found = {
            one: [journal.composed(sent.id).payload for sent in journal.due(0.0, target=one)]
            for one in ("mqtt", "webhook")
        }
        journal.pictures.close()
    events = map(json.loads, told.getvalue().splitlines())
    found["listen"] = [event for event in events if event["event"] == "detection"]
    for words in (("list", "json"), ("export", "json"), ("export", "ndjson")):
        text = run("journal", words[0], "--journal", path, "--format", words[1]).stdout
        found[" ".join(words)] = json.loads(text) if words[1] == "json" else [json.loads(text)]
    config = tmp_path / "station.toml"
    station = f'pack = "{toy_pack}"\ngallery = "{photo_gallery}"\njournal = "{path}"'
    config.write_text(f"[station]\n{station}\n[web]\nport = 0\n")
    with page_of(load(config)) as server:
        server.start()
        found["page"] = httpx.get(f"{server.url}api/v1/detections").json()["detections"]
        found["page, one"] = [httpx.get(f"{server.url}api/v1/detections/1").json()]
        server.close()

    [first] = found["listen"]
    assert [(one["label"], one["author"]) for one in first["pictures"]] == [
        ("near.jpg", "N. Ear"),
        ("far.jpg", "Far \x1b[31m<b>Away</b>"),
        ("song.wav", "R. Ecordist"),
    ]
    assert first["pictures"][2]["similarity"] == pytest.approx(1.0, abs=1e-3)
    assert {door: [one["pictures"] for one in documents] for door, documents in found.items()} == {
        door: [first["pictures"]] for door in found
    }


def test_who_wants_no_pictures_gets_none(run, heard):
    for command in ("list", "export"):
        text = run("journal", command, "--journal", heard[0], "--format", "json", "--pictures", 0).stdout
        assert [document["pictures"] for document in json.loads(text)] == [[], []]


def test_documents_without_their_gallery_are_whole(run, heard, tmp_path):
    copy = tmp_path / "journal.sqlite"
    shutil.copyfile(heard[0], copy)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("UPDATE deployments SET gallery = '/no/such/gallery.sqlite'")
    done = run("journal", "export", "--journal", copy, "--format", "json")

    assert done.exit_code == 0
    assert [document["pictures"] for document in json.loads(done.stdout)] == [[], []]
    assert done.stderr.count("/no/such/gallery.sqlite") == 1 and "documents have no pictures" in done.stderr


def test_a_broker_gets_documents(heard, tmp_path):
    with Journal.open(heard[0]) as journal:
        waiting = [journal.composed(message.id) for message in journal.due(0.0, target="mqtt")]
    broker = Broker(tmp_path / "broker").start()
    subscriber = Subscriber(broker.port, "biovita/garden/detections")
    target = MqttTarget("127.0.0.1", broker.port, "biovita/garden/detections")
    try:
        for message in waiting:
            target.send(message.payload)
        assert until(lambda: len(subscriber.got) == len(waiting) == 2)
    finally:
        target.close()
        subscriber.close()
        broker.stop()
    assert [fault for _, body, _ in subscriber.got for fault in faults(json.loads(body), "message")] == []


def test_a_web_address_gets_documents(heard):
    bodies: list[bytes] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with Journal.open(heard[0]) as journal:
            for message in journal.due(0.0, target="webhook"):
                WebhookTarget(f"http://127.0.0.1:{server.server_address[1]}/").send(
                    journal.composed(message.id).payload
                )
    finally:
        server.shutdown()
        server.server_close()
    assert len(bodies) == 2 and [fault for body in bodies for fault in faults(json.loads(body), "message")] == []
