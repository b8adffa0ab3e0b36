"""What a file is, by its first bytes, whatever its name says."""

from __future__ import annotations

import io

from edgeapp.audio.formats.mpeg_frames import runs
from edgeapp.audio.formats.tags import id3_length
from edgeapp.audio.formats.view import Readable, read_at, size_of

HEAD = 4096  # bytes that tell

WAVE, FLAC, OGG, MPEG, AIFF, CAF, AU = "WAV", "FLAC", "Ogg", "MPEG audio", "AIFF", "CAF", "AU"
MP4, MATROSKA, ASF, ADTS, AMR = "MP4", "Matroska or WebM", "Windows Media", "AAC", "AMR"
AVI, FLV, MPEG_TS, MPEG_PS, WAVPACK, APE, TTA, DSF, AC3, MPC = (
    "AVI",
    "Flash video",
    "MPEG transport stream",
    "MPEG program stream",
    "WavPack",
    "Monkey's Audio",
    "True Audio",
    "DSF",
    "AC-3",
    "Musepack",
)
FOREIGN = frozenset(
    (MP4, MATROSKA, ASF, ADTS, AMR, AVI, FLV, MPEG_TS, MPEG_PS, WAVPACK, APE, TTA, DSF, AC3, MPC)
)  # what libsndfile does not read

W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
APPLE_DOUBLE = b"\x00\x05\x16\x07"  # AppleDouble: what macOS keeps of a file on a card that cannot hold it
_PICTURES = {
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
    b"GIF8": "a GIF picture",
    b"II*\x00": "a TIFF picture",
    b"MM\x00*": "a TIFF picture",
    b"BM": "a BMP picture",
}
_OTHERS = {
    b"PK\x03\x04": "a ZIP archive",
    b"PK\x05\x06": "an empty ZIP archive",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"SQLite format 3\x00": "an SQLite database",
    b"version https://git-lfs": "a Git LFS pointer, not the recording itself",
    b"\x7fELF": "a program",
    b"MZ": "a Windows program",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an Office document",
    b"MThd": "MIDI, notes without sound",
    b"{\\rtf": "an RTF document",
}
_PICTURE_BRANDS = (b"heic", b"heix", b"mif1", b"avif", b"hevc", b"msf1")


def format_of(head: bytes) -> str | None:
    """Format of sound whose first bytes these are; None where they tell nothing."""
    four = head[:4]
    if four in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return WAVE
    if head[:16] == W64_RIFF:
        return WAVE
    if four == b"RIFF" and head[8:12] == b"AVI ":
        return AVI
    if four == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return AIFF
    known = {b"fLaC": FLAC, b"OggS": OGG, b"caff": CAF, b".snd": AU, b"dns.": AU, b"wvpk": WAVPACK, b"MAC ": APE}
    known |= {b"TTA1": TTA, b"DSD ": DSF, b"FLV\x01": FLV, b"MPCK": MPC, b"\x1a\x45\xdf\xa3": MATROSKA}
    known |= {b"\x30\x26\xb2\x75": ASF, b"\x00\x00\x01\xba": MPEG_PS}
    if four in known:
        return known[four]
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide") and head[8:12] not in _PICTURE_BRANDS:
        return MP4
    if head[:5] == b"#!AMR":
        return AMR
    if four[:3] == b"MP+":
        return MPC
    if four[:1] == b"\x47" and head[188:189] == b"\x47" and head[376:377] in (b"\x47", b""):
        return MPEG_TS
    if four[:2] == b"\x0b\x77":
        return AC3
    if len(head) > 6 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0 and head[2] & 0x3C < 0x34:
        return ADTS
    if len(head) > 3 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x18 != 0x08 and head[1] & 0x06:
        return None if head[2] & 0xF0 == 0xF0 or head[2] & 0x0C == 0x0C else MPEG
    return None


def container_of(head: bytes) -> str | None:
    """What certainly is no raw sound, by its first bytes; None where it may be."""
    if head[:3] == b"ID3" and len(head) > 10 and head[3] in (2, 3, 4) and not any(byte & 0x80 for byte in head[6:10]):
        return MPEG
    format = format_of(head)
    if format in (MPEG, ADTS):
        # Two bytes say little: these are two soft samples as well.
        format = MPEG if format == MPEG and next(runs(io.BytesIO(head), 0, 1), None) is not None else None
    return None if format in (MPEG_TS, AC3) else format


def is_recording(file: Readable, at: int) -> bool:
    """Whether a file of sound begins at a byte of another, by more than chance would put there."""
    head = read_at(file, at, HEAD)
    return not id3_length(head[:10]) and container_of(head) is not None


def words_on_pipe(head: bytes) -> str:
    """What certainly is neither raw sound nor a file of sound, for "is ..."; empty where that cannot be told."""
    weak = (b"BM", b"MZ", b"BZh", b"\xff\xd8\xff", b"\x1f\x8b")  # two or three bytes are soft samples as well
    return "" if head.startswith(weak) or not any(head) else description(io.BytesIO(head))


def skip_id3(file: Readable) -> int:
    """Where what follows the ID3v2 tags at the begin of a file begins; 0 where there are none."""
    at, size = 0, size_of(file)
    while (length := id3_length(read_at(file, at, 10))) and at + length <= size:
        at += length
    return at


def description(file: Readable) -> str:
    """What a file that is no sound is, for "is ..."; empty where that cannot be told."""
    head = read_at(file, 0, HEAD)
    for magics in (_PICTURES, _OTHERS):
        for magic, words in magics.items():
            if head.startswith(magic):
                return words
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS:
        return "a HEIF picture"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP picture"
    if not any(head):
        return "nothing but zeros, as a card has it that was never written" if _is_zero(file) else ""
    return _text(head)


def _text(head: bytes) -> str:
    text = head.replace(b"\0", b"")[2:] if head[:2] in (b"\xff\xfe", b"\xfe\xff") else head
    text = text.removeprefix(b"\xef\xbb\xbf").lstrip()
    begin = text[:512].lower()
    if begin.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in begin:
        return "an HTML page"
    if begin.startswith(b"<?xml") or (begin.startswith(b"<") and b">" in begin and _is_text(text)):
        return "an XML document"
    if begin[:1] in (b"{", b"[") and b'"' in begin and _is_text(text):
        return "a JSON document"
    return ""


def is_text(head: bytes) -> bool:
    """Whether a file begins with text of any kind."""
    return _is_text(head.replace(b"\0", b"")[2:] if head[:2] in (b"\xff\xfe", b"\xfe\xff") else head)


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(data) - 4:  # not merely cut inside a letter
            return False
        text = data[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter.isspace() for letter in text)


def _is_zero(file: Readable) -> bool:
    at = 0
    while data := read_at(file, at, 1 << 20):
        if any(data):
            return False
        at += len(data)
    return True
