"""Heat maps as PNG: rows of colours with their labels and a scale. Nothing but NumPy and Pillow."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgeapp.audio.spectra.colour_maps import SHADES, colour_map
from edgeapp.errors import OutputError
from edgeapp.file_names import printable
from gallery import files

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

CELL = 22  # pixels, as those below
WIDEST_CELL = 44
GAP = 10
TEXT = 13  # height of letters
TITLE = 16
LONGEST = 44  # letters of a label
SCALE_WIDTH = 220
INK, FAINT, PAPER = (32, 32, 36), (110, 110, 118), (255, 255, 255)
NOTHING = (226, 226, 226)  # where nothing was listened
GAMMA = 0.6  # so that what is rare can still be told from nothing
MAGIC = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, eq=False)
class HeatMap:
    """What is shown.

    Attributes
    ----------
    title, unit : str
        The second of the values.
    rows, columns : tuple of str
    values : numpy.ndarray
        [rows, columns], not negative; NaN where there is none.
    """

    title: str
    unit: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray


def png(shown: HeatMap) -> bytes:
    """A heat map as a PNG."""
    from PIL import Image, ImageDraw

    font, title_font = _font(TEXT), _font(TITLE)
    rows, columns = ([_label(text) for text in labels] for labels in (shown.rows, shown.columns))
    widths = sorted(_width(font, text) for text in columns)
    cell = min(max(CELL, widths[len(widths) // 2] + 4), WIDEST_CELL) if widths else CELL
    upright = [width for width in widths if width + 4 > cell]  # too long to lie side by side
    left = 2 * GAP + max((_width(font, text) for text in rows), default=0)
    head = max([TEXT, *upright]) + GAP
    top = 2 * GAP + TITLE + head
    right = max(left + cell * len(columns), left + SCALE_WIDTH + GAP, 2 * GAP + _width(title_font, shown.title))
    bottom = top + CELL * len(rows) + 2 * GAP
    made = Image.new("RGB", (right + GAP, bottom + CELL + TEXT + 2 * GAP), PAPER)
    draw = ImageDraw.Draw(made)
    draw.text((GAP, GAP), shown.title, INK, title_font)
    for number, text in enumerate(rows):
        draw.text((left - GAP - _width(font, text), top + number * CELL + (CELL - TEXT) // 2 - 1), text, INK, font)
    for number, text in enumerate(columns):
        at = left + number * cell
        if _width(font, text) + 4 > cell:
            made.paste(_upright(text, font), (at + (cell - TEXT - 4) // 2, top - GAP // 2 - _width(font, text)))
        else:
            draw.text((at + (cell - _width(font, text)) // 2, top - TEXT - GAP // 2), text, FAINT, font)
    highest = float(np.nanmax(shown.values, initial=0.0)) if shown.values.size else 0.0
    made.paste(_cells(shown.values, highest, cell), (left, top))
    _scale(made, left, bottom, highest, shown.unit, font)
    out = io.BytesIO()
    made.save(out, "PNG", optimize=True)
    return out.getvalue()


def write(path: Path, shown: HeatMap, option: str = "--png") -> None:
    """Write a heat map as a PNG, atomically; into a device or pipe as it is.

    Raises
    ------
    OutputError
        It cannot be written, or the file that is there is no PNG.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(png(shown))
            return
        target = Path(os.path.realpath(path))
        if target.is_file() and target.read_bytes()[: len(MAGIC)] not in (b"", MAGIC):
            raise OutputError(f"{path}: is no PNG picture, and is not replaced", f"choose another {option}")
        with files.replacing(target) as temporary:
            temporary.write_bytes(png(shown))
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error})", "check the folder and the free space"
        ) from None


def shades(values: np.ndarray, highest: float) -> np.ndarray:
    """Numbers of the colour map for values, uint8."""
    share = np.clip(np.nan_to_num(values) / highest, 0, 1) if highest > 0 else np.zeros(values.shape)
    found: np.ndarray = np.rint(share**GAMMA * (SHADES - 1)).astype(np.uint8)
    return found


def _cells(values: np.ndarray, highest: float, cell: int) -> Image:
    """The coloured part, with lines of the paper between the cells."""
    from PIL import Image

    colours = colour_map(dark=False)[shades(values, highest)]
    colours = np.where(np.isnan(values)[..., None], np.array(NOTHING, np.uint8), colours)
    large = colours.repeat(CELL, axis=0).repeat(cell, axis=1)
    large[CELL - 1 :: CELL] = PAPER
    large[:, cell - 1 :: cell] = PAPER
    return Image.fromarray(np.ascontiguousarray(large.astype(np.uint8)))


def _scale(made: Image, left: int, top: int, highest: float, unit: str, font: FreeTypeFont | ImageFont) -> None:
    """Bar of the colours with its ends, and what grey means."""
    from PIL import Image, ImageDraw

    draw = ImageDraw.Draw(made)
    bar = colour_map(dark=False)[shades(np.linspace(0, 1, SCALE_WIDTH), 1.0)][None].repeat(CELL // 2, axis=0)
    made.paste(Image.fromarray(np.ascontiguousarray(bar)), (left, top))
    draw.text((left, top + CELL // 2 + 2), "0", FAINT, font)
    end = f"{highest:.3g} {unit}"
    draw.text((left + SCALE_WIDTH - _width(font, end), top + CELL // 2 + 2), end, FAINT, font)
    draw.rectangle((GAP, top, GAP + CELL // 2, top + CELL // 2 - 1), NOTHING)
    draw.text((GAP + CELL // 2 + 4, top - 2), "no effort", FAINT, font)


def _upright(text: str, font: FreeTypeFont | ImageFont) -> Image:
    from PIL import Image, ImageDraw

    lying = Image.new("RGB", (max(1, _width(font, text)), TEXT + 4), PAPER)
    ImageDraw.Draw(lying).text((0, 0), text, FAINT, font)
    return lying.rotate(90, expand=True)


def _label(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= LONGEST else f"…{shown[1 - LONGEST :]}"


def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _width(font: FreeTypeFont | ImageFont, text: str) -> int:
    return round(font.getlength(text))
