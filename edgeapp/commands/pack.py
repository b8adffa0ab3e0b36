"""``biovita-edge pack``: look at packs, check them, install them, choose the default."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeapp.audio.windows import REPEAT, ZERO
from edgeapp.commands.options import PACK_HELP, PACK_METAVAR
from edgeapp.errors import BiovitaError, OutputError, PackError, UsageError
from edgeapp.pack.format import UNCALIBRATED, Pack
from edgeapp.pack.installed import (
    Installed,
    choose,
    default_pack,
    find_pack,
    installed_packs,
    load_found,
    load_pack,
    size_bytes,
)
from edgeapp.terminal import complain, say, tell

FILLED = {REPEAT: "shorter sound repeated", ZERO: "shorter sound followed by silence"}

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", help="Inspect, check, install and select packs.")

PackArgument = Annotated[str | None, typer.Argument(metavar=f"[{PACK_METAVAR}]", help=PACK_HELP)]
Shared = Annotated[
    bool, typer.Option("--shared", help="For all users of the program, beside it, instead of the current user.")
]
Provider = Annotated[
    str | None,
    typer.Option(
        "--provider", metavar="PROVIDER", help="Execution provider: auto, cpu, cuda, tensorrt, engine or engine-fp16."
    ),
]


class Format(str, Enum):
    """How packs are listed."""

    TABLE = "table"
    JSON = "json"


@app.command("list")
def list_packs(
    format: Annotated[
        Format, typer.Option("--format", "-f", metavar="table|json", help="Output format.")
    ] = Format.TABLE,
) -> None:
    """List the installed packs; the default is marked with a star.

    Exit code 3 when there is no valid default.
    """
    import json

    fault, default, why = "", None, ""
    try:
        found = default_pack()
        default, why = found.name, found.why
    except PackError as error:
        fault = str(error)
    packs = [_described(one, default) for one in installed_packs()]
    if format is Format.JSON:
        typer.echo(json.dumps({"default": default, "why": why or fault, "packs": packs}, indent=2, ensure_ascii=False))
    else:
        rows = [("", "name", "version", "taxa", "size", "licence", "folder")]
        for one in packs:
            mark = "*" if one["default"] else "!" if one["fault"] else ""
            taxa = "-" if one["taxa"] is None else str(one["taxa"])
            size = f"{one['size_bytes'] / 1e6:.1f} MB"
            rows.append((mark, one["name"], one["version"] or "-", taxa, size, one["licence"] or "-", one["folder"]))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        for one in packs:
            if one["fault"]:
                tell(f"! {one['name']}: {one['fault']}")
            elif not one["calibrated"]:
                tell(f"{one['name']}: {UNCALIBRATED}")
        if default is not None:
            tell(f"* {default}: the default, as {why}")
    if fault:
        complain(fault)
        raise typer.Exit(PackError.exit_code)


def _described(one: Installed, default: str | None) -> dict[str, Any]:
    """A row of `pack list`."""
    from gallery.store import Gallery

    row: dict[str, Any] = {
        "name": one.name,
        "default": one.name == default,
        "version": None,
        "preset": None,
        "licence": None,
        "calibrated": None,
        "taxa": None,
        "size_bytes": size_bytes(one.folder),
        "folder": str(one.folder),
        "fault": None,
    }
    try:
        pack = Pack.load(one.folder, verify=False)
        row |= {"version": pack.version, "preset": pack.preset, "licence": pack.licence, "calibrated": pack.calibrated}
        if pack.gallery is not None:
            with Gallery.open(pack.gallery_path(), identity=pack.identity) as opened:
                row["taxa"] = opened.info()["taxa"]
    except BiovitaError as error:
        row["fault"] = error.what
    return row


@app.command()
def use(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="An installed pack.", show_default=False)] = None,
    best: Annotated[bool, typer.Option("--best", help="The best installed pack, as before any choice.")] = False,
    shared: Shared = False,
) -> None:
    """Select the default pack."""
    if (name is None) == (not best):
        raise UsageError("which pack?", "give the name of an installed pack, or --best")
    choose(name, shared)
    found = default_pack()
    say(f"{found.name}: the default, as {found.why}, in {found.folder}")


@app.command()
def install(
    source: Annotated[
        str, typer.Argument(metavar="FOLDER|FILE|URL", help="Folder, .zip or .tar file, or URL of a pack.")
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the installed pack; its own name if not given."),
    ] = None,
    sha256: Annotated[str | None, typer.Option("--sha256", metavar="HEX", help="Expected SHA-256 of the file.")] = None,
    shared: Shared = False,
) -> None:
    """Install a pack: verified by hash, then installed atomically."""
    from edgeapp.pack.install import install as install_pack

    done = install_pack(source, name, sha256, shared, tell)
    verb = "replaced by" if done.replaced else "installed:"
    say(f"{done.name}: {verb} {done.pack.name} {done.pack.version} in {done.pack.folder}")
    _tell_default()


@app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An installed pack.")], shared: Shared = False
) -> None:
    """Remove an installed pack; if it was the selected one, the best one becomes the default."""
    from edgeapp.pack.install import remove as remove_pack

    say(f"{remove_pack(name, shared)}: removed")
    _tell_default()


@app.command()
def archive(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Output file, a .zip (written atomically).")],
    named: PackArgument = None,
) -> None:
    """Write a pack to one file, for `pack install` on another device."""
    from edgeapp.pack.archive import pack_up

    pack = load_pack(named)
    try:
        size = pack_up(pack, file)
    except OSError as error:
        raise OutputError(f"{file}: {error.strerror or error}", "name another file") from None
    say(f"{file}: {pack.name} {pack.version}, {size / 1e6:.1f} MB")


def _tell_default() -> None:
    try:
        found = default_pack()
    except PackError as error:
        complain(str(error))
    else:
        tell(f"the default is {found.name}, as {found.why}")


@app.command()
def info(named: PackArgument = None, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show a pack, its measurements, and the active execution provider."""
    import json as json_module
    from dataclasses import asdict

    from edgeapp.runtime.encoders import AudioEncoder
    from edgeapp.runtime.ort import runtime
    from edgeapp.runtime.settings import RunSettings

    meant = find_pack(named)
    pack, threads = load_found(meant, verify=False), RunSettings.of().threads
    try:
        runs = {"provider": AudioEncoder(pack).provider, "threads": threads, "runtime": runtime()}
    except BiovitaError as error:  # a pack can be looked at where it cannot be run
        runs = {"provider": None, "fault": str(error)}
    engines, spec = list(engines_of_pack(pack)), pack.audio
    if json:
        told = {**asdict(pack), "folder": str(pack.folder), "runs_here": runs, "engines": engines}
        typer.echo(json_module.dumps(told, indent=2, ensure_ascii=False))
        return
    rows = {
        "pack": f"{pack.name} {pack.version} ({pack.preset}), made {pack.created}",
        "folder": f"{pack.folder} ({meant.why})",
        "licence": pack.licence,
        "space": f"{pack.space}, {pack.dim} numbers a vector",
        "audio": f"{spec.file}, windows of {spec.window_s:g} s every {spec.hop_s:g} s at {spec.rate_hz} Hz",
        "hears": f"from the {spec.start}, resampled by {spec.resampler}, {FILLED[spec.pad]}",
        "text": f"{pack.text.file}, {pack.text.context} tokens" if pack.text else "none",
        "image": f"{pack.image.file}, {pack.image.size} x {pack.image.size}" if pack.image else "none",
        "gallery": pack.gallery or "none",
        "range": f"{pack.range.file}, occurrence from {pack.range.threshold:g}" if pack.range else "none",
        "calibrated": "on recordings" if pack.calibrated else f"no: {UNCALIBRATED}",
        "decision": ", ".join(f"{key} {value}" for key, value in pack.decision.to_dict().items()),
        **{f"metric {key}": measured(value) for key, value in pack.metrics.items()},
        "precision": pack.precision,
        **{f"in fp32 {key}": ", ".join(kept) or "nothing" for key, kept in pack.in_fp32.items()},
        **{f"parity {key}": measured(value) for key, value in pack.parity.items()},
        "runs here": ", ".join(f"{key} {value}" for key, value in runs.items()),
    }
    for key, value in [*rows.items(), *(("engine", measured(one)) for one in engines)]:
        say(f"{key:<10} {value}")


