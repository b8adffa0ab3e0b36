"""`python -m trainer --stage 1`: train a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from edgeapp.board.machine import available_cores
from trainer.errors import ConfigError
from trainer.options import (
    DATA,
    HUB_SOURCE,
    MACHINE,
    RUN,
    STAGE,
    WEIGHTS,
    Device,
    Manifests,
    Media,
    Taxa,
    Threads,
)


def train(
    context: typer.Context,
    stage: Annotated[
        str | None,
        typer.Option(
            metavar="base|1|2",
            help="base (image and text), 1 (audio and text) or 2 (all three).",
            rich_help_panel=STAGE,
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="vita (the stages), text-distillation (audio against frozen names, no images) or student (distil a "
            "large audio encoder into a small one, on unlabelled recordings).",
            rich_help_panel=STAGE,
        ),
    ] = "vita",
    teacher: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Checkpoint to distil (student).", rich_help_panel=STAGE)
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="starter, biovita (full size), birdnet, or trunk: names and photos in the embedding space of any pack "
            "with class vectors.",
            rich_help_panel=STAGE,
        ),
    ] = "starter",
    pack: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER",
            help="Pack with class vectors, for birdnet and trunk; birdnet if not given. For a --teacher trained in the "
            "space of a pack, that pack, if it is not installed by its name.",
            rich_help_panel=WEIGHTS,
        ),
    ] = None,
    withhold: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Taxa left out of training by birdnet and trunk, to measure unseen names: one name per line, or a CSV "
            "with scientific_name.",
            rich_help_panel=WEIGHTS,
        ),
    ] = None,
    manifests: Manifests = None,
    media: Media = None,
    taxa: Taxa = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the run, with one folder per stage; runs/PRESET if not given.",
            rich_help_panel=RUN,
        ),
    ] = None,
    pretrained: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the public weights of the small networks; the one beside the data if not given.",
            rich_help_panel=WEIGHTS,
        ),
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER",
            help=f"CLAP weights of biovita: {HUB_SOURCE}; or a pack with class vectors, such as birdnet, whose encoder "
            "stays frozen and gets an adapter. For starter, the folder of a finished student, whose audio trunk it "
            "starts from.",
            rich_help_panel=WEIGHTS,
        ),
    ] = None,
    bioclip: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER", help=f"BioCLIP 2 weights of biovita: {HUB_SOURCE}.", rich_help_panel=WEIGHTS
        ),
    ] = None,
    held_out: Annotated[
        float,
        typer.Option(
            metavar="FRACTION",
            help="Share of the sources of each taxon to hold out; 0 trains on all of them.",
            rich_help_panel=DATA,
        ),
    ] = 0.2,
    seed: Annotated[
        int,
        typer.Option(min=0, metavar="NUMBER", help="Seed of the split and of all random draws.", rich_help_panel=DATA),
    ] = 1,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Number of epochs; the preset's if not given.", rich_help_panel=STAGE),
    ] = None,
    changed: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=TEXT",
            help="Change a setting of the stage, such as lr=1e-4. May be repeated.",
            rich_help_panel=STAGE,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="NUMBER",
            help="Number of decoding processes (biovita); all cores but one if not given.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = 0,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Train the stage from the beginning instead of resuming.", rich_help_panel=RUN),
    ] = False,
) -> None:
    """Train a stage of the aligned encoders. Repeat the command to resume an interrupted run."""
    if context.invoked_subcommand is not None:
        return
    from trainer.presets import DISTILL, STUDENT, find_preset, with_settings
    from trainer.ranks import leave
    from trainer.session import Options, Session
    from trainer.trunk.session import TrunkOptions, TrunkSession

    recipes = {"text-distillation": DISTILL, "student": STUDENT}
    if recipe in recipes:
        if stage not in (None, recipes[recipe]):
            raise ConfigError(f"--recipe {recipe} has no stage {stage}", "leave out --stage")
        stage = recipes[recipe]
    elif recipe != "vita":
        raise ConfigError(f"recipe '{recipe}' does not exist", f"choose vita, {' or '.join(recipes)}")
    if stage == STUDENT and teacher is None:
        raise ConfigError("--recipe student needs a teacher", "name its checkpoint with --teacher")
    if stage != STUDENT and teacher is not None:
        raise ConfigError("--teacher goes with --recipe student", "give both, or leave out --teacher")
    if stage is None:
        raise ConfigError("no stage given", "give --stage base, --stage 1 or --stage 2")
    chosen = find_preset(preset)
    if epochs is not None:
        if epochs < 1:
            raise ConfigError(f"--epochs {epochs} is less than 1", "leave it out for the preset's own")
        changed = [f"epochs={epochs}", *(changed or [])]
        if stage in chosen.stages and chosen.stages[stage].after == "base":  # which may have to be trained first
            chosen = with_settings(chosen, "base", [f"epochs={epochs}"])
    if stage in chosen.stages:
        chosen = with_settings(chosen, stage, changed or [])
    shared: dict[str, Any] = {
        "preset": chosen,
        "data": tuple(manifests or ()),
        "media": media,
        "out": out or Path("runs") / preset,
        "pretrained": pretrained,
        "held_out": held_out,
        "seed": seed,
        "device": device,
        "threads": threads or available_cores(),
        "restart": restart,
    }
    try:
        session: Session | TrunkSession
        if chosen.towers.family == "trunk":
            refuse(
                preset,
                {"--taxa": taxa, "--audio": audio, "--bioclip": bioclip, "--workers": workers, "--teacher": teacher},
            )
            if not (stage in chosen.stages and chosen.stages[stage].after):
                refuse(f"{preset}, stage {stage}", {"--pretrained": pretrained})
            if pack is None and preset != "birdnet":
                raise ConfigError(f"preset {preset} needs a pack", "name it with --pack")
            trunk_options = TrunkOptions(**shared, pack=pack or "birdnet", withhold=withhold)
            session = TrunkSession(trunk_options, Console(stderr=True))
        else:
            if withhold is not None or (pack is not None and teacher is None):
                raise ConfigError("--pack and --withhold go with the presets birdnet and trunk", "leave them out")
            if stage == STUDENT:
                refuse_with("--recipe student", {"--audio": audio, "--bioclip": bioclip})
            elif chosen.towers.family == "starter":
                refuse(preset, {"--bioclip": bioclip})
            processes = available_cores() - 1 if workers is None else workers
            options = Options(
                **shared, taxa=taxa, workers=processes, audio=audio, bioclip=bioclip, teacher=teacher, pack=pack
            )
            session = Session(options, Console(stderr=True))
        session.train(stage)
    finally:
        leave()
    if session.failed:
        raise typer.Exit(1)


def refuse(preset: str, given: dict[str, object]) -> None:
    """Refuse options that have no effect with a preset, see `refuse_with`."""
    refuse_with(f"preset {preset}", given)


def refuse_with(what: str, given: dict[str, object]) -> None:
    """Refuse options that have no effect with something else that was chosen.

    Raises
    ------
    ConfigError
        Naming the first one that was given.
    """
    for option, value in given.items():
        if value is not None:
            raise ConfigError(f"{option} has no effect with {what}", "leave it out")
