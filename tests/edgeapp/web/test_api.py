"""The API: what its description promises, events with resume, and what is said when the journal cannot be used."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing

import httpx
import jsonschema
import pytest

from edgeapp.journal import browsing
from edgeapp.outputs.export import FORMATS
from edgeapp.web import feed, of_journal
from edgeapp.web.api import ENDPOINTS, EVENT_STREAM, ROUTES
from edgeapp.web.events import Events
from edgeapp.web.openapi import description
from gallery.taxon import Names
from tests.conftest import PROJECT
from tests.edgeapp.web.conftest import Served, client_of, serving

SCHEMA = PROJECT / "docs" / "detection.schema.json"


@pytest.fixture
def client(served) -> Iterator[httpx.Client]:
    with client_of(served.url) as client:
        yield client


# The description


def test_the_description_lists_every_route(client):
    told = client.get("/api/v1/openapi.json").json()

    assert told == description(ENDPOINTS)
    assert told["openapi"] == "3.1.0"
    listed = {(method.upper(), path) for path, ways in told["paths"].items() for method in ways}
    routes = {(method, route.path.replace(":path", "")) for route in ROUTES for method in route.methods or ()}
    assert listed == {(method, path) for method, path in routes if method != "HEAD"}
    assert len({one.answer.__name__ for one in ENDPOINTS}) == len(ENDPOINTS)  # operations are told apart


@pytest.mark.parametrize("one", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
def test_the_examples_of_the_description_answer(served, recorded, starter_pack, gallery, tmp_path, one):
    path = f"/api/v1{one.path.replace(':path', '')}"
    told = description(ENDPOINTS)["paths"][path][one.method.lower()]
    inside = {each["name"]: each["example"] for each in told["parameters"] if each["in"] == "path"}
    query = {each["name"]: each["example"] for each in told["parameters"] if each["in"] == "query"}
    assert all(value != "" for value in (*inside.values(), *query.values()))
    asks = one.method == "GET"  # which changes nothing
    with (
        contextlib.nullcontext(served) if asks else serving(tmp_path, recorded, starter_pack, gallery) as used,
        client_of(used.url) as client,
    ):
        if one.path == "/reviews/undo":
            client.post("/api/v1/reviews", json={"detections": [1], "verdict": "confirmed"})
        body = told["requestBody"]["content"]["application/json"]["schema"]["example"] if one.body else None
        with client.stream(one.method, path.format(**inside), params=query, json=body) as answer:
            if one.path == "/sound":
                assert answer.status_code == 404  # no station runs in this program
                return
            assert answer.status_code in (200, 201)
            assert answer.headers["content-type"].split(";")[0] in (one.gives, "text/csv")
            if one.gives != EVENT_STREAM:
                assert answer.read()
        if one.body is not None:
            wrong = client.request(one.method, path, json={"nonsense": [1]})
            assert wrong.status_code == 400 and wrong.json()["error"]


def test_the_requests_of_the_documentation_answer(served, client):
    text = (PROJECT / "docs" / "web.md").read_text()
    asked = re.findall(r"http://127\.0\.0\.1:8080(/api/v1/\w+[^\s']*)", text)
    assert len(asked) >= 3
    for path in asked:
        with client.stream("GET", path) as answer:
            assert answer.status_code == (405 if path.endswith("/reviews") else 200)
    [sent] = re.findall(r"curl -X POST -d '(.*?)' ", text)
    answer = client.post("/api/v1/reviews", content=sent.replace("17", "1"))
    assert answer.status_code == 201
    client.post("/api/v1/reviews/undo", json=answer.json())
    named = set(re.findall(r"`GET (/api/v1/[^`]+)`", text))
    assert {
        client.get(path.replace("17", "1")).status_code
        for path in named
        if "events" not in path and "sound" not in path
    } == {200}
    assert served.reviews() == []


# Documents


def test_detections_are_detection_documents(client):
    told = client.get("/api/v1/detections").json()
    schema = json.loads(SCHEMA.read_text())

    assert len(told["detections"]) == 7 and told["next"] is None
    assert any(document["pictures"] for document in told["detections"])
    for document in told["detections"]:
        own = {key: value for key, value in document.items() if key not in ("number", "clip_number")}
        jsonschema.validate(own, schema)


def test_pages_of_detections_follow_one_another(client):
    numbers, before = [], None
    while True:
        told = client.get("/api/v1/detections", params={"limit": 3, **({"before": before} if before else {})}).json()
        numbers += [one["number"] for one in told["detections"]]
        if (before := told["next"]) is None:
            break

    assert numbers == [one["number"] for one in client.get("/api/v1/detections").json()["detections"]]


def test_a_detection_has_its_reviews_pictures_and_clip(served, client):
    number = served.number("Parus major")
    written = client.post(
        "/api/v1/reviews", json={"detections": [number], "verdict": "confirmed", "note": "seen", "reviewer": "Ann"}
    ).json()["reviews"]
    told = client.get(f"/api/v1/detections/{number}").json()

    assert [(one["verdict"], one["note"], one["reviewer"]) for one in told["reviews"]] == [("confirmed", "seen", "Ann")]
    assert told["review"]["verdict"] == "confirmed"
    assert {one["scientific_name"] for one in told["pictures"]} == {"Parus major"}
    clip = client.get(f"/media/clips/{told['clip_number']}", headers={"Range": "bytes=0-99"})
    assert (clip.status_code, clip.headers["content-type"], len(clip.content)) == (206, "audio/flac", 100)
    drawn = client.get(f"/media/clips/{told['clip_number']}/spectrogram.webp")
    assert (drawn.content[8:12], float(drawn.headers["x-khz"])) == (b"WEBP", 16.0)
    undone = client.post("/api/v1/reviews/undo", json={"reviews": written}).json()
    nothing = {"verdict": None, "scientific_name": None, "common_name": None}
    assert undone == {"undone": 1, "states": [{"number": number, "id": told["id"], **nothing}]}
    assert client.post("/api/v1/reviews/undo", json={"reviews": written}).status_code == 404
    assert client.get(f"/api/v1/detections/{number}").json()["review"] is None


def test_what_a_browser_has_kept_is_not_sent_again(served, client, gallery):
    with closing(sqlite3.connect(gallery)) as connection:
        [(entry,)] = connection.execute("SELECT min(entry) FROM thumbnails").fetchall()
    for path in ("/media/clips/1", "/media/clips/1/spectrogram.webp", f"/media/pictures/{entry}/small"):
        answer = client.get(path)
        again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (answer.status_code, again.status_code, again.content) == (200, 304, b"")
        assert answer.headers["cache-control"] == "private, no-cache"  # the number may be of another journal tomorrow
    tags = {client.get(f"/media/clips/{number}").headers["etag"] for number in range(1, 8)}
    assert len(tags) == 7


def test_of_several_reviews_all_are_written_or_none(served, client):
    answer = client.post("/api/v1/reviews", json={"detections": [1, 2, 999], "verdict": "confirmed"})

    assert (answer.status_code, answer.json()["error"]) == (404, "there is no detection 999")
    assert served.reviews() == []


def test_names_are_completed_in_every_language(client):
    def suggested(text: str) -> list[str]:
        told = client.get("/api/v1/names", params={"q": text}).json()["names"]
        return [one["scientific_name"] for one in told]

    assert suggested("kohlm")[0] == "Parus major"  # German
    assert suggested("mésange charb")[0] == "Parus major"  # French
    assert suggested("GREAT T")[0] == "Parus major"
    assert suggested("parus maj")[0] == "Parus major"
    assert suggested("") == suggested("zzzz") == []


def test_a_taxon_whose_name_has_a_slash_has_its_page(recorded, starter_pack, gallery, tmp_path):
    with serving(tmp_path, recorded, starter_pack, gallery) as served:
        served.rename(1, "Hyla versicolor/arborea")
        page = httpx.get(f"{served.url}/species/Hyla%20versicolor%2Farborea", timeout=60)

        assert page.status_code == 200 and "1 detections" in page.text


def test_a_species_of_another_gallery_has_its_page_without_a_search(
    recorded, starter_pack, gallery, tmp_path, monkeypatch
):
    def search(names: Names, *asked: object) -> None:
        raise AssertionError("names of all languages were read, which takes half a second")

    monkeypatch.setattr(Names, "_foreign", property(search))
    monkeypatch.setattr(Names, "_near", search)
    with serving(tmp_path, recorded, starter_pack, gallery) as served:
        served.rename(1, "Ciconia nigra")
        page = httpx.get(f"{served.url}/species/Ciconia%20nigra", timeout=60)
        assert page.status_code == 200 and "Ciconiidae" in page.text
        page = httpx.get(f"{served.url}/detections?taxon=Ciconia%20nigra", timeout=60)
        assert page.status_code == 200 and 'href="/species/Ciconia%20nigra"' in page.text
        assert httpx.get(f"{served.url}/species/Ciconia%20ciconia", timeout=60).status_code == 404


@pytest.mark.parametrize("share", ["exact", "coarse", "no"])
def test_the_location_leaves_as_it_is_shared(recorded, starter_pack, gallery, tmp_path, monkeypatch, share):
    monkeypatch.setenv("BIOVITA_STATION_SHARE_LOCATION", share)
    with (
        serving(tmp_path, recorded, starter_pack, gallery) as served,
        client_of(served.url) as client,
    ):
        with closing(sqlite3.connect(served.journal)) as connection, connection:
            connection.execute("UPDATE deployments SET latitude = 52.5163, longitude = 13.3777")
        listed = client.get("/api/v1/detections").json()["detections"]
        exported = client.get("/api/v1/export", params={"format": "csv"}).text
        pages = [
            client.get(path).text
            for path in (
                *("/", "/detections", "/detections/1", "/species/Parus%20major", "/day/2026-05-22", "/health"),
                *("/api/v1/detections/1", "/api/v1/health", "/api/v1/species", "/api/v1/status"),
                *(f"/api/v1/export?format={one}&location=x" for one in FORMATS),
            )
        ]

    expected = {"exact": (52.5163, 13.3777), "coarse": (52.5, 13.4), "no": (None, None)}[share]
    assert {(one["source"]["latitude"], one["source"]["longitude"]) for one in listed} == {expected}
    assert ("52.5163" in exported) is (share == "exact") and ("52.5," in exported) is (share == "coarse")
    if share != "exact":
        assert not any("52.516" in page or "13.377" in page for page in pages)


# Events


def events_of(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """The events of a stream."""
    told: dict[str, str] = {}
    for line in lines:
        if not line and told:
            yield told
            told = {}
        elif line and not line.startswith(":"):
            key, _, value = line.partition(": ")
            told[key] = value


def detect(served: Served, n: int = 1) -> None:
    """Another program writes detections."""
    with closing(sqlite3.connect(served.journal)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(detections)") if row[1] != "id"]
        for _ in range(n):
            listed = ", ".join(columns)
            connection.execute(f"INSERT INTO detections ({listed}) SELECT {listed} FROM detections WHERE id = 1")


def next_event(told: Iterator[dict[str, str]]) -> dict[str, str]:
    """The next event that has a name."""
    return next(one for one in told if "event" in one)


def test_events_go_on_where_a_client_left_off(recorded, starter_pack, gallery, tmp_path, monkeypatch):
    looked = threading.Event()
    last_number = browsing.last_number
    monkeypatch.setattr(browsing, "last_number", lambda reader: (last_number(reader), looked.set())[0])
    monkeypatch.setattr(feed, "LOOK_S", 0.1)
    with (
        serving(tmp_path, recorded, starter_pack, gallery) as served,
        client_of(served.url) as client,
        client.stream("GET", "/api/v1/events") as always,
    ):
        seen = events_of(always.iter_lines())
        assert looked.wait(60)
        detect(served, 4)
        told = [next_event(seen) for _ in range(4)]
        assert {one["event"] for one in told} == {"detection"}
        assert {json.loads(one["data"])["taxon"]["scientific_name"] for one in told} == {"Parus major"}

        with client.stream("GET", "/api/v1/events", headers={"Last-Event-ID": told[1]["id"]}) as stream:
            again = events_of(stream.iter_lines())
            assert [next_event(again) for _ in range(2)] == told[2:]
        with client.stream("GET", "/api/v1/events", params={"last_event_id": "0badcafe-1"}) as stream:
            assert next_event(events_of(stream.iter_lines()))["event"] == "missed"  # of another run of the server


def test_a_client_that_was_away_too_long_is_told_that_it_missed_something():
    async def told(last_id: str, n: int) -> list[str]:
        stream = events.follow(last_id)
        found = [await anext(stream) for _ in range(n)]
        await stream.aclose()
        return found

    events = Events(kept=3)
    for number in range(5):
        events.publish("detection", {"n": number})
    run = events.run

    assert asyncio.run(told(f"{run}-1", 2))[1] == f"id: {run}-5\nevent: missed\ndata: {{}}\n\n"
    resumed = asyncio.run(told(f"{run}-2", 2))[1]
    assert [line for line in resumed.splitlines() if line.startswith("data")] == [
        f'data: {{"n":{n}}}' for n in (2, 3, 4)
    ]
    for wrong in ("nonsense", f"{run}-99", f"{run}-x"):
        assert "event: missed" in asyncio.run(told(wrong, 2))[1]


def test_whoever_comes_after_a_pause_is_not_told_what_the_page_shows(
    recorded, starter_pack, gallery, tmp_path, monkeypatch
):
    monkeypatch.setattr(feed, "LOOK_S", 0.1)
    calls: queue.SimpleQueue[None] = queue.SimpleQueue()
    last_number = browsing.last_number
    monkeypatch.setattr(browsing, "last_number", lambda reader: (last_number(reader), calls.put(None))[0])
    with (
        serving(tmp_path, recorded, starter_pack, gallery) as served,
        client_of(served.url) as client,
    ):
        with client.stream("GET", "/api/v1/events"):
            calls.get(timeout=60)
        detect(served, 2)  # while nobody looks
        while calls.empty():  # until the server has noticed that the first one is gone
            with client.stream("GET", "/api/v1/events") as stream:
                told = events_of(stream.iter_lines())
                next(told)
        with client.stream("GET", "/api/v1/events") as stream:
            told = events_of(stream.iter_lines())
            next(told)
            served.rename(1, "Corvus corax")
            detect(served)
            first = json.loads(next_event(told)["data"])
    assert first["taxon"]["scientific_name"] == "Corvus corax"


# A journal that cannot be used


def test_a_journal_that_is_locked_is_said_and_nothing_is_lost(recorded, starter_pack, gallery, tmp_path, monkeypatch):
    monkeypatch.setattr(of_journal, "BUSY_S", 0.2)
    sent = {"detections": [1, 2], "verdict": "confirmed"}
    with (
        serving(tmp_path, recorded, starter_pack, gallery) as served,
        client_of(served.url) as client,
        closing(sqlite3.connect(served.journal, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        answer = client.post("/api/v1/reviews", json=sent)
        assert answer.status_code == 503
        assert "locked" in answer.json()["error"]
        form = client.post("/reviews", data={"detection": "1", "verdict": "rejected"})
        assert form.status_code == 503 and "locked" in form.text
        assert client.get("/detections").status_code == 200  # reading goes on
        other.execute("ROLLBACK")
        assert client.post("/api/v1/reviews", json=sent).status_code == 201
        assert served.reviews() == [(1, "confirmed", None), (2, "confirmed", None)]


def test_a_full_disk_is_said_and_nothing_is_lost(small_disk, recorded, starter_pack, gallery):
    sent = {"detections": [1], "verdict": "confirmed", "note": "x" * 2_000}
    with (
        serving(small_disk, recorded, starter_pack, gallery) as served,
        client_of(served.url) as client,
    ):
        assert client.post("/api/v1/reviews", json=sent).status_code == 201
        settings = served.config.read_text()
        ballast = small_disk / "ballast"
        with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        answers = []
        while not answers or answers[-1].status_code == 201:  # what the journal has allocated is used up first
            answers.append(client.post("/api/v1/reviews", json=sent))
            assert len(answers) < 1_000
        assert answers[-1].status_code == 503
        assert re.search(r"cannot be written \(.*(full|I/O error)", answers[-1].json()["error"])
        changed = client.patch("/api/v1/settings", json={"detections.confirm": "2"})
        assert changed.status_code == 503 and "No space left" in changed.json()["error"]
        assert served.config.read_text() == settings
        for path in ("/", "/detections", "/species", "/health"):
            assert client.get(path).status_code == 200

        ballast.unlink()
        assert client.post("/api/v1/reviews", json=sent).status_code == 201
        assert client.patch("/api/v1/settings", json={"detections.confirm": "2"}).status_code == 200
        assert len(served.reviews()) == len(answers) + 1


# Settings


def test_what_flags_have_set_is_not_changed(listening, tmp_path):
    flags = ("--threshold", "Parus major=0.5", "--confirm", 1)
    with (
        listening(tmp_path, *flags) as station,
        client_of(station.url) as client,
    ):
        before = station.config.read_text()
        for key, flag in (("thresholds.Parus major", "--threshold"), ("detections.confirm", "--confirm")):
            answer = client.patch("/api/v1/settings", json={key: "0.7" if "thresholds" in key else "2"})
            assert answer.status_code == 400
            assert answer.json()["error"] == f"{key} cannot be changed here: set by flag {flag}"
        assert client.patch("/api/v1/settings", json={"thresholds.Parus major": "0.5"}).json() == {
            "at_the_next_start": []
        }
        assert station.config.read_text() == before


@pytest.mark.parametrize(
    "sent",
    [
        {"station.pack": "/etc/passwd"},
        {"clips.folder": "/etc"},
        {"mqtt.password": "x"},
        {"web.address": "0.0.0.0"},
        {"no.such": "1"},
        {"thresholds.Snark": "0.5"},
        {"thresholds.": "0.5"},
        {"detections.confirm": "many"},
        {"detections.confirm": 2},
    ],
)
def test_what_must_not_be_changed_on_the_page_is_refused(served, client, sent):
    before = served.config.read_text()
    answer = client.patch("/api/v1/settings", json=sent)

    assert answer.status_code == 400 and answer.json()["error"]
    assert served.config.read_text() == before


def test_changes_keep_the_file_as_it_was_written(recorded, starter_pack, gallery, tmp_path):
    with (
        serving(tmp_path, recorded, starter_pack, gallery) as served,
        client_of(served.url) as client,
    ):
        before = served.config.read_text()
        waits = client.patch("/api/v1/settings", json={"detections.confirm": "3", "thresholds.Kohlmeise": "0.5"}).json()
        assert waits["at_the_next_start"] == ["detections.confirm", "thresholds.Kohlmeise"]  # it runs elsewhere
        assert served.config.read_text().startswith(before.replace("confirm = 1  # window", "confirm = 3  # window"))
        told = client.get("/api/v1/settings").json()
        assert told["thresholds"] == {"Kohlmeise": 0.5}
        client.patch("/api/v1/settings", json={"detections.confirm": "1", "thresholds.Kohlmeise": ""})
        assert served.config.read_text().startswith(before)
