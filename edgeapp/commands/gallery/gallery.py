"""``biovita-edge gallery``: look at galleries, build them, add a species by its name, photos or recordings."""

from __future__ import annotations

import json as json_module
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeapp.commands.gallery.check import check
from edgeapp.commands.gallery.exchange import export, import_, merge
from edgeapp.commands.gallery.files import Changed, Shown, complain_of, refuse_packed, shown
from edgeapp.commands.gallery.photos import app as photos_app
from edgeapp.commands.gallery.search import list_taxa, search
from edgeapp.commands.options import ChannelOption, JsonOption, LanguageOption, PackOption
from edgeapp.errors import UsageError
from edgeapp.pack.format import PACK_GALLERY, Pack, adopt_gallery
from edgeapp.pack.installed import find_pack, load_found, load_pack
from edgeapp.terminal import say, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeapp.recognition.material import Material
    from gallery.entry import Rejection
    from gallery.taxon import Taxon

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", help="Inspect, build and edit galleries.")

app.add_typer(photos_app, name="photos")

# Groups of options in the help.
MATERIAL = "Photos and recordings"
NEW_SPECIES = "New species"
ATTRIBUTION = "Attribution"
SCIENTIFIC = re.compile(r"[A-Z][a-z]+(?:-[A-Za-z]+)? (?:x |× ?)?[a-z(]")  # genus, and the beginning of an epithet

Table = Annotated[
    Path | None, typer.Option("--taxa", metavar="FILE", help="Species table (CSV); the project's own if not given.")
]
Thumbnails = Annotated[
    bool,
    typer.Option("--thumbnails/--no-thumbnails", help="Keep small JPEGs of photos whose licence lets them be shown."),
]


@app.command()
def info(
    gallery: Shown = None,
    pack: PackOption = None,
    json: JsonOption = False,
) -> None:
    """Show the contents of a gallery and the encoders that made it."""
    from gallery.store import Gallery

    with Gallery.open(shown(gallery, pack)) as opened:
        found = opened.info()
    if json:
        typer.echo(json_module.dumps(found, indent=2, ensure_ascii=False))
        return
    width = max(map(len, found))
    for key, value in found.items():
        text = ", ".join(f"{k or 'not given'}: {v}" for k, v in value.items()) if isinstance(value, dict) else value
        say(f"{key:<{width}} {text}")


@app.command("list")
def list_(
    gallery: Shown = None,
    pack: PackOption = None,
    json: JsonOption = False,
    language: LanguageOption = None,
) -> None:
    """List the taxa of a gallery with their number of entries per modality."""
    list_taxa(shown(gallery, pack), None, json, language)


app.command()(search)


@app.command()
def build(
    gallery: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Gallery file; the own gallery of --pack if not given.")
    ] = None,
    pack: PackOption = None,
    taxa: Annotated[
        Path | None,
        typer.Option(
            "--taxa",
            metavar="FILE",
            help="Species table (CSV); the species of --manifest if it gives their ranks, else the project's own.",
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            "--photos", metavar="FOLDER", help="Folder with one folder of photos per species.", rich_help_panel=MATERIAL
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            "--manifest",
            metavar="FILE",
            help="CSV with one row per photo or recording, or the manifest of a collection (Parquet).",
            rich_help_panel=MATERIAL,
        ),
    ] = None,
    modalities: Annotated[
        str,
        typer.Option(
            "--modalities",
            metavar="MODALITIES",
            help="Entries to make, separated by commas: text, image, audio.",
            rich_help_panel=MATERIAL,
        ),
    ] = "text,image",
    thumbnails: Thumbnails = True,
) -> None:
    """Build a gallery from a species table, photos and recordings; an existing one is replaced atomically."""
    from edgeapp.recognition import gallery_build
    from edgeapp.recognition import material as materials

    found = find_pack(pack)
    if gallery is None and found.name is not None:
        raise UsageError(
            f"the gallery of the installed pack {found.name!r} cannot be rebuilt",
            "name a file, or the folder of your own pack with --pack",
        )
    if gallery is not None:
        refuse_packed(gallery)
    loaded = load_found(found)
    target = gallery if gallery is not None else loaded.path(PACK_GALLERY)
    wanted = _modalities(modalities, loaded)
    table = (_taxa_of(manifest) if taxa is None and manifest is not None else []) or _table(taxa)
    # Read whole before anything is encoded: a manifest without a column must not cost an hour of photos.
    material = [
        *(materials.photo_folder(photos, table) if photos else ()),
        *(_listed(manifest) if manifest else ()),
    ]
    report = gallery_build.build_gallery(target, loaded, table, material, wanted, thumbnails, complain_of)
    if gallery is None:
        adopt_gallery(loaded)
    _tell(target, report)


