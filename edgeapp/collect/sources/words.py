"""Texts of archives, read in one way for all sources."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from edgeapp.errors import CollectError

# Extensions of what archives link to, where nothing else says what it is.
_SOUND = (
    ".mp3",
    ".wav",
    ".wave",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".m4a",
    ".aac",
    ".aif",
    ".aiff",
    ".wma",
    ".amr",
    ".3gp",
)
_SOUND_WORDS = ("sound", "sounds", "audio", "recording", "audiorecording", "soundrecording")
_PHOTO_WORDS = ("stillimage", "stillimages", "image", "images", "photo", "photos", "photograph", "photography")
_OTHER_WORDS = ("movingimage", "movingimages", "video", "videos", "movie", "film", "animation", "software", "event")
_BETWEEN = re.compile(r"\||[\s;,]+(?=[a-z]+://)", re.IGNORECASE)  # addresses in a list
_PHOTO = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp")


def modality_of(kind: str = "", media_type: str = "", url: str = "") -> str:
    """``"audio"``, ``"image"``, or ``""`` for what is neither or says nothing.

    Parameters
    ----------
    kind : str
        A DCMI type, as a word or an address: ``"Sound"``, ``"StillImage"``.
    media_type : str
        ``"audio/mpeg"``; some publishers write ``"mp3"``.
    url : str
        Its extension is asked last.
    """
    if "://" not in kind and kind.partition("/")[0].casefold() in ("audio", "image", "video"):
        kind, media_type = "", kind  # some publishers write the media type there
    word = re.sub(r"[\s_-]+", "", re.split(r"[/#:]", kind.rstrip("/"))[-1]).casefold()
    for words, modality in ((_SOUND_WORDS, "audio"), (_PHOTO_WORDS, "image"), (_OTHER_WORDS, "")):
        if word in words:
            return modality
    main = media_type.strip(" .").partition("/")[0].casefold()
    if main in ("audio", "image"):
        return main
    if main == "video":
        return ""
    ending = f".{main}" if f".{main}" in (*_SOUND, *_PHOTO) else ending_of(url)
    return "audio" if ending in _SOUND else "image" if ending in _PHOTO else ""


def addresses(text: str) -> list[str]:
    """The addresses in a text that may name several, with any separator, each once; a text without any as it is."""
    parts = dict.fromkeys(part.strip(" ;,") for part in _BETWEEN.split(text))
    return [part for part in parts if "://" in part] or [text]


def ending_of(url: str) -> str:
    """The extension in an address or path, lower case: ``".mp3"``."""
    try:
        return PurePosixPath(urlsplit(url).path).suffix.casefold()
    except ValueError:
        return ""


def number_of(text: object) -> float | None:
    """A number, or None where there is none."""
    try:
        found = float(str(text).strip().replace(",", "."))
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None


def coordinates(latitude: object, longitude: object) -> tuple[float | None, float | None]:
    """Degrees; None twice where one is missing or is no place on earth."""
    north, east = number_of(latitude), number_of(longitude)
    if north is None or east is None or abs(north) > 90 or abs(east) > 180:
        return None, None
    return north, east


def seconds_of(text: str) -> float | None:
    """Seconds of ``"4:13"``, ``"1:02:03"`` or ``"12.5"``."""
    total = 0.0
    for part in text.split(":"):
        found = number_of(part)
        if found is None or found < 0:
            return None
        total = 60 * total + found
    return total


def date_of_parts(date: str, time: str = "") -> str:
    """A date and a time as precise as they are known: ``"2015-00-00"`` is ``"2015"``, a time of ``"?"`` none."""
    known = re.match(r"\d{4}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?)?", date.strip())
    if known is None or known.group(0).startswith("0000"):
        return ""
    day = known.group(0)
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})(?::\d{2})?", time.strip())
    if clock is None or len(day) < 10 or int(clock.group(1)) > 23:
        return day
    return f"{day}T{int(clock.group(1)):02}:{clock.group(2)}"


def short_hash(text: str) -> str:
    """Twelve letters that stand for a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def with_scheme(url: str) -> str:
    """An address that may begin with ``//``."""
    return f"https:{url}" if url.startswith("//") else url


@contextmanager
def understood(where: str) -> Iterator[None]:
    """Read what a server answered: what has not the expected form is an error with a remedy.

    Raises
    ------
    CollectError
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise CollectError(
            f"{where}: the answer is not what is documented ({type(error).__name__}: {error})",
            "check the address; if it is right, the archive has changed",
        ) from None
