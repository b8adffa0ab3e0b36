"""`python -m trainer evaluate --benchmark` and `make-benchmark`: score models on a benchmark, and make one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from edgeapp.terminal import tell
from trainer.errors import ConfigError, DataError
from trainer.messages import line_printer
from trainer.options import RUN, Media, Tables, Taxa

if TYPE_CHECKING:
    from trainer.benchmark.features import Features
    from trainer.benchmark.layout import Split

SPLIT, SCENARIOS = "Split", "Scenarios"  # groups of options in the help

CACHE = Path("runs/benchmark/features")
OUT = Path("runs/benchmark")


@dataclass(frozen=True)
class Request:
    """Which models to score on a benchmark, and how.

    Attributes
    ----------
    models : `[NAME=]KIND[:SOURCE]`, see `trainer.benchmark.encoders.open_encoder`
    features : `.npz` files, or folders of the published extraction script
    protocols : published, paper
    excerpt : windows or onset
    seed, candidates : of the paper's databases
    text : form of the names in the paper's protocol; None for the common name, if there is one
    cache : folder of the features of `models`
    out : folder for CSV, JSON and plots; None for none
    """

    benchmark: Path
    models: Sequence[str] = ()
    features: Sequence[Path] = ()
    protocols: tuple[str, ...] = ("published", "paper")
    excerpt: str = "windows"
    seed: int = 0
    candidates: int = 100
    text: str | None = None
    cache: Path = CACHE
    out: Path | None = OUT
    plots: bool = False
    device: str = "auto"
    threads: int = 0


def evaluate_benchmark(request: Request, console: Console, as_json: bool = False) -> bool:
    """Score models on a benchmark; results on standard output, notes on the console.

    Returns
    -------
    Whether every file could be used.

    Raises
    ------
    BiovitaError
        When a setting, the benchmark, a model or features cannot be used.
    """
    from trainer.benchmark import report as reporting
    from trainer.benchmark.features import missing, read_features, unknown_ids
    from trainer.benchmark.layout import read_benchmark
    from trainer.benchmark.plots import new_figure, plot
    from trainer.benchmark.protocols import Score, evaluate

    tell = line_printer(console)
    check(request)
    if request.plots:
        new_figure(1, 1)  # fails now rather than after hours if matplotlib is missing
    splits = read_benchmark(request.benchmark)
    rows: list[tuple[Features, str]] = []
    for path in request.features:
        read = read_features(path)
        rows.append((read, read.split or only_split(path, [split.name for split in splits])))
    failed = False
    for spec in request.models:
        made, faults = _encoded(request, spec, splits, tell)
        rows += [(features, features.split) for features in made]
        failed |= faults
    given = [(features.model, split) for features, split in rows]
    twice = [model for model, split in given if given.count((model, split)) > 1]
    if twice:
        raise ConfigError(f"two models are called '{twice[0]}'", "rename one: NAME=KIND:SOURCE")
    scores: list[Score] = []
    origins: dict[str, dict[str, dict[str, object]]] = {}
    absent: dict[str, dict[str, dict[str, list[int]]]] = {}
    for split in splits:
        for features, name in rows:
            if name != split.name:
                continue
            for line in unknown_ids(features, split):
                tell(line)
            origins.setdefault(features.model, {})[split.name] = dict(features.origin)
            lost = {part: ids.tolist() for part, ids in missing(features, split).items()}
            absent.setdefault(features.model, {})[split.name] = {part: ids for part, ids in lost.items() if ids}
            with console.status(f"{features.model}, {split.name}"):
                scores += evaluate(split, features, request.protocols, request.seed, request.candidates, request.text)
    if not scores:
        raise DataError(
            f"{request.benchmark}: no features are of a split that it has", "name the features of this benchmark"
        )
    report = reporting.Report(str(request.benchmark), scores, origins, absent, request.seed, request.candidates)
    if as_json:
        print(json.dumps(reporting.as_json(report), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        screen = Console()
        for table in reporting.tables(report):
            screen.print(table)
    for line in reporting.notes(report):
        tell(line)
    if request.out is not None:
        reporting.write_results(request.out / "results.csv", report)
        reporting.write_json(request.out / "results.json", report)
        plots = plot(report, request.out) if request.plots else []
        tell(f"results are in {request.out}{f', with {len(plots)} plots' if plots else ''}")
    return not failed


def check(request: Request) -> None:
    """Refuse invalid settings before anything is read."""
    from trainer.benchmark.encoders import EXCERPTS
    from trainer.benchmark.features import TEXT_FORMS
    from trainer.benchmark.protocols import PROTOCOLS

    if not request.models and not request.features:
        raise ConfigError("no models and no features given", "give --model or --features")
    for name in request.protocols:
        if name not in PROTOCOLS:
            raise ConfigError(f"protocol '{name}' does not exist", f"choose {', '.join(PROTOCOLS)}")
    if request.excerpt not in EXCERPTS:
        raise ConfigError(f"--excerpt {request.excerpt} does not exist", f"choose {' or '.join(EXCERPTS)}")
    if request.text is not None and request.text not in TEXT_FORMS:
        raise ConfigError(f"--text {request.text} does not exist", f"choose {', '.join(TEXT_FORMS)}")
    if request.candidates < 2:
        raise ConfigError(f"--candidates {request.candidates} is less than 2", "the paper has 100")
    if request.plots and request.out is None:
        raise ConfigError("--plots needs a folder", "give --out")


def only_split(path: Path, names: Sequence[str]) -> str:
    """The split of features that name none.

    Raises
    ------
    ConfigError
        When the benchmark has two splits.
    """
    if len(names) > 1:
        raise ConfigError(
            f"{path}: names no split, and there are {' and '.join(names)}",
            "name the folder of one split as the benchmark, or the split in 'about'",
        )
    return names[0]


def _encoded(
    request: Request, spec: str, splits: Sequence[Split], tell: Callable[[str], None]
) -> tuple[list[Features], bool]:
    """Features of a model on each split, and whether a file could not be used."""
    from trainer.benchmark.extract import extract
    from trainer.probes.command_line import opened

    encoder = opened(spec, request.device, request.excerpt, request.threads)
    made, failed = [], False
    for split in splits:
        found = extract(encoder, split, request.cache, tell)
        for line in (*found.notes, *found.undecodable):
            tell(line)
        failed |= bool(found.undecodable)
        made.append(found.features)
    return made, failed


def make_benchmark(
    manifest: Tables,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the benchmark.", rich_help_panel=RUN)],
    taxa: Taxa = None,
    media: Media = None,
    held_out: Annotated[
        float,
        typer.Option(metavar="FRACTION", help="Share of the sources held out, as in training.", rich_help_panel=SPLIT),
    ] = 0.2,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="NUMBER",
            help="Seed of the split, as in training, and of all random draws.",
            rich_help_panel=SPLIT,
        ),
    ] = 1,
    unseen: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            help="Number of species to withhold: those with the fewest recordings.",
            rich_help_panel=SPLIT,
        ),
    ] = 0,
    candidates: Annotated[
        int,
        typer.Option(metavar="NUMBER", help="Number of candidate taxa per query.", rich_help_panel=SCENARIOS),
    ] = 100,
    most: Annotated[
        int,
        typer.Option(metavar="NUMBER", help="Maximum number of samples per candidate.", rich_help_panel=SCENARIOS),
    ] = 20,
    queries: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            help="Maximum number of queries per scenario; all if not given.",
            rich_help_panel=SCENARIOS,
        ),
    ] = None,
) -> None:
    """Make a benchmark of 36 scenarios in BioVITA's published layout: 6 directions, 3 levels, seen and unseen."""
    from gallery import read_taxa
    from trainer.benchmark.layout import code
    from trainer.benchmark.make import SUMMARY, TRAINING, Plan
    from trainer.benchmark.make import make_benchmark as make
    from trainer.data.manifest import read_manifest

    read = read_manifest(manifest, read_taxa(taxa) if taxa else None, media)
    for line in (*read.missing, *read.notes):
        tell(line)
    scenarios = make(read, out, Plan(held_out, seed, unseen, candidates, most, queries))
    shown = Table(title=f"{out}: queries per scenario", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("split", "level", "", "queries", "not asked", "why it is empty"):
        shown.add_column(name, justify="right" if name in ("queries", "not asked") else "left")
    for one in scenarios:
        counts = f"{one.queries:,}", f"{one.not_asked:,}"
        shown.add_row(one.split, one.level, code(one.query, one.target), *counts, one.why)
    Console().print(shown)
    filled = sum(not one.why for one in scenarios)
    summary = f"{filled} of {len(scenarios)} scenarios are filled"
    short = [one.taxa for one in scenarios if one.taxa > 1]
    if short:
        summary += f", and --candidates {min(short)} would fill {len(short)} more"
    summary += f"; {SUMMARY} describes how to train for them"
    if unseen:
        summary += f", on {TRAINING}"
    elif not any(not one.why for one in scenarios if one.split == "unseen"):
        summary += "; no species is withheld: give --unseen to withhold some"
    tell(summary)
