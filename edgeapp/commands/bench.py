"""``biovita-edge bench``: speed, memory and correctness of a pack on this device."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from typing import Annotated, Any

import typer

from edgeapp.commands.options import GalleryOption, PackOption, ProviderOption, ThreadsOption
from edgeapp.doctor.bench import Bench
from edgeapp.doctor.bench import bench as measure
from edgeapp.errors import UsageError
from edgeapp.pack.installed import load_pack
from edgeapp.terminal import counted, say

DECIMALS = 4


class Format(str, Enum):
    """Output format."""

    TABLE = "table"
    JSON = "json"


def bench(
    pack: PackOption = None,
    gallery: GalleryOption = None,
    threads: ThreadsOption = None,
    provider: ProviderOption = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="SECONDS", help="Length of the recording to identify.")
    ] = 300.0,
    windows: Annotated[
        int, typer.Option("--windows", metavar="NUMBER", help="Number of windows timed individually.", min=1)
    ] = 50,
    format: Annotated[
        Format, typer.Option("--format", "-f", metavar="table|json", help="Output format.")
    ] = Format.TABLE,
) -> None:
    """Measure speed, memory, power and encoder parity on this device."""
    if not 10 <= seconds < float("inf"):
        raise UsageError(f"--seconds must be at least 10, not {seconds:g}", "give a longer recording")
    measured = measure(load_pack(pack), gallery, threads, provider, seconds, windows)
    if format is Format.JSON:
        typer.echo(json.dumps(_rounded(asdict(measured)), indent=2, ensure_ascii=False))
        return
    rows = table(measured)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"{name:<{width}}  {value}".rstrip())


def table(measured: Bench) -> list[tuple[str, str]]:
    """Names and values, versions first."""
    parity, watts = measured.parity, measured.watts
    stored = parity.stored.get("least")
    rows = [(name, str(value)) for name, value in measured.machine.items()]
    rows += [
        ("pack", f"{measured.pack} {measured.pack_version}"),
        ("", ""),
        ("encoder ran on", f"{measured.provider}, {counted(measured.threads, 'thread')}"),
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
