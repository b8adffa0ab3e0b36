"""Plots of benchmark results by direction and by taxonomic class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gallery.files import replacing
from trainer.benchmark.extract import slug
from trainer.benchmark.layout import LEVELS
from trainer.benchmark.protocols import SCORED, TOPS, Score
from trainer.benchmark.report import CODES, Report
from trainer.errors import ConfigError

BAR = 0.8  # share of the width of a group of bars
MOST_CLASSES = 8  # the classes with the most queries
INCH_PER_GROUP, HIGH = 1.5, 3.2
DPI = 120


def plot(report: Report, folder: Path) -> list[Path]:
    """Write two PNG files for each protocol, split and level with scores: by direction, and by class.

    Raises
    ------
    ConfigError
        When matplotlib is missing.
    """
    written = []
    for protocol, split in dict.fromkeys((score.protocol, score.split) for score in report.scores):
        found = report.of(protocol, split)
        for level in LEVELS:
            models = {model: of for (at, model), of in found.items() if at == level}
            scored = {m: {c: s for c, s in of.items() if s.state == SCORED} for m, of in models.items()}
            scored = {model: of for model, of in scored.items() if of}
            if not scored:
                continue
            title = f"{split} {level}, {protocol} protocol"
            name = slug(f"{split}_{level}_{protocol}")
            written.append(save(by_direction(scored, title), folder / f"{name}_directions.png"))
            if any(score.classes for of in scored.values() for score in of.values()):
                written.append(save(by_class(scored, title), folder / f"{name}_classes.png"))
    return written


def by_direction(models: Mapping[str, Mapping[str, Score]], title: str) -> Any:
    """Three panels (Top-1, 5 and 10) with a group of bars for each direction and a bar for each model."""
    figure = new_figure(INCH_PER_GROUP * len(CODES), HIGH * len(TOPS))
    panels = figure.subplots(len(TOPS), 1, sharex=True)
    for panel, top in zip(panels, TOPS):
        for number, (model, of) in enumerate(models.items()):
            shares = [of[each].tally.share(top) if each in of else None for each in CODES]
            bars(panel, number, len(models), model, shares)
        format_axes(panel, CODES, f"Top-{top}, %")
    return with_legend(figure, panels[0], title)


def by_class(models: Mapping[str, Mapping[str, Score]], title: str) -> Any:
    """Six panels (directions) of Top-1 with a group of bars for each class and a bar for each model."""
    queries: dict[str, int] = {}
    for of in models.values():
        for score in of.values():
            for name, tally in score.classes.items():
                queries[name] = queries.get(name, 0) + tally.queries
    classes = sorted(queries, key=lambda name: (-queries[name], name))[:MOST_CLASSES]
    figure = new_figure(INCH_PER_GROUP * max(3, len(classes)) * 1.6, HIGH * 3)
    panels = figure.subplots(3, 2, sharex=True, sharey=True)
    for panel, each in zip(panels.flat, CODES):
        for number, (model, of) in enumerate(models.items()):
            found = of[each].classes if each in of else {}
            bars(panel, number, len(models), model, [found[c].share(1) if c in found else None for c in classes])
        format_axes(panel, classes, f"{each}, Top-1, %")
    return with_legend(figure, panels.flat[0], f"{title}, by class")


def new_figure(width: float, height: float) -> Any:
    """An empty figure that needs no display."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("the matplotlib library is missing", "pip install 'biovita-edge[train]'") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def bars(panel: Any, number: int, models: int, model: str, shares: Sequence[float | None]) -> None:
    """Draw the bars of one model, labelled in %; a dash for a missing value."""
    width = BAR / models
    places = [group + (number - (models - 1) / 2) * width for group in range(len(shares))]
    heights = [0.0 if share is None else 100 * share for share in shares]
    drawn = panel.bar(places, heights, width, label=model, color=f"C{number % 10}")
    panel.bar_label(drawn, labels=["–" if share is None else f"{100 * share:.0f}" for share in shares], fontsize=7)


def format_axes(panel: Any, groups: Sequence[str], label: str) -> None:
    panel.set_xticks(range(len(groups)), groups)
    panel.set_xlim(-0.5, len(groups) - 0.5)
    panel.set_ylim(0, 105)
    panel.set_ylabel(label)
    panel.spines[["top", "right"]].set_visible(False)


def with_legend(figure: Any, panel: Any, title: str) -> Any:
    """The figure with a title and a legend of the models."""
    figure.suptitle(title)
    handles, names = panel.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
    return figure


def save(figure: Any, path: Path) -> Path:
    """Write a PNG atomically."""
    with replacing(path, parents=True) as beside:
        figure.savefig(beside, dpi=DPI, format="png")
    return path
