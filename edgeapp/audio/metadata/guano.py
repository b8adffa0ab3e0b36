"""GUANO metadata: what a recording is, in lines of text inside the recording.

The format is that of the GUANO specification 1.0 (guano-md.org): UTF-8 lines ``Key: Value``, ``GUANO|Version`` first,
in a RIFF chunk ``guan`` of a WAV file. FLAC and OGG have no place of their own for it, so the same text stands in
their comment tag.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from edgeapp.audio.formats.ogg_pages import with_checksum
from edgeapp.audio.formats.wave import bodies, is_wav
from edgeapp.clock.system import Moment
from edgeapp.clock.written import written_time
from edgeapp.errors import AudioError

VERSION = "1.0"
NAMESPACE = "BiovitaEdge"
MAKE = "BioVITA"
CHUNK = b"guan"
MULTILINE = ("Note",)  # the one defined field in which a written "\n" means a new line


@dataclass(frozen=True)
class Recorder:
    """What made the recordings of a deployment.

    Attributes
    ----------
    app_version : str
    pack : str
        Name and version of the pack.
    latitude, longitude : float or None
        WGS84, degrees.
    """

    app_version: str = ""
    pack: str = ""
    latitude: float | None = None
    longitude: float | None = None


def fields(
    recorder: Recorder,
    start: Moment,
    rate_hz: int,
    samples: int,
    taxon: str,
    confidence: float,
    file_name: str,
) -> dict[str, str]:
    """Metadata of one clip.

    Parameters
    ----------
    recorder : Recorder
    start : Moment
        Of the first sample. It is written in the machine's own time zone with its offset, as the specification asks.
    rate_hz, samples : int
    taxon : str
        Scientific name of what was detected, at any rank.
    confidence : float
    file_name : str
        Name without the folder.
    """
    found = {
        "GUANO|Version": VERSION,
        "Timestamp": _timestamp(start.utc),
        "Make": MAKE,
        "Model": f"biovita-edge {recorder.app_version}".strip(),
        "Samplerate": str(rate_hz),
        "Length": f"{samples / rate_hz:.6f}",
        "Species Auto ID": taxon,
        "Original Filename": file_name,
    }
    if recorder.latitude is not None and recorder.longitude is not None:
        found["Loc Position"] = f"{recorder.latitude:.7f} {recorder.longitude:.7f}"
    if recorder.pack:
        found[f"{NAMESPACE}|Pack"] = recorder.pack
    found[f"{NAMESPACE}|Confidence"] = f"{confidence:.4f}"
    found[f"{NAMESPACE}|Clock Set"] = "yes" if start.clock_set else "no"
    return found


def clock_fields(start: datetime, clock_set: bool, file_name: str) -> dict[str, str]:
    """The fields of a clip that change once the clock is known."""
    return {
        "Timestamp": _timestamp(start),
        "Original Filename": file_name,
        f"{NAMESPACE}|Clock Set": "yes" if clock_set else "no",
    }


def _timestamp(start: datetime) -> str:
    return start.astimezone().isoformat(timespec="milliseconds")


def as_text(found: Mapping[str, str], room: int = 0) -> str:
    """The lines of the metadata, the version first, and empty ones as room for longer values; see `rewritten`."""
    ordered = {"GUANO|Version": VERSION, **found}
    return "".join(f"{key}: {_on_one_line(value)}\n" for key, value in ordered.items()) + room * "\n"


def parse(text: str) -> dict[str, str]:
    """Read the lines of the metadata.

    Lines without a colon are skipped, and of a key that comes twice the first one counts.
    """
    found: dict[str, str] = {}
    for line in text.replace("\0", "").split("\n"):
        key, colon, value = line.partition(":")
        key, value = key.strip("\ufeff \t\r"), value.strip()
        if colon and key and key not in found:
            found[key] = value.replace("\\n", "\n") if key in MULTILINE else value
    return found


def into_wav(wav: bytes, text: str) -> bytes:
    """A WAV file with the metadata as its last chunk.

    Raises
    ------
    ValueError
        When the bytes are not a whole RIFF file.
    """
    if wav[:4] != b"RIFF" or wav[8:12] != b"WAVE":
        raise ValueError("only a RIFF WAV can take a chunk")
    body = text.encode("utf-8")
    body += b"\n" * (len(body) % 2)  # the specification pads with white space inside the chunk
    whole = wav + b"\0" * (len(wav) % 2) + CHUNK + struct.pack("<I", len(body)) + body
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]


def rewritten(content: bytes, changes: Mapping[str, str]) -> bytes:
    """A recording with some fields of its metadata changed, and every other byte as it was.

    The text keeps its length, filled with empty lines; where it became longer, the field ``Make`` makes room.

    Parameters
    ----------
    content : bytes
        A WAV, FLAC or OGG file, as this program writes them.
    changes : Mapping[str, str]

    Raises
    ------
    ValueError
        It has no such text, or no room for it.
    """
    start, end = _place(content)
    found = {**parse(decoded(content[start:end])), **changes}
    body = as_text(found).encode("utf-8")
    if len(body) > end - start:
        body = as_text({key: value for key, value in found.items() if key != "Make"}).encode("utf-8")
    if len(body) > end - start:
        raise ValueError("no room for the metadata")
    changed = content[:start] + body.ljust(end - start, b"\n") + content[end:]
    return with_checksum(changed, start, end) if content[:4] == b"OggS" else changed


def _place(content: bytes) -> tuple[int, int]:
    """Where the text of the metadata stands: in its own chunk, or in a comment after the length of that."""
    start = content.find(f"GUANO|Version: {VERSION}\n".encode())
    if start < 0:
        raise ValueError("no metadata of ours")
    entry = start
    if content[:4] != b"RIFF":
        while content[entry - 1 : entry].isalpha() or content[entry - 1 : entry] == b"=":
            entry -= 1
    end = entry + int.from_bytes(content[entry - 4 : entry], "little")
    if not start < end <= len(content):
        raise ValueError("damaged metadata")
    return start, end


def read(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a recording; empty when it has none.

    Foreign files are read as far as they make sense: RF64 and BW64, cut files, chunks without their padding, text that
    is not UTF-8.

    Raises
    ------
    AudioError
        When the file cannot be opened or read.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(16)
            if is_wav(head):
                file.seek(0)
                return parse(decoded(bodies(file, frozenset([CHUNK])).get(CHUNK, b"")))
    except OSError as error:
        raise AudioError(
            f"{os.fspath(path)}: cannot be read ({error.strerror})", "check the path and its permissions"
        ) from None
    return parse(_comment(path)) if head[:4] in (b"fLaC", b"OggS") else {}


def clock_was_set(found: Mapping[str, str]) -> bool:
    """Whether the clock that gave the time was set: false only where one of our stations says that it was not."""
    return found.get(f"{NAMESPACE}|Clock Set", "yes") != "no"


def start_time(found: Mapping[str, str]) -> datetime | None:
    """When a recording began: aware where its offset is known, naive local time where it is not, None without one."""
    return written_time(found.get("Timestamp", ""))


def _on_one_line(value: str) -> str:
    return value.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\\n").strip()


def decoded(raw: bytes) -> str:
    """Text of a chunk: UTF-8, or what older programs wrote."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _comment(path: str | os.PathLike[str]) -> str:
    import soundfile

    try:
        with open(path, "rb") as raw, soundfile.SoundFile(raw) as file:  # soundfile takes no name of any bytes
            text: str = file.comment
    except (OSError, soundfile.LibsndfileError, UnicodeDecodeError):
        return ""
    return text if text.lstrip().startswith("GUANO|Version") else ""
