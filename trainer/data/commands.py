"""`python -m trainer data`: describe manifests, and pack them into shards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeapp.commands.collect import collect
from edgeapp.terminal import tell
from trainer.options import RUN, AsJson, Media, Tables, Taxa, Threads

if TYPE_CHECKING:
    from trainer.data.manifest import Manifest

SHOWN = 12  # values of a column; the others are counted together

data = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Collect data sets, describe them, and pack them into shards.",
)
data.command(name="collect")(collect)


@data.command()
def info(
    manifest: Tables,
    taxa: Taxa = None,
    media: Media = None,
    as_json: AsJson = False,
) -> None:
    """Describe a manifest, and list the rows that cannot be used and why. No recording or photo is opened."""
    described = describe(_read(manifest, taxa, media))
    if as_json:
        typer.echo(json.dumps(described, ensure_ascii=False, indent=1))
    else:
        for line in _lines(described):
            typer.echo(line)
    if described["left_out"]:
        raise typer.Exit(1)


@data.command()
def shard(
    manifest: Tables,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the shards.", rich_help_panel=RUN)],
    shard_mb: Annotated[int, typer.Option(min=1, metavar="MB", help="Size of a shard.", rich_help_panel=RUN)] = 1000,
    taxa: Taxa = None,
    media: Media = None,
    threads: Threads = 0,
) -> None:
    """Pack recordings and photos into tar shards with a manifest. Repeat the command to resume an interrupted run."""
    from edgeapp.board.machine import available_cores
    from edgeapp.progress_bar import progress
    from trainer.data.shards import write_shards

    read = _read(manifest, taxa, media)
    with progress("samples", len(read.recordings) + len(read.photos)) as done:
        packed = write_shards(read, out, shard_mb, threads or available_cores(), lambda: done(1))
    faults = (*read.missing, *packed.skipped, *packed.damaged)
    for line in (*read.notes, *faults):
        tell(line)
    skipped = f", {len(packed.skipped)} left out" if packed.skipped else ""
    tell(
        f"{packed.recordings} recordings and {packed.photos} photos in {packed.shards} shards{skipped}; "
        f"their manifest is {packed.manifest}"
    )
    if faults:
        raise typer.Exit(1)


def describe(manifest: Manifest) -> dict[str, Any]:
    """A manifest in numbers, as values of JSON."""
    import numpy as np

    names = [taxon.scientific_name for taxon in manifest.taxa]
    described: dict[str, Any] = {"manifest": str(manifest.path), "taxa": len(names)}
    present: dict[str, set[int]] = {}
    for kind, samples in (("recordings", manifest.recordings), ("photos", manifest.photos)):
        present[kind] = set(np.unique(samples.taxon).tolist())
        sources = samples.source_codes()
        described[kind] = {
            "rows": len(samples),
            "taxa": len(present[kind]),
            "sources": int(sources.max(initial=-1)) + 1,
            "held_out_by_the_manifest": 0 if samples.held_out is None else int(samples.held_out.sum()),
            "source_repo": samples.counts("source_repo"),
            "licence": samples.counts("licence"),
        }
    for kind in present:
        described[f"without_{kind}"] = [name for row, name in enumerate(names) if row not in present[kind]]
    described["without_common_name"] = [taxon.scientific_name for taxon in manifest.taxa if not taxon.common_name]
    return {**described, "left_out": list(manifest.missing), "notes": list(manifest.notes)}


def _read(paths: Sequence[Path], taxa: Path | None, media: Path | None) -> Manifest:
    from gallery import read_taxa
    from trainer.data.manifest import read_manifest

    return read_manifest(paths, read_taxa(taxa) if taxa else None, media)


def _lines(described: dict[str, Any]) -> list[str]:
    kinds = [described["recordings"], described["photos"]]
    width = 4 + max(24, *(len(value) for kind in kinds for name in ("source_repo", "licence") for value in kind[name]))

    def row(name: str, *values: object) -> str:
        return f"{name:<{width}}" + "".join(f"{value:>12}" for value in values)

    lines = [f"{described['manifest']}: {described['taxa']} taxa", row("", "recordings", "photos")]
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
    for name, remark in (("recordings", ""), ("photos", ""), ("common_name", " (the scientific name is used)")):
        lacking = described[f"without_{name}"]
        if lacking:
            some = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
            lines.append(f"{len(lacking)} taxa without {name.replace('_', ' ')}{remark}: {some}")
    lines += [f"note: {line}" for line in described["notes"]]
    return lines + [f"left out: {line}" for line in described["left_out"]]
