"""The trainer's command line: `python -m trainer --stage 1`, `python -m trainer evaluate`."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edgeapp.commands import wrong_call
from trainer.benchmark.commands import make_benchmark
from trainer.data.commands import data
from trainer.errors import ConfigError
from trainer.names import names_command
from trainer.options import BENCHMARK, DATA, MACHINE, RUN, STAGE, WEIGHTS, Device, Manifests, Media, Taxa, Threads
from trainer.probes.ssw60_command import ssw60
from trainer.probes.traits_command import traits
from trainer.trunk.recordings_command import recordings_command, space_command
from trainer.weights_commands import adapt_command, import_published

PROGRAM = "python -m trainer"

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(data, name="data")
app.command(name="make-benchmark")(make_benchmark)
app.command(name="names")(names_command)
app.command(name="recordings")(recordings_command)
app.command(name="space")(space_command)
app.command()(ssw60)
app.command()(traits)
app.command(name="import")(import_published)
app.command(name="adapt")(adapt_command)


@app.callback(invoke_without_command=True)
def train(
    context: typer.Context,
    stage: Annotated[
        str | None,
        typer.Option(help="base (image and text), 1 (audio and text) or 2 (all three).", rich_help_panel=STAGE),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="vita (the stages), text-distillation (audio to frozen names, no image), or student (a small audio "
            "encoder of a large one, from sound without labels).",
            rich_help_panel=STAGE,
        ),
    ] = "vita",
    teacher: Annotated[
        Path | None, typer.Option(help="Checkpoint that a student learns from.", rich_help_panel=STAGE)
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="starter, biovita (full size), or names in the space of a classifier's pack: birdnet, trunk (any pack "
            "with class vectors).",
            rich_help_panel=STAGE,
        ),
    ] = "starter",
    pack: Annotated[
        str | None,
        typer.Option(
            help="Pack, by name or folder, whose class vectors birdnet and trunk learn from; default: birdnet.",
            rich_help_panel=WEIGHTS,
        ),
    ] = None,
    withhold: Annotated[
        Path | None,
        typer.Option(
            help="Taxa that birdnet and trunk must not learn, to measure names never trained on: a name a line, or a "
            "CSV with scientific_name.",
            rich_help_panel=WEIGHTS,
        ),
    ] = None,
    manifests: Manifests = None,
    media: Media = None,
    taxa: Taxa = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run, with a folder for each stage; default: runs/PRESET.", rich_help_panel=RUN
        ),
    ] = None,
    pretrained: Annotated[
        Path | None, typer.Option(help="Folder of the starter's public weights.", rich_help_panel=WEIGHTS)
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option(
            help="CLAP weights of biovita: hf-hub:ORG/NAME[@REVISION], or a folder; or a pack with class vectors, such "
            "as birdnet, whose encoder stays as it is and gets an adapter.",
            rich_help_panel=WEIGHTS,
        ),
    ] = None,
    bioclip: Annotated[
        str | None,
        typer.Option(
            help="BioCLIP 2 weights of biovita: hf-hub:ORG/NAME[@REVISION], or a folder.",
            rich_help_panel=WEIGHTS,
        ),
    ] = None,
    held_out: Annotated[
        float, typer.Option(help="Share of the sources of each taxon held out; 0 trains on all.", rich_help_panel=DATA)
    ] = 0.2,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the split and of everything drawn.", rich_help_panel=DATA)
    ] = 1,
    epochs: Annotated[int | None, typer.Option(help="Epochs, in place of the preset's.", rich_help_panel=STAGE)] = None,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the stage, as lr=1e-4; may be given again.", rich_help_panel=STAGE),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Processes that decode, of biovita; default: all cores but one.", rich_help_panel=MACHINE
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = 0,
    restart: Annotated[
        bool, typer.Option("--restart", help="Train the stage anew; otherwise it resumes.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Train a stage of the aligned encoders. A killed run resumes when the same command is given again."""
    if context.invoked_subcommand is not None:
        return
    from trainer.presets import DISTILL, STUDENT, find_preset, with_settings
    from trainer.ranks import leave
    from trainer.session import Options, Session, cores

    recipes = {"text-distillation": DISTILL, "student": STUDENT}
    if recipe in recipes:
        if stage not in (None, recipes[recipe]):
            raise ConfigError(f"--recipe {recipe} has no stage {stage}", "leave --stage out")
        stage = recipes[recipe]
    elif recipe != "vita":
        raise ConfigError(f"recipe '{recipe}' does not exist", f"choose vita, {' or '.join(recipes)}")
    if stage == STUDENT and teacher is None:
        raise ConfigError("a student needs a teacher", "name its checkpoint with --teacher")
    if stage != STUDENT and teacher is not None:
        raise ConfigError("only a student has a --teacher", "say --recipe student, or leave it out")
    if stage is None:
        raise ConfigError("no stage was named", "say --stage base, --stage 1 or --stage 2")
    chosen = find_preset(preset)
    if epochs is not None:
        if epochs < 1:
            raise ConfigError(f"--epochs {epochs} is less than 1", "leave it out for the preset's own")
        changed = [f"epochs={epochs}", *(changed or [])]
    if stage in chosen.stages:
        chosen = with_settings(chosen, stage, changed or [])
    if chosen.towers.family == "trunk":
        from trainer.trunk.command import without_effect
        from trainer.trunk.session import TrunkOptions, TrunkSession

        without_effect(preset, {"--taxa": taxa, "--audio": audio, "--bioclip": bioclip})
        if not (stage in chosen.stages and chosen.stages[stage].after):
            without_effect(f"{preset}, stage {stage}", {"--pretrained": pretrained})
        without_effect(preset, {"--workers": workers, "--teacher": teacher})
        if pack is None and preset != "birdnet":
            raise ConfigError(f"preset {preset} stands on a pack", "name it with --pack")
        given = TrunkOptions(
            chosen,
            pack or "birdnet",
            out or Path("runs") / preset,
            withhold,
            tuple(manifests or ()),
            media,
            held_out,
            seed,
            device,
            threads or cores(),
            restart,
            pretrained,
        )
        try:
            trunk = TrunkSession(given, Console(stderr=True))
            trunk.train(stage)
        finally:
            leave()
        if trunk.failed:
            raise typer.Exit(1)
        return
    if pack is not None or withhold is not None:
        raise ConfigError("--pack and --withhold go with the presets birdnet and trunk", "leave them out")
    processes = cores() - 1 if workers is None else workers
    options = Options(
        chosen,
        tuple(manifests or ()),
        media,
        taxa,
        out or Path("runs") / preset,
        pretrained,
        held_out,
        seed,
        device,
        threads or cores(),
        restart,
        processes,
        audio,
        bioclip,
        teacher,
    )
    try:
        session = Session(options, Console(stderr=True))
        session.train(stage)
    finally:
        leave()
    if session.failed:
        raise typer.Exit(1)


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Option(help="Folder of a trained stage.", rich_help_panel=STAGE)] = Path(
        "runs/starter/stage2"
    ),
    manifests: Manifests = None,
    media: Media = None,
    taxa: Taxa = None,
    device: Device = "auto",
    threads: Threads = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of a table.", rich_help_panel=RUN)
    ] = False,
    benchmark: Annotated[
        Path | None,
        typer.Option(
            help="Folder of BioVITA Bench, or of one made by make-benchmark; scored instead.", rich_help_panel=BENCHMARK
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A row of the benchmark, [NAME=]KIND[:SOURCE]; default: --checkpoint.", rich_help_panel=BENCHMARK
        ),
    ] = None,
    features: Annotated[
        list[Path] | None,
        typer.Option(
            help="A row of the benchmark: .npz with vectors and ids, made elsewhere.", rich_help_panel=BENCHMARK
        ),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="published (100 taxa) or paper (100 samples); default: both.", rich_help_panel=BENCHMARK),
    ] = None,
    hearing: Annotated[
        str, typer.Option(help="windows, as on the device; or onset, as published.", rich_help_panel=BENCHMARK)
    ] = "windows",
    candidates: Annotated[
        int, typer.Option(help="Samples in a database of the paper's protocol.", rich_help_panel=BENCHMARK)
    ] = 100,
    text: Annotated[
        str | None, typer.Option(help="Form of the names in the paper's protocol.", rich_help_panel=BENCHMARK)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the paper's databases.", rich_help_panel=BENCHMARK)] = 0,
    out: Annotated[
        Path, typer.Option(help="Folder of the benchmark's results as CSV and JSON.", rich_help_panel=BENCHMARK)
    ] = Path("runs/benchmark"),
    plots: Annotated[
        bool, typer.Option("--plots", help="Draw the benchmark's results as PNG too.", rich_help_panel=BENCHMARK)
    ] = False,
) -> None:
    """Print the six retrieval directions at species, genus and family.

    On the held-out split of a checkpoint, or, with --benchmark, of one or more models on a benchmark.
    """
    if benchmark is not None:
        from trainer.benchmark.commands import Asked, evaluate_benchmark

        models = tuple(model or ()) or (() if features else (str(checkpoint),))
        asked = Asked(
            benchmark,
            models,
            tuple(features or ()),
            tuple(protocol or ("published", "paper")),
            hearing,
            seed,
            candidates,
            text,
            out / "features",
            out,
            plots,
            device,
            threads,
        )
        if not evaluate_benchmark(asked, Console(stderr=True), as_json):
            raise typer.Exit(1)
        return
    if model or features or protocol or text or plots:
        raise ConfigError("--model, --features, --protocol, --text, --plots go with --benchmark", "name its folder")
    from trainer.evaluate import TOPS, embed_all, identification, table
    from trainer.heard import hear
    from trainer.session import open_held_out

    held = open_held_out(checkpoint, tuple(manifests or ()), media, taxa, device, threads)
    photos = held.material.embedded_photos(held.model, "held", held.device)
    preset, sounds = held.config.preset, held.material.sounds("held")
    heard = hear(held.model.audio, sounds, preset.mel.rate_hz, preset.window_s, held.device, preset.hop_s, preset.pad)
    embedded = embed_all(held.model, held.bank, heard, photos, held.device)
    identified = identification(heard, embedded["text"].vectors, held.data.manifest.taxa)
    held.material.say_skipped()
    rows = table(embedded, held.data.manifest.taxa)
    if as_json:
        told = [{k: share if row.queries else None for k, share in row.top.items()} for row in rows]
        print(json.dumps([{**dataclasses.asdict(row), "top": top} for row, top in zip(rows, told)], indent=1))
    else:
        shown = Table(title=f"{checkpoint}: held-out samples, a taxon's score is its best sample's")
        for name in ("level", "query", "target", *(f"Top-{top}" for top in TOPS), "queries", "candidates"):
            shown.add_column(name, justify="left" if name in ("level", "query", "target") else "right")
        for row in rows:
            tops = (f"{100 * row.top[top]:.1f}" for top in TOPS)
            shown.add_row(row.level, row.query, row.target, *tops, str(row.queries), str(row.candidates))
        Console().print(shown)
        shares = ", ".join(f"Top-{top} {100 * share:.1f}" for top, share in identified.items())
        print(f"identified by names, window by window as on the device: {shares}")
    if held.failed:
        raise typer.Exit(1)


