"""Clips, their spectrograms, and thumbnails. A request names a row, never a file."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from edgeapp.audio.spectra.spectrogram import WEBP
from edgeapp.clips.picture import Drawn, drawn
from edgeapp.errors import AudioError
from edgeapp.journal import browsing
from edgeapp.web import asking
from edgeapp.web.asking import Wrong
from edgeapp.web.pictures import thumbnail_of
from edgeapp.web.site import Site

TYPES = {"flac": "audio/flac", "wav": "audio/wav", "ogg": "audio/ogg"}
KEPT = 64  # pictures in memory


def clip(request: Request) -> Response:
    """The sound of a clip."""
    path, format = _clip(request)
    name = path.name.encode("ascii", "replace").decode("ascii").replace('"', "?")
    headers = {**_kept(path, path.stat().st_mtime_ns), "Content-Disposition": f'inline; filename="{name}"'}
    if _has(request, headers):
        return Response(None, 304, headers)
    return FileResponse(path, media_type=TYPES.get(format, "application/octet-stream"), headers=headers)


def clip_spectrogram(request: Request) -> Response:
    """The spectrogram of a clip; the seconds and kHz of its axes are in `x-seconds` and `x-khz`."""
    path, _ = _clip(request)
    mtime_ns = path.stat().st_mtime_ns
    headers = _kept(path, mtime_ns)
    if _has(request, headers):
        return Response(None, 304, headers)
    made = _drawn(path, mtime_ns)
    headers |= {"x-seconds": f"{made.seconds:.3f}", "x-khz": f"{made.khz:.3f}"}
    return Response(made.content, media_type="image/webp", headers=headers)


def thumbnail(request: Request) -> Response:
    """A picture of the gallery."""
    site: Site = request.app.state.site
    size = request.path_params["size"]
    if size not in ("small", "large"):
        raise Wrong(f"there is no size {size[:20]!r}", "use small or large", 404)
    content = thumbnail_of(site, asking.number_in_path(request, "entry"), size)
    if content is None:
        raise Wrong("the gallery keeps no such picture", status=404)
    headers = _kept(content)
    if _has(request, headers):
        return Response(None, 304, headers)
    kind = "image/webp" if content[8:12] == b"WEBP" else "image/jpeg"
    return Response(content, media_type=kind, headers=headers)


def _kept(*content: object) -> dict[str, str]:
    """Headers of what a browser keeps, and asks for each time whether it is still that.

    The same number may be another clip tomorrow: of another journal, or of another gallery, at the same address.
    """
    tag = hashlib.sha256(repr(content).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return {"Cache-Control": "private, no-cache", "ETag": f'"{tag}"'}


def _has(request: Request, headers: dict[str, str]) -> bool:
    return headers["ETag"] in request.headers.get("if-none-match", "")


def _clip(request: Request) -> tuple[Path, str]:
    site: Site = request.app.state.site
    with site.reading() as reader:
        row = browsing.clip(reader, asking.number_in_path(request, "clip"))
    if row is None:
        raise Wrong("there is no such clip, or it was deleted", status=404)
    path = Path(row["path"])
    if not path.is_file():
        raise Wrong(f"the file of clip {row['id']} is missing", "see `biovita-edge journal check`", 404)
    return path, row["format"]


@lru_cache(maxsize=KEPT)
def _drawn(path: Path, mtime_ns: int) -> Drawn:
    """The spectrogram of a clip, as the file is now."""
    try:
        return drawn(path, WEBP)
    except AudioError as error:
        raise Wrong(error.what, error.remedy, 404) from error


ROUTES = (
    Route("/media/clips/{clip}", clip),
    Route("/media/clips/{clip}/spectrogram.webp", clip_spectrogram),
    Route("/media/pictures/{entry}/{size}", thumbnail),
)
