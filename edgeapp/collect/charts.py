"""Pictures of distributions: bars and curves as PNG, drawn with Pillow, which every device has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gallery import files

WIDTH, MARGIN = 900, 20
BAR, GAP, LABEL, VALUE = 22, 8, 230, 90  # pixels
HEIGHT = 420  # of a curve
TEXT_PIXELS, TITLE_PIXELS = 15, 19
PAPER, INK, GRID = "#ffffff", "#222222", "#dddddd"
COLOURS = ("#2a6f97", "#e07a1f", "#4c9f70", "#9b5de5")
LONGEST = 30  # letters of a label


def bars(path: Path, title: str, values: Sequence[tuple[str, float]], logarithmic: bool = False) -> None:
    """Write horizontal bars, one for each name; the values stand beside them.

    Parameters
    ----------
    path : Path
    title : str
    values : sequence of (str, float)
        Not negative.
    logarithmic : bool
        Lengths by the logarithm, for values of several magnitudes.
    """
    from PIL import Image, ImageDraw

    height = 2 * MARGIN + 2 * TITLE_PIXELS + max(1, len(values)) * (BAR + GAP)
    image = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((MARGIN, MARGIN), title, INK, _font(TITLE_PIXELS))
    most = max((_scaled(value, logarithmic) for _, value in values), default=0.0) or 1.0
    room = WIDTH - 2 * MARGIN - LABEL - VALUE
    for row, (name, value) in enumerate(values):
        top = MARGIN + 2 * TITLE_PIXELS + row * (BAR + GAP)
        label = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
        draw.text((MARGIN, top + 2), label or "not given", INK, _font(TEXT_PIXELS))
        length = round(room * _scaled(value, logarithmic) / most)
        left = MARGIN + LABEL
        draw.rectangle((left, top, left + max(1, length), top + BAR), COLOURS[0])
        draw.text((left + max(1, length) + 6, top + 2), f"{value:,.0f}", INK, _font(TEXT_PIXELS))
    _save(image, path)


def curves(path: Path, title: str, across: str, up: str, lines: Sequence[tuple[str, np.ndarray]]) -> None:
    """Write curves over the rank of their values, the largest first, on two logarithmic axes.

    Parameters
    ----------
    path : Path
    title, across, up : str
        Above, and along the axes.
    lines : sequence of (str, np.ndarray)
        Names and values ``[n]``, positive.
    """
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((MARGIN, MARGIN), title, INK, _font(TITLE_PIXELS))
    left, top, right, bottom = MARGIN + 60, MARGIN + 2 * TITLE_PIXELS, WIDTH - MARGIN, HEIGHT - MARGIN - 40
    most = max((float(values.max()) for _, values in lines if len(values)), default=1.0)
    longest = max((len(values) for _, values in lines), default=1)
    wide, high = max(math.log10(max(longest, 2)), 1e-9), max(math.log10(max(most, 2.0)), 1e-9)

    def at(rank: float, value: float) -> tuple[float, float]:
        return left + (right - left) * math.log10(rank) / wide, bottom - (bottom - top) * math.log10(value) / high

    for power in range(int(high) + 1):
        y = at(1, 10**power)[1]
        draw.line((left, y, right, y), GRID)
        draw.text((MARGIN, y - 8), f"{10**power:,}", INK, _font(TEXT_PIXELS - 3))
    for power in range(int(wide) + 1):
        x = at(10**power, 1)[0]
        draw.line((x, top, x, bottom), GRID)
        draw.text((x - 8, bottom + 4), f"{10**power:,}", INK, _font(TEXT_PIXELS - 3))
    draw.text((left, bottom + 22), f"{across}; {up}", INK, _font(TEXT_PIXELS))
    for number, (name, values) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        ordered = np.sort(values[values >= 1])[::-1]
        ranks = np.unique(np.geomspace(1, max(len(ordered), 1), 400).astype(int))
        points = [at(rank, float(ordered[rank - 1])) for rank in ranks.tolist() if rank <= len(ordered)]
        if len(points) == 1:
            points.append((points[0][0] + 1, points[0][1]))
        if points:
            draw.line(points, colour, 3)
        draw.text((right - 200, top + 4 + number * 22), name, colour, _font(TEXT_PIXELS))
    _save(image, path)


def _scaled(value: float, logarithmic: bool) -> float:
    return math.log10(1 + value) if logarithmic else value


@cache  # to read it takes longer than to draw with it
def _font(pixels: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(pixels)


def _save(image: Any, path: Path) -> None:
    with files.replacing(path, parents=True) as part:
        image.save(part, "PNG", compress_level=1)  # a sixth larger than with 9, in a third of the time
