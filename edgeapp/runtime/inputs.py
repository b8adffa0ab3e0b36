"""Inputs of the text and image encoders: tokens and pixels."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from edgeapp.errors import PackError
from edgeapp.pack.format import Pack

if TYPE_CHECKING:
    from PIL import Image
    from tokenizers import Tokenizer

PAD_ID = 0
LONGEST = 16  # times the shorter side of a photo, of which the middle is seen


def open_tokenizer(pack: Pack) -> Tokenizer:
    """The tokenizer of a pack's text encoder: cut and filled to its context.

    Raises
    ------
    PackError
        The pack has no text encoder, or its tokenizer cannot be read.
    """
    if pack.text is None:
        raise PackError(f"pack {pack.folder} has no text encoder", "use a pack with one to add names to a gallery")
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_buffer(pack.path(pack.text.tokenizer).read_bytes())
    except Exception as error:  # the library raises bare Exception for a file it cannot read
        raise PackError(f"{pack.path(pack.text.tokenizer)}: {error}", "reinstall the pack") from None
    tokenizer.enable_truncation(pack.text.context)
    tokenizer.enable_padding(length=pack.text.context, pad_id=PAD_ID)
    return tokenizer


def image_pixels(image: Image.Image | str | os.PathLike[str], size: int) -> np.ndarray:
    """What the image encoder sees: upright RGB, shorter side resized to ``size`` (bicubic), centre crop.

    Returns
    -------
    np.ndarray
        ``[3, size, size]`` float32, 0..255; the graph normalises.
    """
    from PIL import Image

    if isinstance(image, (str, os.PathLike)):
        with Image.open(image) as opened:
            return image_pixels(opened, size)
    photo = _middle(upright(image))
    short = min(photo.size)
    wide, high = (size * side // short for side in photo.size)  # sides and crop rounded as open_clip rounds them
    resized = photo.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (round((side - size) / 2) for side in resized.size)
    cropped = resized.crop((left, top, left + size, top + size))
    return np.asarray(cropped, np.float32).transpose(2, 0, 1)


def _middle(photo: Image.Image) -> Image.Image:
    """What is not cropped in any case: a line of pixels, scaled whole, would take gigabytes."""
    short = min(photo.size)
    left, top = (max(0, (side - LONGEST * short) // 2) for side in photo.size)
    return photo.crop((left, top, photo.width - left, photo.height - top)) if left or top else photo


def upright(image: Image.Image) -> Image.Image:
    """A photo turned as its EXIF fields say, in RGB of 8 bits; of grey with 16 bits, the upper 8."""
    from PIL import Image, ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I"):  # which Pillow would cut off at 255: a white photo
        turned = Image.fromarray((np.asarray(turned) >> 8).clip(0, 255).astype(np.uint8))
    return turned.convert("RGB")
