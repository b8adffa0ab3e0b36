"""What a fetched file is, by its bytes: the sound or the photo that was wanted, or something else, which is named."""

from __future__ import annotations

import io
from pathlib import Path

from edgeapp.audio.formats import sniff
from edgeapp.audio.formats.mpeg_frames import runs
from edgeapp.collect.client import FetchError

HEAD = 1 << 16  # bytes that tell
WANTED = {"audio": "sound", "image": "a photo"}
_SOUNDS = {
    sniff.WAVE: ".wav",
    sniff.FLAC: ".flac",
    sniff.OGG: ".ogg",
    sniff.MPEG: ".mp3",
    sniff.AIFF: ".aiff",
    sniff.CAF: ".caf",
    sniff.AU: ".au",
    sniff.MP4: ".m4a",
    sniff.MATROSKA: ".webm",
    sniff.ASF: ".wma",
    sniff.ADTS: ".aac",
    sniff.AMR: ".amr",
    sniff.AVI: ".avi",
    sniff.FLV: ".flv",
    sniff.MPEG_PS: ".mpg",
    sniff.WAVPACK: ".wv",
    sniff.APE: ".ape",
    sniff.TTA: ".tta",
    sniff.DSF: ".dsf",
    sniff.MPC: ".mpc",
}
_PHOTOS = {
    "a JPEG picture": ".jpg",
    "a PNG picture": ".png",
    "a GIF picture": ".gif",
    "a TIFF picture": ".tif",
    "a BMP picture": ".bmp",
    "a WebP picture": ".webp",
}  # what Pillow reads everywhere


def extension(head: bytes, modality: str, whole: bool) -> str:
    """The extension of a file of the wanted modality.

    Parameters
    ----------
    head : bytes
        The first `HEAD` bytes, or fewer while it is still fetched.
    modality : str
        ``"audio"`` or ``"image"``.
    whole : bool
        No more of the head will come.

    Returns
    -------
    str
        ``".mp3"``; ``""`` where more bytes are needed to tell.

    Raises
    ------
    FetchError
        It is something else, for good.
    """
    if not head and whole:
        raise FetchError("is empty", lasting=True)
    file = io.BytesIO(head)
    words = sniff.description(file) if any(head) or whole else ""
    if modality == "image":
        found = _PHOTOS.get(words, "")
    else:
        found = "" if words in _PHOTOS else _SOUNDS.get(_sound(head, file) or "", "")
    if found:
        return found
    if words or whole:
        raise FetchError(f"is {words or 'of no format that is known'}, not {WANTED[modality]}", lasting=True)
    return ""


def extension_of(path: Path, modality: str) -> str:
    """`extension` of a file.

    Raises
    ------
    FetchError
    OSError
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    return extension(head, modality, whole=True)


def _sound(head: bytes, file: io.BytesIO) -> str | None:
    found = sniff.container_of(head)
    if found is None and next(runs(file, 0), None) is not None:
        return sniff.MPEG  # behind something that players pass over
    return found
