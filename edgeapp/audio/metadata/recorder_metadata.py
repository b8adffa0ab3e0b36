"""Times that recorders write into their files, other than GUANO.

AudioMoth
    A comment (``LIST``, ``INFO``, ``ICMT``): "Recorded at 07:00:00 22/05/2019 (UTC+2) by AudioMoth 24F3...". The first
    firmware names no zone and means UTC; later ones "(UTC)", "(UTC+2)", "(UTC-5:30)", and thousandths of a second.
Wildlife Acoustics (Song Meter, Echo Meter)
    A chunk ``wamd`` of records, whose number 5 is the start, with its offset where the recorder knew it.
Broadcast Wave (EBU Tech 3285)
    A chunk ``bext`` with date and time of day, without a zone.
iXML (BWFXML 2.0)
    The same two fields as text, for programs that do not read ``bext``.
Tags
    ``ICRD``, Vorbis ``DATE``, ID3 ``TDRC`` and the creation time of MP4, where they have a time of day.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import BinaryIO

from edgeapp.audio.formats.wave import bodies
from edgeapp.audio.metadata import guano
from edgeapp.clock.written import offset_zone, written_time

AUDIOMOTH, WAMD, BEXT, IXML, TAG = "audiomoth", "wamd", "bext", "ixml", "tag"

_CHUNKS = frozenset((b"fmt ", b"LIST", b"bext", b"iXML", b"wamd"))
_COMMENT = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? (\d\d)/(\d\d)/(\d{4})"
    r"(?: \(UTC(?P<zone>[+-]\d{1,2}(?::\d\d)?)?\))? (?=by |during )"
)
_TAGS_BYTES = 1 << 16  # where other formats than WAV have their tags
_WAMD_START = 5
_WAMD_RECORD = struct.Struct("<HI")
_BEXT_DATE = slice(320, 330)  # after description, originator and reference
_BEXT_TIME = slice(330, 338)
_BEXT_REFERENCE = slice(338, 346)  # samples since midnight
_REFERENCE_AGREES_S = 2.0
_MP4_EPOCH = datetime(1904, 1, 1, tzinfo=timezone.utc)


def recorder_times(path: str | os.PathLike[str]) -> Iterator[tuple[str, datetime]]:
    """The times that a recording names in its metadata, the best first.

    Yields
    ------
    str
        ``audiomoth``, ``wamd``, ``bext``, ``ixml`` or ``tag``.
    datetime
        Aware where the metadata say in which zone, otherwise naive.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(_TAGS_BYTES)
        file.seek(0)
        found = bodies(file, _CHUNKS)
        info = _info(found.get(b"LIST", b""))
        if found:
            comment = guano.decoded(info.get(b"ICMT", b"")).strip("\0")
        else:
            comment = head.decode("latin-1") if head[:4] in (b"fLaC", b"OggS") or head[:3] == b"ID3" else ""
        times = [
            (AUDIOMOTH, audiomoth_time(comment)),
            (WAMD, _wamd_time(found.get(b"wamd", b""))),
            (BEXT, _bext_time(found.get(b"bext", b""), _rate_hz(found.get(b"fmt ", b"")))),
            (IXML, _ixml_time(found.get(b"iXML", b""))),
            (TAG, written_time(_ascii(info.get(b"ICRD", b"")))),
        ]
        if head[4:8] == b"ftyp":
            file.seek(0)
            times.append((TAG, _mp4_time(file)))
        elif not found and head[:4] in (b"fLaC", b"OggS", b"ID3\x03", b"ID3\x04"):
            times.append((TAG, _date_tag(path)))
    for source, time in times:
        if time is not None:
            yield source, time


def audiomoth_time(comment: str) -> datetime | None:
    """The time in an AudioMoth's comment, aware: the first firmware names no zone and keeps UTC."""
    match = _COMMENT.search(comment)
    if match is None:
        return None
    hour, minute, second, fraction, day, month, year, zone = match.groups()
    micros = int((fraction or "0").ljust(6, "0"))
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micros)
        return local.replace(tzinfo=_short_zone(zone) if zone else timezone.utc)
    except ValueError:
        return None


