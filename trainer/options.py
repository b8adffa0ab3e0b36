"""Options that several commands of the trainer share, and the groups in which the help shows options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# Groups of options in the help.
STAGE = "Stage and model"
WEIGHTS = "Initial weights"
DATA = "Data"
RUN = "Run and output"
MACHINE = "Machine"
BENCHMARK = "Benchmark (with --benchmark)"

HUB_SOURCE = "hf-hub:ORG/NAME[@REVISION] or a folder"

Tables = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="Manifests (CSV or Parquet); recordings and photos may be in two files."),
]
Manifests = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        metavar="FILE",
        help="Manifest (CSV or Parquet); the starter data if not given. May be repeated.",
        rich_help_panel=DATA,
    ),
]
Media = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder that paths in the manifest are relative to; the manifest's own if not given.",
        rich_help_panel=DATA,
    ),
]
Taxa = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Species table (CSV); if not given, the ranks in the manifest, else the project's table.",
        rich_help_panel=DATA,
    ),
]
FieldNoise = Annotated[
    Path | None,
    typer.Option(
        "--field",
        metavar="FOLDER",
        help="Folder of field noise (maad_*.flac) for mixtures; the one beside the data if not given.",
        rich_help_panel=DATA,
    ),
]
Checkpoint = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of a trained stage.", rich_help_panel=STAGE)]
ProbedModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="FOLDER|TEXT",
        help="Folder of a trained stage, or KIND[:SOURCE] as in the benchmark.",
        rich_help_panel=STAGE,
    ),
]
Excerpt = Annotated[
    str,
    typer.Option(
        metavar="windows|onset",
        help="Part of each recording to embed: windows (all, as on the device) or onset (10 s, as published).",
        rich_help_panel=DATA,
    ),
]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Device to compute on.", rich_help_panel=MACHINE)]
Threads = Annotated[
    int, typer.Option(min=0, metavar="NUMBER", help="Number of CPU threads (0 = all cores).", rich_help_panel=MACHINE)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.", rich_help_panel=RUN)]
