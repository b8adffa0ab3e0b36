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
    from PIL import Image, ImageOps

    if isinstance(image, (str, os.PathLike)):
        with Image.open(image) as opened:
            return image_pixels(opened, size)
    upright = ImageOps.exif_transpose(image).convert("RGB")
    short = min(upright.size)
    wide, high = (size * side // short for side in upright.size)  # sides and crop rounded as open_clip rounds them
    resized = upright.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (round((side - size) / 2) for side in resized.size)
    cropped = resized.crop((left, top, left + size, top + size))
    return np.asarray(cropped, np.float32).transpose(2, 0, 1)
