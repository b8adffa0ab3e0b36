"""Upload to BirdWeather: the clip of a detection as a soundscape, then the detection in it.

The protocol is that of its station API, as stations of the field speak it: ``POST stations/TOKEN/soundscapes`` with the
sound as the body gives an id, ``POST stations/TOKEN/detections`` a JSON object that names it. ``GET
stations/TOKEN/stats`` is the documented way to ask whether a token is known (https://app.birdweather.com/api/v1).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from edgeapp.audio.metadata import guano
from edgeapp.clips.settings import MOST_CLIP_S
from edgeapp.delivery.addresses import web_address
from edgeapp.delivery.http import Http
from edgeapp.delivery.target import NotSent, Probed, Refused
from edgeapp.detections.review import ReviewVerdict
from edgeapp.errors import AudioError, UsageError
from edgeapp.paths import PROGRAM
from gallery.utc import utc_of, utc_text

log = logging.getLogger(__name__)

URL = "https://app.birdweather.com/api/v1"
SPECIES = "species"
ALGORITHM = "alpha"  # of the names that its API knows, that of a model which is not BirdNET's 2.4
BIRDNET = "2p4"
KINDS = {".flac": "audio/flac", ".wav": "audio/wav", ".ogg": "audio/ogg", ".mp3": "audio/mpeg"}
UNKNOWN = (401, 403, 404)  # answers to a wrong token
TOO_LARGE = 413
HEADERS = {"User-Agent": PROGRAM}


class BirdWeatherTarget:
    """See `edgeapp.delivery.target.Target`. Groups, which it does not know, count as sent.

    Parameters
    ----------
    token : str
        Of the station; never shown.
    clip_of : callable
        Path of a clip in the document to where it lies; None where there are no clips.
    pre_roll_s : float
        How long before its detection a clip begins.
    url : str
        Of the API.

    Raises
    ------
    UsageError
        The token cannot be part of a URL.
    """

    def __init__(
        self,
        token: str,
        clip_of: Callable[[str], Path | None],
        pre_roll_s: float = 0.0,
        url: str = URL,
    ) -> None:
        if not token.isascii() or any(char.isspace() or char in "/?#" for char in token):
            raise UsageError("the token of BirdWeather cannot be one", "copy it from the page of the station")
        parts = web_address(url, "BirdWeather")
        self._http = Http(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
        self._url = url.rstrip("/")
        self._pre_roll_s = pre_roll_s
        self._clip_of = clip_of
        self._token = quote(token, safe="")
        self._soundscapes: dict[str, int] = {}  # of messages whose detection did not arrive yet

    def ready(self) -> bool:
        """False: only a message tells."""
        return False

    def send(self, payload: Mapping[str, Any]) -> None:
        """Upload the clip, once, and then the detection. What was reviewed as another species or none is left out."""
        taxon, review = payload["taxon"], payload.get("review") or {}
        wrong = review.get("verdict") in (ReviewVerdict.REJECTED, ReviewVerdict.CORRECTED)
        if taxon["rank"] != SPECIES or payload.get("updated") or wrong:
            return
        latitude, longitude = payload["source"]["latitude"], payload["source"]["longitude"]
        key = str(payload.get("id"))
        began = utc_of(str(payload["time"]))
        length_s = float(payload["end_s"]) - float(payload["start_s"])
        path = None if payload.get("clip") is None else self._clip_of(str(payload["clip"]))
        before_s = self._before_s(path, began, length_s)
        if before_s is None:
            before_s = min(self._pre_roll_s, float(payload["start_s"]))
        detection = {
            "timestamp": utc_text(began),
            "commonName": taxon["common_name"] or taxon["scientific_name"],
            "scientificName": taxon["scientific_name"],
            "confidence": payload["confidence"],
            "algorithm": BIRDNET if "birdnet" in str(payload["pack"]["name"]).lower() else ALGORITHM,
        }
        if latitude is not None and longitude is not None:
            detection |= {"lat": latitude, "lon": longitude}
        soundscape = self._soundscapes.get(key) or self._upload(path, began - timedelta(seconds=before_s))
        if soundscape is not None:
            self._soundscapes[key] = soundscape
            times = {"soundscapeStartTime": max(0.0, before_s), "soundscapeEndTime": before_s + length_s}
            detection |= {"soundscapeId": soundscape, **times}
        self._post("detections", json.dumps(detection, ensure_ascii=False).encode(), "application/json")
        self._soundscapes.pop(key, None)

    def probe(self) -> Probed:
        """Ask for the statistics of the station, which only its token gives."""
        answer = self._http.ask("GET", f"{self._url}/stations/{self._token}/stats", None, HEADERS)
        told = _told(answer.body)
        if answer.code in UNKNOWN or told.get("success") is False:
            raise NotSent(f"{self._http.label} does not know the token", "copy it from the page of the station")
        if answer.code >= 300 or told.get("success") is not True:
            doubt = f"answers {answer.code}{' without statistics' if answer.code < 300 else ''}"
            return Probed(f"{self._http.label} is there", doubt, "look whether BirdWeather works")
        return Probed(f"{self._http.label} knows the station")

    def close(self) -> None:
        """Nothing is open between messages."""

    @staticmethod
    def _before_s(path: Path | None, began: datetime, length_s: float) -> float | None:
        """How long before its detection a clip begins, as it says itself; None where it does not.

        A clip begins earlier than its roll where several detections share it, and later than a detection that is longer
        than a clip may be. One that has still the time of a clock that was wrong says nothing.
        """
        try:
            start = None if path is None else guano.start_time(guano.read(path))
        except AudioError:
            return None
        if start is None or start.tzinfo is None:
            return None
        before_s = round((began - start).total_seconds(), 3)
        return before_s if -length_s < before_s <= MOST_CLIP_S else None

    def _upload(self, path: Path | None, began: datetime) -> int | None:
        if path is None or path.suffix not in KINDS:
            return None
        try:
            sound = path.read_bytes()
        except OSError:
            return None  # deleted meanwhile; the detection is told without it
        query = urlencode({"timestamp": utc_text(began), "type": path.suffix[1:]})
        try:
            answer = self._post(f"soundscapes?{query}", sound, KINDS[path.suffix])
        except _TooLarge as error:
            log.warning("%s: a clip is too large for it; its detection is sent without", error)
            return None
        try:
            return int(_told(answer)["soundscape"]["id"])
        except (ValueError, KeyError, TypeError):
            raise NotSent(
                f"{self._http.label} gives no id for a soundscape", "look whether BirdWeather works"
            ) from None

    def _post(self, what: str, body: bytes, kind: str) -> bytes:
        url = f"{self._url}/stations/{self._token}/{what}"
        answer = self._http.ask("POST", url, body, HEADERS | {"Content-Type": kind})
        code = answer.code
        told = f"{self._http.label} answers {code} to {what.partition('?')[0]}"
        if code < 300:
            if _told(answer.body).get("success") is False:
                raise Refused(f"{told}, without success")
            return answer.body
        if code in UNKNOWN:
            raise NotSent(told, "check birdweather.token")
        if code == TOO_LARGE:
            raise _TooLarge(told, "make clips shorter (clips.longest), or clips.format ogg")
        if 400 <= code < 500 and code not in (408, 429):
            raise Refused(told)
        raise NotSent(told)


class _TooLarge(Refused):
    """More than the server takes."""


def _told(body: bytes) -> dict[str, Any]:
    """The object of an answer; empty where it is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
