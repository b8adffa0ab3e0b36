"""``biovita-edge bench``: what this device does with this pack, for people or as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeapp.commands.options import PackOption
from edgeapp.doctor.bench import Bench
from edgeapp.doctor.bench import bench as measure
from edgeapp.errors import UsageError
from edgeapp.pack.installed import load_pack

DECIMALS = 4


class Format(str, Enum):
    """How the figures are shown."""

    TABLE = "table"
    JSON = "json"


def bench(
    pack: PackOption = None,
    gallery: Annotated[
        Path | None, typer.Option("--gallery", help="Gallery file; the pack's own if not given.")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Threads of the encoder.", min=1)] = None,
    provider: Annotated[
        str | None,
        typer.Option("--provider", help="What runs the encoder: auto, cpu, cuda, tensorrt, engine or engine-fp16."),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Length of the recording that is identified.")] = 300.0,
    windows: Annotated[int, typer.Option("--windows", help="Windows timed one by one.", min=1)] = 50,
    format: Annotated[Format, typer.Option("--format", "-f", help="table or json.")] = Format.TABLE,
) -> None:
    """Measure how fast this device is, what it needs, and whether its encoder is right."""
    if not 10 <= seconds < float("inf"):
        raise UsageError(f"a recording of {seconds:g} s says little", "give --seconds 10 or more")
    measured = measure(load_pack(pack), gallery, threads, provider, seconds, windows)
    if format is Format.JSON:
        typer.echo(json.dumps(_rounded(asdict(measured)), indent=2, ensure_ascii=False))
        return
    rows = table(measured)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"{name:<{width}}  {value}".rstrip())


def table(measured: Bench) -> list[tuple[str, str]]:
    """Names and values, versions first."""
    parity, watts = measured.parity, measured.watts
    stored = parity.stored.get("least")
    rows = [(name, str(value)) for name, value in measured.machine.items()]
    rows += [
        ("pack", f"{measured.pack} {measured.pack_version}"),
        ("", ""),
        ("encoder ran on", f"{measured.provider}, {measured.threads} thread{'s' if measured.threads > 1 else ''}"),
        ("start, 10-s clip", f"{measured.start_s:.2f} s"),
        *([("engine, built once", f"{built:.1f} s")] if (built := measured.engine_build_s) is not None else []),
        ("load, first time", f"{measured.first_load_s:.2f} s"),
        ("load, again", f"{measured.load_s:.2f} s"),
        ("window, p50", f"{measured.window_p50_ms:.1f} ms of {measured.windows_timed} windows"),
        ("window, p95", f"{measured.window_p95_ms:.1f} ms"),
        ("recording", f"{measured.times_real_time:.0f} times real time, {measured.seconds_per_hour:.2f} s an hour"),
        ("memory", f"{measured.peak_mb:.0f} MB at most"),
        ("power", f"{_watts(watts.busy)} ({_watts(watts.idle)} at rest), {watts.sensor}" if watts.sensor else "-"),
        ("parity", f"cosine {parity.least_cosine:.6f} with the plain graph on the CPU, least of {parity.windows}"),
        ("same species", f"{parity.same_species} of {parity.windows} windows"),
    ]
    if stored is not None:
        rows.append(("parity, stored", f"cosine {stored:.6f} of the graph with its checkpoint, when the pack was made"))
    return rows + [("note", note) for note in measured.notes]


def _watts(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} W"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, DECIMALS + 3) if isinstance(value, float) else value
