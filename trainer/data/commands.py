"""`python -m trainer data`: what a manifest holds, and packing it into shards."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from trainer.data.manifest import Manifest

SHOWN = 12  # values of a column; the rest is counted together

data = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", help="Look at data sets, and pack them into shards."
)

Tables = Annotated[
    list[Path], typer.Argument(metavar="MANIFEST...", help="CSV or Parquet; recordings and photos may be two files.")
]
Taxa = Annotated[
    Path | None, typer.Option(help="Species table CSV; default: ranks in the manifest, else the project's table.")
]
Media = Annotated[Path | None, typer.Option(help="Folder that paths are relative to; default: the manifest's.")]


@data.command()
def info(
    manifest: Tables,
    taxa: Taxa = None,
    media: Media = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say what a manifest holds, and which rows cannot be used and why. No recording or photo is opened."""
    told = describe(_read(manifest, taxa, media))
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        for line in _lines(told):
            typer.echo(line)
    if told["left_out"]:
        raise typer.Exit(1)


@data.command()
def shard(
    manifest: Tables,
    out: Annotated[Path, typer.Option(help="Folder of the shards.")],
    shard_mb: Annotated[int, typer.Option(min=1, help="Size of a shard, in millions of bytes.")] = 1000,
    taxa: Taxa = None,
    media: Media = None,
    threads: Annotated[int, typer.Option(min=0, help="Threads that read and decode; 0 takes all cores.")] = 0,
) -> None:
    """Pack recordings and photos into tar shards with a manifest. A killed run goes on with the same command."""
    from edgeapp.board.machine import available_cores
    from trainer.data.shards import write_shards

    read = _read(manifest, taxa, media)
    with _Bar(len(read.recordings) + len(read.photos)) as bar:
        packed = write_shards(read, out, shard_mb, threads or available_cores(), bar.step)
    faults = (*read.missing, *packed.skipped, *packed.damaged)
    for line in (*read.notes, *faults):
        typer.echo(line, err=True)
    skipped = f", {len(packed.skipped)} left out" if packed.skipped else ""
    typer.echo(
        f"{packed.recordings} recordings and {packed.photos} photos in {packed.shards} shards{skipped}; "
        f"their manifest is {packed.manifest}",
        err=True,
    )
    if faults:
        raise typer.Exit(1)


def describe(manifest: Manifest) -> dict[str, Any]:
    """What a manifest holds, as JSON can say it."""
    import numpy as np

    names = [taxon.scientific_name for taxon in manifest.taxa]
    told: dict[str, Any] = {"manifest": str(manifest.path), "taxa": len(names)}
    heard: dict[str, set[int]] = {}
    for kind, samples in (("recordings", manifest.recordings), ("photos", manifest.photos)):
        heard[kind] = set(np.unique(samples.taxon).tolist())
        sources = samples.source_codes()
        told[kind] = {
            "rows": len(samples),
            "taxa": len(heard[kind]),
            "sources": int(sources.max(initial=-1)) + 1,
            "held_out_by_the_manifest": 0 if samples.held_out is None else int(samples.held_out.sum()),
            "source_repo": samples.counts("source_repo"),
            "licence": samples.counts("licence"),
        }
    told["without_recordings"] = [name for row, name in enumerate(names) if row not in heard["recordings"]]
    told["without_photos"] = [name for row, name in enumerate(names) if row not in heard["photos"]]
    told["without_common_name"] = [taxon.scientific_name for taxon in manifest.taxa if not taxon.common_name]
    return {**told, "left_out": list(manifest.missing), "notes": list(manifest.notes)}


def _read(paths: Sequence[Path], taxa: Path | None, media: Path | None) -> Manifest:
    from gallery import read_taxa
    from trainer.data.manifest import read_manifest

    return read_manifest(paths, read_taxa(taxa) if taxa else None, media)


def _lines(told: dict[str, Any]) -> list[str]:
    kinds = [told["recordings"], told["photos"]]

    width = 4 + max(24, *(len(value) for kind in kinds for name in ("source_repo", "licence") for value in kind[name]))

    def row(name: str, *values: object) -> str:
        return f"{name:<{width}}" + "".join(f"{value:>12}" for value in values)

    lines = [f"{told['manifest']}: {told['taxa']} taxa", row("", "recordings", "photos")]
    for name in ("rows", "taxa", "sources", "held_out_by_the_manifest"):
        lines.append(row(name.replace("_", " "), *(kind[name] for kind in kinds)))
    for name in ("source_repo", "licence"):
        lines.append(name.replace("_repo", ""))
        every = {**kinds[0][name], **kinds[1][name]}
        most = sorted(every, key=lambda value: -sum(kind[name].get(value, 0) for kind in kinds))
        for value in most[:SHOWN]:
            lines.append(row(f"  {value or '(none)'}", *(kind[name].get(value, 0) for kind in kinds)))
        if most[SHOWN:]:
            rest = [sum(kind[name].get(value, 0) for value in most[SHOWN:]) for kind in kinds]
            lines.append(row(f"  {len(most) - SHOWN} more", *rest))
    for name, remark in (("recordings", ""), ("photos", ""), ("common_name", ", called by the scientific name")):
        lacking = told[f"without_{name}"]
        if lacking:
            some = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
            lines.append(f"{len(lacking)} taxa without {name.replace('_', ' ')}{remark}: {some}")
    lines += [f"note: {line}" for line in told["notes"]]
    return lines + [f"left out: {line}" for line in told["left_out"]]


class _Bar:
    """A progress bar on standard error, where that is a terminal.

    It has a descriptor of its own, since while sound is decoded what libraries say on the usual one is kept back.
    """

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

        own = os.fdopen(os.dup(2), "w") if sys.stderr.isatty() else None
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(file=own or sys.stderr), disable=own is None)
        self._task = self._progress.add_task("", total=total)

    def step(self) -> None:
        self._progress.advance(self._task)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._progress.stop()
