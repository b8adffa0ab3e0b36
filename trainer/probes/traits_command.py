"""`python -m trainer traits`: predict traits of species from embeddings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from edgeapp.progress_bar import progress
from edgeapp.species_lists import listed
from trainer.errors import ConfigError
from trainer.options import DATA, RUN, STAGE, AsJson, Device, Excerpt, ProbedModel, Taxa, Threads
from trainer.probes.command_line import NAMED, opened, tell

TRAITS, PROBE = "Traits", "Probe"  # groups of options in the help

if TYPE_CHECKING:
    from edgeapp.collect.traits.schema import TraitTable
    from trainer.probes.trait_data import TraitData
    from trainer.probes.traits import TraitScore


def traits(
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Trait values: CSV with scientific_name and a column per label.",
            rich_help_panel=TRAITS,
        ),
    ] = None,
    avonet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="AVONET's species table (birds).", rich_help_panel=TRAITS)
    ] = None,
    model: ProbedModel = None,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Precomputed vectors: .npz with audio, audio_species, image and image_species.",
            rich_help_panel=STAGE,
        ),
    ] = None,
    bench: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="BioVITA Bench that --features belong to, for the species of their ids.",
            rich_help_panel=STAGE,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Manifest for --model; the starter data if not given.", rich_help_panel=DATA),
    ] = None,
    taxa: Taxa = None,
    most: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="NUMBER",
            help="Maximum number of recordings, and of photos, per species (--model).",
            rich_help_panel=DATA,
        ),
    ] = 30,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save the vectors of --model, for --features.", rich_help_panel=RUN),
    ] = None,
    unseen: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Test species, one per line, in place of folds; all others are trained on.",
            rich_help_panel=PROBE,
        ),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            min=2,
            metavar="NUMBER",
            help="Number of folds (over species) of the cross-validation.",
            rich_help_panel=PROBE,
        ),
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Seed of the folds.", rich_help_panel=PROBE)] = 1,
    penalty: Annotated[
        float,
        typer.Option(metavar="NUMBER", help="L2 penalty, relative to the mean loss.", rich_help_panel=PROBE),
    ] = 1e-3,
    balanced: Annotated[
        bool, typer.Option(help="Give yes and no equal total weight in training.", rich_help_panel=PROBE)
    ] = True,
    excerpt: Excerpt = "windows",
    device: Device = "auto",
    threads: Threads = 0,
    as_json: AsJson = False,
) -> None:
    """Train a linear probe for each trait on frozen vectors; F1 on species that the probe was not trained on."""
    from edgeapp.collect.traits.avonet import from_avonet
    from edgeapp.collect.traits.schema import read_traits
    from gallery import read_taxa, starter_taxa
    from trainer.probes.trait_data import from_benchmark, from_file, from_manifest, write
    from trainer.probes.traits import ProbeConfig, probe

    if (model is None) == (features is None):
        raise ConfigError("either --model or --features is required", "name a trained stage with --model")
    if bench is not None and features is None:
        raise ConfigError("--bench goes with --features", "give the features of this benchmark")
    if keep is not None and model is None:
        raise ConfigError("--keep goes with --model", "leave it out: --features are saved already")
    config = ProbeConfig(folds=folds, penalty=penalty, balanced=balanced)
    species = read_taxa(taxa) if taxa else starter_taxa()
    if table is not None and avonet is None:
        known = read_traits(table).with_names_of(species)
    elif avonet is not None and table is None:
        known = from_avonet(avonet).with_names_of(species)
    else:
        raise ConfigError("either --table or --avonet is required", "name the table of trait values")
    tested = [name for _, name in listed(unseen)] if unseen else ()
    if features is not None:
        found = from_benchmark(features, bench) if bench else from_file(features)
    else:
        from trainer.data.manifest import default_manifest, read_manifest

        manifest = read_manifest(data or default_manifest(), species if taxa or data is None else None)
        encoder = opened(str(model), device, excerpt, threads)
        with progress("recordings and photos") as done:
            found = from_manifest(encoder, manifest, seed, most, done)
        if keep is not None:
            write(keep, found)
    scores = {
        name: probe(part.vectors, part.species, known, seed, name, config, tested) for name, part in found.parts.items()
    }
    if as_json:
        settings = {"table": str(known.path), "seed": seed, **dataclasses.asdict(config)}
        print(json.dumps({**settings, **_document(known, found, scores)}, indent=1))
    else:
        _show(scores, f"F1 on species not trained on: {known.path.name}, seed {seed}")
    for name, part in found.parts.items():
        absent = known.absent(part.species)
        if absent:
            more = ", …" if len(absent) > NAMED else ""
            tell(f"{name}, species not in {known.path.name}", [f"{len(absent)} ({', '.join(absent[:NAMED])}{more})"])
    tell("column matches no label", known.ignored)
    tell("note", found.remarks)
    tell("left out", found.notes)
    if found.notes and model is not None:
        raise typer.Exit(1)


def _document(known: TraitTable, found: TraitData, scores: Mapping[str, Sequence[TraitScore]]) -> dict[str, Any]:
    """The scores as `--json` prints them."""
    from trainer.probes.traits import macro, measured_in_all

    alike = measured_in_all(scores)
    return {
        "modalities": {
            name: {
                "macro": dataclasses.asdict(macro(own)),
                "macro_of_labels_measured_in_all": dataclasses.asdict(macro(own, alike)),
                "not_in_table": known.absent(found.parts[name].species),
                "labels": [dataclasses.asdict(score) for score in own],
            }
            for name, own in scores.items()
        },
        "ignored_columns": known.ignored,
        "left_out": found.notes,
    }


def _show(scores: Mapping[str, Sequence[TraitScore]], title: str) -> None:
    """Print a row for each measured label, by group, the means, and the labels that could not be measured."""
    from trainer.probes.traits import macro, measured_in_all

    shown = Table(title=title, caption="all yes: F1 if every answer is yes")
    shown.add_column("label", no_wrap=True)
    for name in scores:
        for column in (f"{name} F1", "all yes", "species yes"):
            shown.add_column(column, justify="right")
    before = ""
    for row in zip(*scores.values()):
        if all(score.f1 is None for score in row):
            continue
        if row[0].group != before:
            before = row[0].group
            shown.add_section()
        each = [
            (_share(score.f1), _share(score.constant_f1), f"{score.positive_species}/{score.species}") for score in row
        ]
        shown.add_row(row[0].label, *(cell for three in each for cell in three))
    shown.add_section()
    alike = measured_in_all(scores)
    means = {"mean": [macro(own) for own in scores.values()]}
    if any(mean.labels != len(alike) for mean in means["mean"]):
        means["mean, in all"] = [macro(own, alike) for own in scores.values()]
    for name, mean_row in means.items():
        each = [(_share(mean.f1), _share(mean.constant_f1), f"of {mean.labels}") for mean in mean_row]
        shown.add_row(name, *(cell for three in each for cell in three))
    console = Console()
    console.print(shown)
    for modality, own in scores.items():
        unknown = [score.label for score in own if not score.species]
        few = [
            f"{score.label} ({score.positive_species} yes, {score.species - score.positive_species} no)"
            for score in own
            if score.species and score.f1 is None
        ]
        for what, labels in (("not in the table", unknown), ("too few species to measure", few)):
            if labels:
                console.print(f"{modality}, {what}: {', '.join(labels)}", highlight=False, soft_wrap=True)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
