"""Detections and their clips go to a server that speaks the protocol of BirdWeather's station API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from edgeapp.audio.metadata import guano
from edgeapp.clips.clip_file import encoded
from edgeapp.delivery.birdweather import BirdWeatherTarget
from edgeapp.delivery.target import NotSent, Refused
from edgeapp.delivery.template import examples
from edgeapp.errors import UsageError

TOKEN = "tok3n"


class Api:
    """Keeps soundscapes and detections, and answers as the API does; codes can be given."""

    def __init__(self) -> None:
        self.soundscapes: list[tuple[dict, str, bytes]] = []
        self.detections: list[dict] = []
        self.codes: dict[str, list[int]] = {"soundscapes": [], "detections": []}
        self.stats = 200, b'{"success": true, "detections": 12, "species": 5}'
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                parts = urlsplit(self.path)
                _, _, _, stations, token, what = parts.path.split("/")
                codes = api.codes[what]
                code = codes.pop(0) if codes else 201
                if (stations, token) != ("stations", TOKEN):
                    code = 404
                answer: dict = {"success": code == 201}
                if code == 201 and what == "soundscapes":
                    api.soundscapes.append((parse_qs(parts.query), self.headers["Content-Type"], body))
                    answer["soundscape"] = {"id": 700 + len(api.soundscapes)}
                elif code == 201:
                    api.detections.append(json.loads(body))
                self.answer(code, json.dumps(answer).encode())

            def do_GET(self) -> None:
                known = self.path.endswith(f"/stations/{TOKEN}/stats")
                code, body = api.stats if known else (404, b'{"success": false}')
                self.answer(code, body)

            def answer(self, code: int, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/v1"


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    threading.Thread(target=api.server.serve_forever, args=(0.02,), daemon=True).start()
    yield api
    api.server.shutdown()
    api.server.server_close()


@pytest.fixture
def target(api, tmp_path) -> BirdWeatherTarget:
    (tmp_path / "tit.flac").write_bytes(b"fLaC sound")
    return BirdWeatherTarget(TOKEN, lambda path: tmp_path / path, 2.0, api.url)


def message(**more: object) -> dict:
    return examples()[0] | {"clip": "tit.flac", "updated": False, "review": None, **more}


def test_the_clip_is_uploaded_and_the_detection_lies_in_it(api, target):
    target.send(message())
    [(query, kind, sound)] = api.soundscapes
    assert (query, kind, sound) == (
        {"timestamp": ["2026-05-01T04:12:07.250Z"], "type": ["flac"]},
        "audio/flac",
        b"fLaC sound",
    )
    assert api.detections == [
        {
            **{"timestamp": "2026-05-01T04:12:09.250Z", "lat": 52.5, "lon": 13.4},
            **{"soundscapeId": 701, "soundscapeStartTime": 2.0, "soundscapeEndTime": 12.0},
            **{"commonName": "Great Tit", "scientificName": "Parus major"},
            **{"confidence": 0.93, "algorithm": "alpha"},
        }
    ]


@pytest.mark.parametrize(
    ("starts", "places"),
    [
        ("2026-05-01T06:11:59.250+02:00", ("2026-05-01T04:11:59.250Z", 10.0, 20.0)),  # with an earlier detection
        ("2026-05-01T06:12:12.250+02:00", ("2026-05-01T04:12:12.250Z", 0.0, 7.0)),  # around the surest window
        ("1970-01-01T01:00:00.000+01:00", ("2026-05-01T04:12:07.250Z", 2.0, 12.0)),  # of a clock that was not set
    ],
)
def test_a_clip_says_itself_where_it_begins(api, target, tmp_path, starts, places):
    about = guano.as_text({"Timestamp": starts})
    (tmp_path / "tit.flac").write_bytes(encoded(np.zeros(8000, np.int16), 8000, "flac", about))
    target.send(message())
    [(query, _, _)], [detection] = api.soundscapes, api.detections
    assert (query["timestamp"][0], detection["soundscapeStartTime"], detection["soundscapeEndTime"]) == places


def test_a_clip_that_is_too_large_costs_no_detection(api, target, caplog):
    api.codes["soundscapes"] = [413]
    target.send(message())
    assert api.soundscapes == [] and "soundscapeId" not in api.detections[0]
    assert "too large" in caplog.text and TOKEN not in caplog.text


def test_without_a_clip_or_a_place_the_detection_goes_alone(api, target):
    nowhere = message()["source"] | {"latitude": None, "longitude": None}
    for clip in (None, "deleted.flac"):
        target.send(message(clip=clip, source=nowhere))
    assert api.soundscapes == [] and len(api.detections) == 2
    assert not {"soundscapeId", "lat", "lon"} & set(api.detections[0])


def test_a_clip_is_not_uploaded_twice_when_its_detection_fails(api, target):
    api.codes["detections"] = [500]
    with pytest.raises(NotSent):
        target.send(message())
    target.send(message())
    assert (len(api.soundscapes), len(api.detections)) == (1, 1)


@pytest.mark.parametrize(
    "more",
    [
        {"taxon": {"rank": "genus", "scientific_name": "Parus", "common_name": None}},
        {"updated": True},
        {"review": {"verdict": "rejected"}},
        {"review": {"verdict": "corrected"}},
    ],
)
def test_what_is_no_new_detection_of_a_species_stays_here(api, target, more):
    target.send(message(**more))
    assert api.detections == []


@pytest.mark.parametrize(("code", "kind"), [(500, NotSent), (429, NotSent), (401, NotSent), (422, Refused)])
def test_answers_say_whether_to_try_again(api, target, code, kind):
    api.codes["soundscapes"] = [code]
    with pytest.raises(NotSent) as error:
        target.send(message())
    assert type(error.value) is kind and TOKEN not in str(error.value)


def test_the_doctor_learns_whether_the_token_is_known(api, target):
    assert target.probe().what.endswith("knows the station")
    with pytest.raises(NotSent, match="does not know the token"):
        BirdWeatherTarget("another", lambda path: None, url=api.url).probe()


@pytest.mark.parametrize(
    ("stats", "doubt"),
    [((503, b""), "answers 503"), ((200, b"<html>a portal</html>"), "answers 200 without statistics")],
)
def test_what_gives_no_statistics_is_not_taken_for_birdweather(api, target, stats, doubt):
    api.stats = stats
    assert target.probe().doubt == doubt


def test_a_station_that_is_denied_success_is_not_known(api, target):
    api.stats = 200, b'{"success": false}'
    with pytest.raises(NotSent, match="does not know the token"):
        target.probe()


def test_what_cannot_be_a_token_is_refused_unseen():
    with pytest.raises(UsageError) as error:
        BirdWeatherTarget("tok3n/x y", lambda path: None)
    assert TOKEN not in str(error.value)