def engines_of_pack(pack: Pack) -> Iterator[dict[str, object]]:
    """What there is of TensorRT engines, and the least cosine with the graph where each was checked."""
    from edgeapp.runtime.graph import MODALITIES, PackGraph
    from edgeapp.runtime.tensorrt.cache import engines_of

    for modality in MODALITIES:
        if getattr(pack, modality) is None:
            continue
        for engine in engines_of(PackGraph.of(pack, modality)):
            key = engine.key
            yield {
                "graph": modality,
                "precision": key.precision,
                "library": f"{key.library} {key.version}",
                "for": key.gpu or " or ".join(key.compute),
                "file": str(engine.path),
                "built_s": round(engine.built_s, 1),
                "least_cosine": dict(engine.checked) or "not checked yet",
            }


def measured(metrics: object) -> str:
    """Figures for people: names and numbers."""
    return (
        ", ".join(f"{name} {value}" for name, value in metrics.items()) if isinstance(metrics, dict) else str(metrics)
    )


@app.command()
def verify(named: PackArgument = None, provider: Provider = None) -> None:
    """Check the hashes of a pack, and that its encoders, gallery and occurrence model load and match."""
    import numpy as np
    from PIL import Image

    from edgeapp.runtime.encoders import AudioEncoder, ImageEncoder, TextEncoder
    from edgeapp.runtime.occurrence import occurrence
    from gallery.store import Gallery

    pack = load_pack(named)
    # Loading is not enough: each encoder must give a finite unit vector, which `encode` checks.
    audio = AudioEncoder(pack, provider=provider)
    audio.encode(np.random.default_rng(0).normal(0, 0.1, (1, pack.audio.window_samples)).astype(np.float32))
    providers = {"audio": audio.provider}
    if pack.text is not None:
        text = TextEncoder(pack, provider=provider)
        text.encode(["Parus major"])
        providers["text"] = text.provider
    if pack.image is not None:
        image = ImageEncoder(pack, provider=provider)
        image.encode([Image.new("RGB", (pack.image.size, pack.image.size), (90, 120, 60))])
        providers["image"] = image.provider
    if pack.gallery is not None:
        with Gallery.open(pack.gallery_path(), identity=pack.identity):
            pass
    if pack.range is not None:
        occurrence(pack, 0.0, 0.0)
    runs = ", ".join(f"{modality} on {provider}" for modality, provider in providers.items())
    say(f"{pack.folder}: {len(pack.files)} files as they were made; {runs}")


