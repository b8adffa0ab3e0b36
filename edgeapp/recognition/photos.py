"""Photos: opening them, reading whose they are, and the thumbnails that galleries keep of them."""

from __future__ import annotations

import html
import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edgeapp.runtime.inputs import upright
from gallery.entry import Thumbnail

if TYPE_CHECKING:
    from PIL.Image import Image

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
OTHER_PHOTO_SUFFIXES = (  # that people have and Pillow does not read
    *(".heic", ".heif", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"),
)
SMALL_PIXELS = 160  # longer side: beside a name in a list, about 5 kB
LARGE_PIXELS = 480  # longer side: enough to compare plumage on a phone, about 30 kB
QUALITY = 80

# HTML in the credits that Wikimedia gives, in a line and between lines; "<a@b.org>" is none.
_INLINE = re.compile(r"(?i)</?(?:a|abbr|b|bdi|big|em|font|i|small|span|strong|sub|sup|u)(?:\s[^>]*)?>")
_BREAK = re.compile(r"(?i)</?(?:br|div|li|p|ul)(?:\s[^>]*)?/?>")

EXIF_ARTIST, EXIF_COPYRIGHT = 0x013B, 0x8298


class UnusablePhoto(Exception):
    """A file that is not a photo, or a damaged or gigantic one; says what to do about it."""


def opened(path: Path | BinaryIO) -> Image:
    """A photo, decoded whole, so that a broken one is found here.

    Raises
    ------
    UnusablePhoto
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = _begun(path)
        image.load()
    except UnidentifiedImageError:
        raise UnusablePhoto("is not a readable photo; save it as JPEG or PNG") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise UnusablePhoto(f"the photo has more than {limit} megapixels; make it smaller") from None
    except (OSError, ValueError, SyntaxError) as error:  # SyntaxError: damaged PNG
        raise UnusablePhoto(f"the photo is damaged ({error}); get it again") from None
    return image


def credits_of(photo: Path) -> tuple[str, str]:
    """Author and licence from the EXIF fields of a photo, empty where it has none or cannot be read."""
    from PIL import Image

    try:
        with _begun(photo) as image:
            exif = image.getexif()
            return str(exif.get(EXIF_ARTIST, "")).strip(), str(exif.get(EXIF_COPYRIGHT, "")).strip()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "", ""  # the photo is rejected, with the reason, when it is opened for encoding


def plain_credit(text: str) -> str:
    """A credit without HTML, as archives give it: ``<a href="…">A. Author</a> &amp; B`` is "A. Author & B"."""
    return " ".join(html.unescape(_BREAK.sub(" ", _INLINE.sub("", text))).split())


def _begun(path: Path | BinaryIO) -> Image:
    """A photo whose header is read."""
    from PIL import Image

    with warnings.catch_warnings():
        # Of photos of 90 megapixels, which cameras make; twice as many are an error.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path)


def thumbnail(image: Image) -> Thumbnail:
    """A photo upright in two sizes, without its EXIF fields, which may say where it was taken."""
    large = upright(image)
    large.thumbnail((LARGE_PIXELS, LARGE_PIXELS))
    small = large.copy()
    small.thumbnail((SMALL_PIXELS, SMALL_PIXELS))
    return Thumbnail(_jpeg(small), _jpeg(large), large.width, large.height)


def _jpeg(image: Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()
