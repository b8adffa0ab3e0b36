"""Options that several commands of the trainer share, and the groups in which the help shows options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# Groups of options in the help.
STAGE = "Stage and model"
WEIGHTS = "Weights and pack to start from"
DATA = "Data"
RUN = "Run and output"
MACHINE = "Machine"
BENCHMARK = "Benchmark (with --benchmark)"

Manifests = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        help="Manifest, CSV or Parquet; sounds and photos may be two. Default: the starter data.",
        rich_help_panel=DATA,
    ),
]
Media = Annotated[
    Path | None, typer.Option(help="Folder of the files; default: the manifest's own.", rich_help_panel=DATA)
]
Taxa = Annotated[
    Path | None, typer.Option(help="Species table CSV; default: the one in the project.", rich_help_panel=DATA)
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=MACHINE)]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 takes all cores.", rich_help_panel=MACHINE)]