@app.command()
def calibrate(
    checkpoint: Annotated[Path, typer.Option(help="Folder of a trained stage.", rich_help_panel=STAGE)] = Path(
        "runs/starter/stage2"
    ),
    manifests: Manifests = None,
    media: Media = None,
    taxa: Taxa = None,
    field: Annotated[
        Path | None,
        typer.Option(
            help="Folder of field noise (maad_*.flac) for mixtures; default: the one beside the data.",
            rich_help_panel=DATA,
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = 0,
) -> None:
    """Fit the decision parameters of a checkpoint on its held-out recordings; the last stage does this at its end.

    They are fitted on single recordings, on mixtures of two over field noise, and on noise; what they reach is printed
    and kept in decision.json: ranks by modality, calibration error, precision and recall.
    """
    from trainer.calibrate import calibrate as fit
    from trainer.calibrate import keep
    from trainer.heard import field_noise
    from trainer.session import field_folder, open_held_out

    held = open_held_out(checkpoint, tuple(manifests or ()), media, taxa, device, threads)
    fitted = fit(
        held.model,
        held.config.preset,
        list(held.data.manifest.taxa),
        held.bank,
        held.material.sounds("held"),
        held.material.embedded_photos(held.model, "train", held.device),
        held.material.sounds("few"),
        field_noise(field or field_folder(), held.config.preset.mel.rate_hz),
        held.device,
    )
    held.material.say_skipped()
    keep(fitted, checkpoint)
    print(json.dumps(fitted, indent=1))
    if held.failed:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; an error a person can cause is one line on stderr and its exit code."""
    code = wrong_call.run(app, PROGRAM)
    if code == 130:  # what typer makes of Ctrl-C
        print("stopped; the same command goes on from the last finished epoch", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
