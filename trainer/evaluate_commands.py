"""`python -m trainer evaluate` and `calibrate`: a checkpoint on its held-out data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edgeapp.terminal import tell
from trainer.errors import ConfigError
from trainer.options import (
    BENCHMARK,
    AsJson,
    Checkpoint,
    Device,
    Excerpt,
    FieldNoise,
    Manifests,
    Media,
    Taxa,
    Threads,
)

LAST_STAGE = Path("runs/starter/stage2")


def evaluate(
    checkpoint: Checkpoint = LAST_STAGE,
    manifests: Manifests = None,
    media: Media = None,
    taxa: Taxa = None,
    device: Device = "auto",
    threads: Threads = 0,
    as_json: AsJson = False,
    benchmark: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of BioVITA Bench, or of a benchmark made by make-benchmark, to score instead.",
            rich_help_panel=BENCHMARK,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="Model to score, [NAME=]KIND[:SOURCE]; --checkpoint if not given. May be repeated.",
            rich_help_panel=BENCHMARK,
        ),
    ] = None,
    features: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Precomputed vectors to score: .npz with vectors and ids. May be repeated.",
            rich_help_panel=BENCHMARK,
        ),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            metavar="published|paper",
            help="published (100 taxa) or paper (100 samples); both if not given.",
            rich_help_panel=BENCHMARK,
        ),
    ] = None,
    excerpt: Excerpt = "windows",
    candidates: Annotated[
        int,
        typer.Option(
            metavar="NUMBER", help="Number of samples in a database (paper protocol).", rich_help_panel=BENCHMARK
        ),
    ] = 100,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Form of the names: species, genus, family or common_name (paper protocol).",
            rich_help_panel=BENCHMARK,
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, metavar="NUMBER", help="Seed of the databases (paper protocol).", rich_help_panel=BENCHMARK
        ),
    ] = 0,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Folder of the benchmark's results (CSV and JSON).", rich_help_panel=BENCHMARK
        ),
    ] = Path("runs/benchmark"),
    plots: Annotated[
        bool, typer.Option("--plots", help="Plot the benchmark's results (PNG).", rich_help_panel=BENCHMARK)
    ] = False,
) -> None:
    """Print retrieval in six directions at species, genus and family.

    On the held-out split of a checkpoint or, with --benchmark, of one or more models on a benchmark.
    """
    if benchmark is not None:
        from trainer.benchmark.commands import Request, evaluate_benchmark

        request = Request(
            benchmark,
            tuple(model or ()) or (() if features else (str(checkpoint),)),
            tuple(features or ()),
            tuple(protocol or ("published", "paper")),
            excerpt,
            seed,
            candidates,
            text,
            out / "features",
            out,
            plots,
            device,
            threads,
        )
        if not evaluate_benchmark(request, Console(stderr=True), as_json):
            raise typer.Exit(1)
        return
    if model or features or protocol or text or plots:
        raise ConfigError("--model, --features, --protocol, --text, --plots go with --benchmark", "name its folder")
    from edgeapp.progress_bar import progress
    from trainer.evaluate import TOPS, embed_all, identification, table
    from trainer.heard import hear
    from trainer.session import open_held_out

    held = open_held_out(checkpoint, tuple(manifests or ()), media, taxa, device, threads)
    photos = held.material.embedded_photos(held.model, "held", held.device)
    preset, sounds = held.config.preset, held.material.sounds("held")
    with progress("recordings", len(sounds)) as done:
        heard = hear(held.model.audio, sounds, preset.cutting, held.device, done)
    embedded = embed_all(held.model, held.bank, heard, photos, held.device)
    identified = identification(heard, embedded["text"].vectors, held.data.manifest.taxa)
    held.material.report_skipped()
    rows = table(embedded, held.data.manifest.taxa)
    if as_json:
        tops = [{k: share if row.queries else None for k, share in row.top.items()} for row in rows]
        print(json.dumps([{**dataclasses.asdict(row), "top": top} for row, top in zip(rows, tops)], indent=1))
    else:
        shown = Table(title=f"{checkpoint}: held-out samples; the score of a taxon is that of its best sample")
        for name in ("level", "query", "target", *(f"Top-{top}" for top in TOPS), "queries", "candidates"):
            shown.add_column(name, justify="left" if name in ("level", "query", "target") else "right")
        for row in rows:
            shares = (f"{100 * row.top[top]:.1f}" for top in TOPS)
            shown.add_row(row.level, row.query, row.target, *shares, str(row.queries), str(row.candidates))
        Console().print(shown)
        found = ", ".join(f"Top-{top} {100 * share:.1f}" for top, share in identified.items())
        print(f"identified by names, window by window as on the device: {found}")
    if held.failed:
        raise typer.Exit(1)


def calibrate(
    checkpoint: Checkpoint = LAST_STAGE,
    manifests: Manifests = None,
    media: Media = None,
    taxa: Taxa = None,
    field: FieldNoise = None,
    device: Device = "auto",
    threads: Threads = 0,
) -> None:
    """Fit the decision parameters of a checkpoint on its held-out recordings, as the last stage does when it ends.

    They are fitted on single recordings, on mixtures of two over field noise, and on noise. The metrics (Top-1 and
    Top-5 by modality, calibration error, precision and recall) are printed and saved in decision.json.
    """
    from trainer.calibrate import save, too_few
    from trainer.data.samples import taxa_of
    from trainer.session import calibrated, field_folder, open_held_out

    held = open_held_out(checkpoint, tuple(manifests or ()), media, taxa, device, threads)
    if few := too_few(taxa_of(held.data.held_recordings)):
        tell(f"decision parameters are fitted on {few}; hold out more")
    fitted = calibrated(held.model, held.bank, held.material, field or field_folder(), held.device)
    held.material.report_skipped()
    save(fitted, checkpoint)
    print(json.dumps(fitted, indent=1))
    if held.failed:
        raise typer.Exit(1)