def _listed(manifest: Path) -> Iterator[Material | Rejection]:
    """What a manifest names, a table of text or that of a collection."""
    from edgeapp.collect.material import SUFFIXES, collected
    from edgeapp.recognition.material import manifest as listed

    return collected(manifest) if manifest.suffix.lower() in SUFFIXES else listed(manifest)


def _taxa_of(manifest: Path) -> list[Taxon]:
    """The species of a manifest that gives their ranks; none otherwise."""
    from edgeapp.collect import material as of_collection
    from edgeapp.recognition import material as of_text

    rows = of_collection.rows if manifest.suffix.lower() in of_collection.SUFFIXES else of_text.rows
    return of_text.taxa_of(rows(manifest))


@app.command()
def add(
    gallery: Changed,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Scientific name, or common name in any language.")],
    photo: Annotated[
        list[Path] | None,
        typer.Option(
            "--photo", metavar="FILE", help="Photo of the species. May be repeated.", rich_help_panel=MATERIAL
        ),
    ] = None,
    recording: Annotated[
        list[Path] | None,
        typer.Option(
            "--recording", metavar="FILE", help="Recording of the species. May be repeated.", rich_help_panel=MATERIAL
        ),
    ] = None,
    new: Annotated[
        bool,
        typer.Option(
            "--new",
            help="Allow a species that is in neither the gallery nor the species table.",
            rich_help_panel=NEW_SPECIES,
        ),
    ] = False,
    common_name: Annotated[
        str,
        typer.Option(
            "--common-name", metavar="NAME", help="English name of a new species.", rich_help_panel=NEW_SPECIES
        ),
    ] = "",
    family: Annotated[
        str,
        typer.Option(
            "--family",
            metavar="TAXON",
            help="Family of a new species, if its genus is new too.",
            rich_help_panel=NEW_SPECIES,
        ),
    ] = "",
    author: Annotated[
        str,
        typer.Option(
            "--author", metavar="TEXT", help="Author of the photos and recordings.", rich_help_panel=ATTRIBUTION
        ),
    ] = "",
    licence: Annotated[
        str,
        typer.Option(
            "--licence", metavar="TEXT", help="Licence of the photos and recordings.", rich_help_panel=ATTRIBUTION
        ),
    ] = "",
    source: Annotated[
        str,
        typer.Option(
            "--source", metavar="TEXT", help="Source of the photos and recordings.", rich_help_panel=ATTRIBUTION
        ),
    ] = "",
    channel: ChannelOption = "mix",
    pack: PackOption = None,
    taxa: Table = None,
    thumbnails: Thumbnails = True,
) -> None:
    """Add a species to a gallery: by its name alone, or with photos and recordings for a higher accuracy."""
    from edgeapp.audio.channels import Channel
    from edgeapp.recognition.gallery_build import Filler
    from edgeapp.recognition.material import Material
    from gallery.store import Gallery

    chosen = Channel.of(channel)
    refuse_packed(gallery)
    loaded = load_pack(pack)
    files = [(path, "image") for path in photo or ()] + [(path, "audio") for path in recording or ()]
    _modalities(",".join({"text", *(modality for _, modality in files)}), loaded)
    with Gallery.open(gallery, identity=loaded.identity, readonly=False) as opened, opened.transaction():
        known = opened.taxa()
        taxon = _meant(name, _known(taxa), known, new, common_name, family)
        added = opened.add_taxa([taxon]).added
        filler = Filler(opened, loaded, thumbnails, tell=complain_of, channel=chosen)
        if not opened.entries("text", taxon.scientific_name):
            filler.add_prompts([taxon])
        filler.add(Material(path, taxon.scientific_name, modality, author, licence, source) for path, modality in files)
        filler.report.taxa = added
    _tell(gallery, filler.report)


