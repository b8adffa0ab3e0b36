"""A report as HTML: one page with its style, its script, its pictures and its sound, that asks no host for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime, timezone, tzinfo
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import TYPE_CHECKING, TextIO

from edgeapp.audio.spectra.colour_maps import colour_map
from edgeapp.audio.spectra.spectrogram import Axis
from edgeapp.file_names import printable
from edgeapp.outputs.words import clock
from edgeapp.web.report.model import Figure, Heard, Report
from edgeapp.web.report.outcomes import level_words

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = "templates"
PAGE = "report.html.j2"
MAP_POINTS = 33  # of the colour maps in the page; straight in between
ITEMS_AT_ONCE = 64  # of the page, written together
SECONDS = "s"
SECONDS_BELOW_S = 60.0  # times are plain seconds up to here
NEAR_END = 0.04  # of an axis, where a label would stand out over its end

Tick = tuple[float, str, str]


def write(report: Report, out: TextIO, zone: tzinfo | None = timezone.utc) -> None:
    """Write the page.

    Parameters
    ----------
    report : Report
        Its attachments must still be there.
    out : text file
    zone : tzinfo or None
        Of the times that are shown; the machine's own clock for None.
    """

    def when(time: datetime | None) -> str:
        return "" if time is None else f"{time.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"

    def moment(heard: Heard) -> str:
        """When it was; in which recording and where in it if that is not known."""
        if heard.time is not None:
            return f"{when(heard.time)}{' ?' if heard.doubtful else ''}"
        at = clock(round(heard.start_s, 1))
        return at if len(report.recordings) == 1 else f"{printable(PurePath(heard.file).name)} {at}"

    script, style = _text("report.js"), _text("report.css")
    hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    stream = (
        _environment()
        .get_template(PAGE)
        .stream(
            report=report,
            script=script,
            style=style,
            script_hash=hash,
            maps={"light-map": _map(dark=False), "dark-map": _map(dark=True)},
            when=when,
            moment=moment,
        )
    )
    stream.enable_buffering(ITEMS_AT_ONCE)
    for piece in stream:
        out.write(piece)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader(__package__, TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    filters: dict[str, Callable[..., object]] = {
        "name": printable,
        "clock": lambda seconds: clock(round(seconds, 1)),
        "percent": lambda share: f"{share:.0%}".replace("%", " %"),
        "level": level_words,
        "seconds": seconds_labels,
        "time_unit": time_unit,
        "khz": khz_labels,
    }
    made.filters.update(filters)
    return made


def _text(name: str) -> str:
    return (resources.files(__package__) / TEMPLATES / name).read_text(encoding="utf-8").strip()


def _map(dark: bool) -> list[str]:
    """A colour map as the tables of an SVG filter, which turns grey pictures into it: red, green, blue."""
    points = colour_map(dark)[:: 256 // (MAP_POINTS - 1)].tolist() + [colour_map(dark)[-1].tolist()]
    return [" ".join(f"{point[channel] / 255:.3f}" for point in points) for channel in range(3)]


def seconds_labels(figure: Figure, most: int = 6) -> list[Tick]:
    """Ticks of the time axis."""
    plain = time_unit(figure) == SECONDS
    return _ticks(figure.seconds, most, lambda tick: f"{tick:g}" if plain else clock(round(tick, 1)))


def khz_labels(figure: Figure, most: int = 5) -> list[Tick]:
    """Ticks of the frequency axis."""
    return _ticks(figure.khz, most, lambda tick: f"{tick:g}")


def _ticks(axis: Axis, most: int, label: Callable[[float], str]) -> list[Tick]:
    """Where on the axis in percent, what is written there, and near which end it is: "low", "high" or neither."""
    shares = [(axis.share(tick), label(tick)) for tick in axis.ticks(most)]
    return [
        (round(100 * share, 2), text, "low" if share < NEAR_END else "high" if share > 1 - NEAR_END else "")
        for share, text in shares
    ]


def time_unit(figure: Figure) -> str:
    """What the numbers of the time axis are."""
    if figure.end_s <= SECONDS_BELOW_S:
        return SECONDS
    return "min:s" if figure.end_s < 3600 else "h:min:s"
