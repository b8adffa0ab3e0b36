"""``biovita-edge gallery photos add``: photos from public archives for the species of a gallery."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeapp.collect.defaults import KEEP_FREE_MB, MB
from edgeapp.commands.download_options import Addresses, KeepFree, Rate, SpeciesList
from edgeapp.commands.gallery.files import complain_of, refuse_packed
from edgeapp.commands.options import PackOption
from edgeapp.commands.place import LeastOption
from edgeapp.config.panels import CHOICE, DOWNLOAD, PLACE, SOURCES
from edgeapp.errors import OutputError, UsageError
from edgeapp.pack.format import Pack
from edgeapp.pack.installed import load_pack
from edgeapp.terminal import complain, tell

if TYPE_CHECKING:
    from gallery.taxon import Taxon

ARCHIVES = ("commons", "inaturalist", "gbif")
FOLDER_SUFFIX = ".photos"


def add(
    gallery: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Gallery file; a missing one begins as a copy of the pack's gallery."),
    ],
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="DEGREES",
            help="Only species expected here: LATITUDE,LONGITUDE or the box SOUTH,WEST,NORTH,EAST.",
            rich_help_panel=PLACE,
        ),
    ] = None,
    range_table: Annotated[
        Path | None,
        typer.Option(
            "--range-table",
            metavar="FILE",
            help="Ranges (CSV) that --region is compared with; the pack's occurrence model if not given.",
            rich_help_panel=PLACE,
        ),
    ] = None,
    min_occurrence: LeastOption = None,
    species_list: SpeciesList = None,
    per_species: Annotated[
        int, typer.Option("--per-species", metavar="NUMBER", help="Photos of a species.", min=1, rich_help_panel=CHOICE)
    ] = 3,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence",
            metavar="TEXT",
            help="Licences that are taken, with * for the rest and | between them; all that may be shown if not given.",
            rich_help_panel=CHOICE,
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="|".join(ARCHIVES),
            help="Archive; may be repeated, the first goes before the others. Commons and iNaturalist if not given.",
            rich_help_panel=SOURCES,
        ),
    ] = None,
    wikipedia: Annotated[
        str,
        typer.Option(
            "--wikipedia",
            metavar="LANGUAGE",
            help="Wikipedia whose articles are asked for their pictures.",
            rich_help_panel=SOURCES,
        ),
    ] = "en",
    address: Addresses = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="FOLDER",
            help=f"Where photos are fetched to; beside the gallery, with {FOLDER_SUFFIX} after its name, if not given.",
            rich_help_panel=DOWNLOAD,
        ),
    ] = None,
    rate: Rate = None,
    keep_free: KeepFree = KEEP_FREE_MB,
    pack: PackOption = None,
) -> None:
    """Add photos of its species to a gallery, from public archives, with their authors and licences.

    Photos whose licence does not let them be shown are left out. The same command goes on where it was stopped.
    """
    from dataclasses import replace

    from edgeapp.collect.licences import Terms
    from edgeapp.collect.picture_gallery import fill, plan_of
    from edgeapp.collect.plan import addresses_of
    from edgeapp.collect.transfer import Limits
    from edgeapp.recognition.gallery_build import Filler
    from gallery.store import Gallery

    sources = tuple(dict.fromkeys(source or ARCHIVES[:2]))
    for name in sources:
        if name not in ARCHIVES:
            raise UsageError(f"--source {name!r} is no archive", f"use {', '.join(ARCHIVES)}")
    terms = Terms.of(licence) if licence is not None else None
    addresses = addresses_of(address or [])
    loaded = load_pack(pack)
    refuse_packed(gallery)
    taxa = _taxa(gallery if gallery.exists() else loaded.gallery_path(), loaded)
    species = _chosen(taxa, loaded, region, range_table, min_occurrence, species_list)
    if not species:
        raise UsageError("no species is left to be asked for", "check --region and --species-list")
    where = folder if folder is not None else gallery.with_name(gallery.name + FOLDER_SUFFIX)
    try:
        plan = plan_of(where, taxa, species, per_species, sources, wikipedia, terms)
        if not gallery.exists():
            _copy(loaded.gallery_path(), gallery)
    except OSError as error:
        raise OutputError(
            f"{gallery}: cannot be written ({error.strerror or error})", "check the folder and the free space"
        ) from None
    plan = replace(plan, addresses=addresses, per_s=rate, limits=Limits(keep_free=int(keep_free * MB)))
    tell(f"{gallery}: asking {', '.join(sources)} for photos of {len(species):,} species")
    with Gallery.open(gallery, identity=loaded.identity, readonly=False) as opened:
        filler = Filler(opened, loaded, thumbnails=True, tell=complain_of)
        try:
            filled = fill(plan, filler, complain)
        except KeyboardInterrupt:
            complain(f"stopped; what came is in {where}, and the same command goes on")
            raise
    for line in filler.report.notes:
        tell(" ".join(line.split()))
    failed = f"; {len(filler.report.failed)} failed" if filler.report.failed else ""
    tell(
        f"{gallery}: {filled.added:,} photos added{failed}; "
        f"{filled.with_photos:,} of {filled.species:,} species have photos of {where}"
    )
    if filler.report.failed or not filled.report.whole:
        raise typer.Exit(1)


def _chosen(
    taxa: list[Taxon],
    pack: Pack,
    region: str | None,
    range_table: Path | None,
    least: float | None,
    species_list: Path | None,
) -> list[str]:
    """Accepted names of the species that are asked for, in the order of the gallery."""
    from edgeapp.collect.plan import species_of
    from edgeapp.collect.region import Region, species_of_region
    from edgeapp.pack.names import names_of
    from gallery.errors import TaxonError

    if region is None and (range_table is not None or least is not None):
        raise UsageError("--range-table and --min-occurrence go with --region", "say where, with --region")
    chosen = {taxon.scientific_name for taxon in taxa}
    if region is not None:
        chosen &= set(species_of_region(Region.of(region), taxa, pack, range_table, least))
    if species_list is not None:
        names, listed, unknown = names_of(taxa), set(), []
        for name in species_of(species_list):
            try:
                listed.add(names.find(name, suggest=False).scientific_name)
            except TaxonError:
                unknown.append(name)
        if unknown:
            some = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
            complain(f"{species_list}: {len(unknown):,} names are not in the gallery, and get no photos: {some}")
        chosen &= listed
    return [taxon.scientific_name for taxon in taxa if taxon.scientific_name in chosen]


def _taxa(path: Path, pack: Pack) -> list[Taxon]:
    from gallery.store import Gallery

    with Gallery.open(path, identity=pack.identity) as opened:
        return opened.taxa()


def _copy(source: Path, target: Path) -> None:
    from gallery import files

    with files.replacing(target, parents=True) as part:
        shutil.copyfile(source, part)