def _short_zone(text: str) -> timezone:
    """``+2``, ``-5:30``, ``+10``."""
    hours, _, minutes = text[1:].partition(":")
    return offset_zone(f"{text[0]}{int(hours):02d}:{minutes or '00'}")


def _info(raw: bytes) -> dict[bytes, bytes]:
    """The fields of a ``LIST`` chunk of kind ``INFO``."""
    if raw[:4] != b"INFO":
        return {}
    fields: dict[bytes, bytes] = {}
    at = 4
    while at + 8 <= len(raw):
        name, size = raw[at : at + 4], int.from_bytes(raw[at + 4 : at + 8], "little")
        fields.setdefault(name, raw[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return fields


def _wamd_time(raw: bytes) -> datetime | None:
    at = 0
    while at + _WAMD_RECORD.size <= len(raw):
        number, size = _WAMD_RECORD.unpack_from(raw, at)
        at += _WAMD_RECORD.size
        if number == _WAMD_START:
            return written_time(_ascii(raw[at : at + size]))
        at += size
    return None


def _bext_time(raw: bytes, rate_hz: int) -> datetime | None:
    date, time = re.findall(r"\d+", _ascii(raw[_BEXT_DATE])), re.findall(r"\d+", _ascii(raw[_BEXT_TIME]))
    reference = raw[_BEXT_REFERENCE]
    after_midnight_s = int.from_bytes(reference, "little") / rate_hz if rate_hz and len(reference) == 8 else 0.0
    return _of_day(date, time, after_midnight_s)


def _ixml_time(raw: bytes) -> datetime | None:
    text = guano.decoded(raw)
    date, time = (
        re.search(rf"<BWF_ORIGINATION_{name}>([^<]*)</BWF_ORIGINATION_{name}>", text) for name in ("DATE", "TIME")
    )
    if date is None or time is None:
        return None
    return _of_day(re.findall(r"\d+", date[1]), re.findall(r"\d+", time[1]), 0.0)


def _of_day(date: list[str], time: list[str], after_midnight_s: float) -> datetime | None:
    """Year, month, day and hour, minute, second; the samples since midnight give the fraction, or the time itself.

    Many recorders let that count run on from their time code, so it counts only where it agrees with the time of day,
    or where there is none.
    """
    try:
        day = datetime(*map(int, date))  # type: ignore[arg-type]
        if len(date) != 3 or (len(time) != 3 and not 0 < after_midnight_s < 86_400):
            return None
        counted = day + timedelta(seconds=after_midnight_s)
        if len(time) != 3:
            return counted
        hour, minute, second = map(int, time)
        written = day.replace(hour=hour, minute=minute, second=second)
    except (TypeError, ValueError, OverflowError):
        return None
    return counted if abs((counted - written).total_seconds()) < _REFERENCE_AGREES_S else written


def _rate_hz(format: bytes) -> int:
    return int.from_bytes(format[4:8], "little")


def _date_tag(path: str | os.PathLike[str]) -> datetime | None:
    import soundfile

    try:
        with open(path, "rb") as raw, soundfile.SoundFile(raw) as file:
            return written_time(file.copy_metadata().get("date", ""))
    except (OSError, soundfile.LibsndfileError, UnicodeDecodeError):
        return None


def _mp4_time(file: BinaryIO) -> datetime | None:
    """The creation time of the movie header (ISO/IEC 14496-12, section 8.2.2), which is in UTC."""
    end = file.seek(0, os.SEEK_END)
    at = 0
    while at + 8 <= end:
        file.seek(at)
        size, name = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            size, header = int.from_bytes(file.read(8), "big"), 16  # too large for four bytes
        if name == b"moov":
            at += header
            continue
        if name == b"mvhd":
            wide = file.read(4)[:1] == b"\1"
            seconds = int.from_bytes(file.read(8 if wide else 4), "big")
            return _MP4_EPOCH + timedelta(seconds=seconds) if seconds else None
        if size < header:  # to the end of the file, or damaged
            return None
        at += size
    return None


def _ascii(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("latin-1").strip()