@app.command()
def remove(gallery: Changed, name: Annotated[str, typer.Argument(metavar="NAME", help="Scientific name.")]) -> None:
    """Remove a taxon and its entries from a gallery."""
    from edgeapp.pack.names import names_table
    from gallery.store import Gallery

    refuse_packed(gallery)
    with Gallery.open(gallery, readonly=False) as opened:
        entries = opened.remove_taxon(name, names_table())
    say(f"{gallery}: removed {name} and its {entries} entries")


app.command()(check)
app.command()(merge)
app.command()(export)
app.command("import")(import_)


def _modalities(text: str, pack: Pack) -> list[str]:
    from gallery.entry import MODALITIES

    modalities = text.split(",")
    for modality in modalities:
        if modality not in MODALITIES:
            raise UsageError(f"unknown modality {modality!r}", f"use {', '.join(MODALITIES)}")
        if modality not in pack.decision.scale and modality != "image":  # photos are kept to be shown
            raise UsageError(
                f"pack {pack.folder} cannot decide by {modality} entries",
                f"it was fitted for {', '.join(pack.decision.scale)}",
            )
    return modalities


def _table(path: Path | None) -> list[Taxon]:
    from gallery.taxon import read_taxa, starter_taxa

    return read_taxa(path) if path is not None else starter_taxa()


def _known(path: Path | None) -> list[Taxon]:
    """The species table; the project's own is followed by the species whose names come with the program."""
    from edgeapp.pack.names import shipped_species

    table = _table(path)
    if path is not None:
        return table
    names = {name for taxon in table for name in (taxon.scientific_name, *taxon.synonyms)}
    return table + [taxon for taxon in shipped_species() if names.isdisjoint((taxon.scientific_name, *taxon.synonyms))]


def _meant(name: str, table: list[Taxon], known: list[Taxon], new: bool, common_name: str, family: str) -> Taxon:
    """The taxon of a name: from the gallery, from the table, or a new one beside its relatives in either."""
    from edgeapp.pack.names import names_table
    from gallery.errors import TaxonError
    from gallery.names_table import key_of
    from gallery.taxon import Taxon, find

    if not new:
        for taxa in (known, table):
            try:
                return find(taxa, name, names_table())
            except TaxonError as error:
                missing = error
        raise TaxonError(missing.what, missing.remedy_or("a species in no table needs --new"))
    words = name.split()
    if not SCIENTIFIC.match(" ".join(words)):
        raise TaxonError(f"{name!r} is not a scientific name", "give genus and epithet, such as 'Parus major'")
    if there := next((one for one in known if key_of(one.scientific_name) == key_of(name)), None):
        return there
    genus = words[0]
    relatives = [*known, *table]
    near = next((one for one in relatives if one.genus == genus), None) or next(
        (one for one in relatives if family and one.family == family), None
    )
    return Taxon(
        scientific_name=" ".join(words),
        kingdom=near.kingdom if near else "",
        phylum=near.phylum if near else "",
        class_=near.class_ if near else "",
        order=near.order if near else "",
        family=near.family if near else family,
        genus=genus,
        common_names={"en": common_name} if common_name else {},
    )


def _tell(gallery: Path, report: object) -> None:
    from edgeapp.recognition.gallery_build import Report

    assert isinstance(report, Report)
    for line in report.notes:
        tell(" ".join(line.split()))
    entries = ", ".join(f"{n} {modality}" for modality, n in report.entries.items())
    left = f"; {len(report.left_out)} left out" if report.left_out else ""
    failed = f"; {len(report.failed)} failed" if report.failed else ""
    tell(f"{gallery}: {report.taxa} taxa added, entries added: {entries}{left}{failed}")
    if report.failed:
        raise typer.Exit(1)
