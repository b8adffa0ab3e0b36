"""The commands of the benchmark: score models on it, and make one."""

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

from trainer.errors import ConfigError, DataError

if TYPE_CHECKING:
    from trainer.benchmark.features import Features
    from trainer.benchmark.layout import Split

CACHE = Path("runs/benchmark/features")
OUT = Path("runs/benchmark")


@dataclass(frozen=True)
class Asked:
    """What a person asks of a benchmark.

    Attributes
    ----------
    models : `[NAME=]KIND[:SOURCE]`, see `trainer.benchmark.encoders.open_encoder`
    features : `.npz` files, or folders of the published extraction script, made elsewhere
    protocols : published, paper
    hearing : windows or onset
    seed, candidates : of the paper's databases
    text : form of text in the paper's protocol, None for the common name if there is one
    cache : folder of features made by models
    out : folder for CSV, JSON and plots, None for none
    """

    benchmark: Path
    models: Sequence[str] = ()
    features: Sequence[Path] = ()
    protocols: tuple[str, ...] = ("published", "paper")
    hearing: str = "windows"
    seed: int = 0
    candidates: int = 100
    text: str | None = None
    cache: Path = CACHE
    out: Path | None = OUT
    plots: bool = False
    device: str = "auto"
    threads: int = 0


def evaluate_benchmark(asked: Asked, console: Console, as_json: bool = False) -> bool:
    """Score models on a benchmark; results on standard output, notes on the console.

    Returns
    -------
    whether every file could be used

    Raises
    ------
    BiovitaError
        When a setting, the benchmark, a model or features cannot be used.
    """
    from trainer.benchmark import report as reporting
    from trainer.benchmark.features import missing, read_features, strangers
    from trainer.benchmark.layout import read_benchmark
    from trainer.benchmark.plots import new_figure, plot
    from trainer.benchmark.protocols import Score, evaluate

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    check(asked)
    if asked.plots:
        new_figure(1, 1)  # without matplotlib nothing is begun
    splits = read_benchmark(asked.benchmark)
    rows: list[tuple[Features, str]] = []
    for path in asked.features:
        read = read_features(path)
        rows.append((read, read.split or only_split(path, [split.name for split in splits])))
    failed = False
    for spec in asked.models:
        made, faults = _encoded(asked, spec, splits, tell)
        rows += [(features, features.split) for features in made]
        failed |= faults
    given = [(features.model, split) for features, split in rows]
    twice = [model for model, split in given if given.count((model, split)) > 1]
    if twice:
        raise ConfigError(f"two models are called '{twice[0]}'", "call one otherwise: NAME=KIND:SOURCE")
    scores: list[Score] = []
    origins: dict[str, dict[str, dict[str, object]]] = {}
    absent: dict[str, dict[str, dict[str, list[int]]]] = {}
    for split in splits:
        for features, name in rows:
            if name != split.name:
                continue
            for line in strangers(features, split):
                tell(line)
            origins.setdefault(features.model, {})[split.name] = dict(features.origin)
            lost = {part: ids.tolist() for part, ids in missing(features, split).items()}
            absent.setdefault(features.model, {})[split.name] = {part: ids for part, ids in lost.items() if ids}
            with console.status(f"{features.model}, {split.name}"):
                scores += evaluate(split, features, asked.protocols, asked.seed, asked.candidates, asked.text)
    if not scores:
        raise DataError(
            f"{asked.benchmark}: no features are of a split that it has", "name the features of this benchmark"
        )
    report = reporting.Report(str(asked.benchmark), scores, origins, absent, asked.seed, asked.candidates)
    if as_json:
        print(json.dumps(reporting.as_json(report), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        screen = Console()
        for table in reporting.tables(report):
            screen.print(table)
    for line in reporting.notes(report):
        tell(line)
    if asked.out is not None:
        reporting.write_csv(asked.out / "results.csv", report)
        reporting.write_json(asked.out / "results.json", report)
        pictures = plot(report, asked.out) if asked.plots else []
        tell(f"results are in {asked.out}{f', with {len(pictures)} pictures' if pictures else ''}")
    return not failed


def check(asked: Asked) -> None:
    """Refuse settings that make no sense before anything is read."""
    from trainer.benchmark.encoders import HEARINGS
    from trainer.benchmark.features import TEXT_FORMS
    from trainer.benchmark.protocols import PROTOCOLS

    if not asked.models and not asked.features:
        raise ConfigError("no model and no features were named", "give --model or --features")
    for name in asked.protocols:
        if name not in PROTOCOLS:
            raise ConfigError(f"protocol '{name}' does not exist", f"choose {', '.join(PROTOCOLS)}")
    if asked.hearing not in HEARINGS:
        raise ConfigError(f"--hearing {asked.hearing} does not exist", f"choose {' or '.join(HEARINGS)}")
    if asked.text is not None and asked.text not in TEXT_FORMS:
        raise ConfigError(f"--text {asked.text} does not exist", f"choose {', '.join(TEXT_FORMS)}")
    if asked.candidates < 2:
        raise ConfigError(f"--candidates {asked.candidates} is less than 2", "the paper has 100")
    if asked.plots and asked.out is None:
        raise ConfigError("--plots without a folder", "give --out")


def only_split(path: Path, names: Sequence[str]) -> str:
    """The split that features without one are of.

    Raises
    ------
    ConfigError
        When the benchmark has two.
    """
    if len(names) > 1:
        raise ConfigError(
            f"{path}: does not say of which split it is, and there are {' and '.join(names)}",
            "name the folder of one split as the benchmark, or say it in 'about'",
        )
    return names[0]


def _encoded(
    asked: Asked, spec: str, splits: Sequence[Split], tell: Callable[[str], None]
) -> tuple[list[Features], bool]:
    """Features of a model on each split, and whether a file was at fault."""
    import torch

    from trainer.benchmark.encoders import open_encoder
    from trainer.benchmark.extract import extract
    from trainer.session import cores, pick_device

    device = pick_device(asked.device)
    torch.set_num_threads(asked.threads or cores())
    encoder = open_encoder(spec, device, asked.hearing, asked.threads or cores())
    made, failed = [], False
    for split in splits:
        found = extract(encoder, split, asked.cache, tell)
        for line in (*found.notes, *found.undecodable):
            tell(line)
        failed |= bool(found.undecodable)
        made.append(found.features)
    return made, failed


def make_benchmark(
    manifest: Annotated[list[Path], typer.Argument(help="Manifest, CSV or Parquet; recordings and photos may be two.")],
    out: Annotated[Path, typer.Option(help="Folder to write the benchmark to.")],
    taxa: Annotated[
        Path | None, typer.Option(help="Species table CSV; default: the manifest's ranks, else the project's table.")
    ] = None,
    media: Annotated[
        Path | None, typer.Option(help="Folder that the manifest's paths are relative to; default: its own.")
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share of the sources held out, as in training.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split, as in training, and of all that is drawn.")] = 1,
    unseen: Annotated[int, typer.Option(help="Species to withhold, those with the fewest recordings.")] = 0,
    candidates: Annotated[int, typer.Option(help="Candidate taxa of a query.")] = 100,
    most: Annotated[int, typer.Option(help="Most samples that stand for a candidate.")] = 20,
    queries: Annotated[int | None, typer.Option(help="Most queries of a scenario; default: all.")] = None,
) -> None:
    """Make a benchmark of 36 scenarios in BioVITA's published layout: 6 directions, 3 levels, seen and unseen."""
    from gallery import read_taxa
    from trainer.benchmark.layout import code
    from trainer.benchmark.make import SUMMARY, TRAINING, Plan
    from trainer.benchmark.make import make_benchmark as make
    from trainer.data.manifest import read_manifest

    console = Console(stderr=True)
    read = read_manifest(manifest, read_taxa(taxa) if taxa else None, media)
    for line in (*read.missing, *read.notes):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    scenarios = make(read, out, Plan(held_out, seed, unseen, candidates, most, queries))
    shown = Table(title=f"{out}: queries of each scenario", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("split", "level", "", "queries", "not asked", "why it is empty"):
        shown.add_column(name, justify="right" if name in ("queries", "not asked") else "left")
    for one in scenarios:
        counts = f"{one.queries:,}", f"{one.not_asked:,}"
        shown.add_row(one.split, one.level, code(one.query, one.target), *counts, one.why)
    Console().print(shown)
    filled = sum(not one.why for one in scenarios)
    told = f"{filled} of {len(scenarios)} scenarios are filled"
    short = [one.taxa for one in scenarios if one.taxa > 1]
    if short:
        told += f", and --candidates {min(short)} would fill {len(short)} more"
    told += f"; {SUMMARY} says how to train for them"
    if unseen:
        told += f", on {TRAINING}"
    elif not any(not one.why for one in scenarios if one.split == "unseen"):
        told += "; no species is withheld: give --unseen for some"
    console.print(told, highlight=False, soft_wrap=True)