@app.command("build-engine")
def build_engine(
    named: PackArgument = None,
    graph: Annotated[
        list[str] | None,
        typer.Option("--graph", metavar="NAME", help="audio, text or image; audio if not given. May be repeated."),
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="NAME", help="graph: that of the pack; fp16: reduced by TensorRT 10.")
    ] = "graph",
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="CAPABILITY",
            help="Compute capability to build for without its GPU, such as 8.6 (TensorRT-RTX).",
        ),
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--folder", metavar="FOLDER", help="Output folder; the user's cache if not given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Rebuild existing engines.")] = False,
) -> None:
    """Build TensorRT engines of a pack's graphs, check them against the CPU, and store them."""
    from edgeapp.runtime.graph import MODALITIES, PackGraph
    from edgeapp.runtime.settings import RunSettings
    from edgeapp.runtime.tensorrt.cache import build_engine as build

    modalities = list(dict.fromkeys(graph or ["audio"]))
    for modality in modalities:
        if modality not in MODALITIES:
            raise UsageError(f"there is no graph {modality!r}", f"give --graph {', '.join(MODALITIES)}")
    pack = load_pack(named)
    settings, targets = RunSettings.of("cpu"), sorted(set(target or ()))
    for modality in modalities:
        built = build(
            PackGraph.of(pack, modality), precision, settings=settings, targets=targets, folder=into, force=force
        )
        say(built.path)
