"""What the commands on the results of an archive share: their group, and the options that select detections."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgeapp.archive.queries.selection import Selection, folder_prefixes, taxa_called
from edgeapp.archive.queries.summary import Sites
from edgeapp.archive.results import lock
from edgeapp.archive.results.dataset import DataSet
from edgeapp.clock.zones import zone_of
from edgeapp.commands.archive.archive import archive
from edgeapp.config.panels import OUTPUT
from edgeapp.errors import GalleryError, PackError, UsageError
from edgeapp.pack.format import Pack
from edgeapp.pack.installed import installed_packs
from edgeapp.pack.names import shipped_species
from edgeapp.terminal import tell
from gallery.store import Gallery
from gallery.taxon import Taxon
from gallery.utc import datetime_of

SELECTION = "Selection"  # group of options in ``--help``
RUN = "run"  # the command that is meant where none is named


class ResultsGroup(TyperGroup):
    """A group in which what is not the name of a command is an argument of `RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `RUN` before arguments that begin with none of the commands."""
        if args and RUN in self.commands and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [RUN, *args]
        return list(super().parse_args(ctx, args))


app = typer.Typer(
    cls=ResultsGroup,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Identify the species in any number of recordings, and use the results.\n\n"
    "`archive FOLDER --output RESULTS` is short for `archive run`; a folder called like a command is `./summary`.",
)
app.command(RUN)(archive)

ResultsArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Results of `archive`.")]
SpeciesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--species",
        metavar="TAXON",
        help='Only this taxon, at any rank and in any language: "Parus major", "Aves". May be repeated.',
        rich_help_panel=SELECTION,
    ),
]
LeastConfidenceOption = Annotated[
    float,
    typer.Option("--min-confidence", metavar="CONFIDENCE", help="Minimum confidence.", rich_help_panel=SELECTION),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="Start, such as 2025-05-01 or 2025-05-01T04:30.", rich_help_panel=SELECTION
    ),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="End (exclusive).", rich_help_panel=SELECTION)
]
FolderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        help="Only recordings in this folder, or in one below it. May be repeated.",
        rich_help_panel=SELECTION,
    ),
]
ZoneOption = Annotated[
    str | None,
    typer.Option(
        "--zone",
        metavar="ZONE",
        help="Time zone, such as Europe/Berlin; that of this machine if not given.",
        rich_help_panel=OUTPUT,
    ),
]
DepthOption = Annotated[
    int | None,
    typer.Option(
        "--site-depth",
        metavar="NUMBER",
        help="Number of folders of the path that name a site; all if not given.",
        min=1,
        rich_help_panel=OUTPUT,
    ),
]


def opened(results: Path) -> DataSet:
    """The results in a folder; it is told if a run is adding to them.

    Raises
    ------
    UsageError, OutputError
        There are none, or they cannot be read.
    """
    data = DataSet(results)
    if lock.is_held(results):
        tell(f"{results}: a run is still hearing; what it has heard so far is used")
    return data


def selection_of(
    data: DataSet,
    species: Sequence[str] | None,
    least: float,
    since: str | None,
    until: str | None,
    folders: Sequence[str] | None,
    zone: tzinfo | None,
) -> Selection:
    """What the options select; names that are not known are told.

    Parameters
    ----------
    zone : tzinfo or None
        Of times that name none; this machine's when None.

    Raises
    ------
    UsageError, TaxonError
        A time, a confidence or a name is none.
    """
    if not 0 <= least <= 1:
        raise UsageError(f"--min-confidence must be between 0 and 1, not {least:g}", "give such as 0.5")
    taxa = None
    if species:
        taxa, unknown = taxa_called(species, (taxa_of_pack(data), shipped_species()))
        for line in unknown:
            tell(line)
    common = Sites(data).common if folders else ""
    prefixes = [folder_prefixes(folder, data.record.base, common) for folder in folders or ()]
    everything = any(not one for one in prefixes)  # such as the folder that all lie in
    return Selection(
        taxa,
        least,
        time_of(since, "--since", zone),
        time_of(until, "--until", zone),
        () if everything else tuple(prefix for one in prefixes for prefix in one),
    )


def time_of(text: str | None, option: str, zone: tzinfo | None) -> datetime | None:
    """A time of the command line; in a zone if it names none.

    Raises
    ------
    UsageError
        It is no time.
    """
    if text is None:
        return None
    try:
        time = datetime_of(text.strip())
        return time.replace(tzinfo=zone) if time.tzinfo is None and zone is not None else time.astimezone()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option} {text!r} is not a time", "write it as 2025-05-01 or 2025-05-01T04:30") from error


def zone_named(name: str | None) -> tzinfo | None:
    """A zone by its name; None for the machine's own, whose summer and winter differ.

    Raises
    ------
    UsageError
        There is no such zone.
    """
    return None if name is None else zone_of(name)


def pack_of(data: DataSet) -> Pack | None:
    """The installed pack that heard an archive, if there is one of its name and version."""
    wanted = data.record.settings.get("pack")
    for one in installed_packs():
        try:
            pack = Pack.load(one.folder, verify=False)
        except PackError:
            continue  # `doctor` names it
        if f"{pack.name} {pack.version}" == wanted:
            return pack
    return None


def taxa_of_pack(data: DataSet) -> tuple[Taxon, ...]:
    """Taxa of the gallery of the pack that heard an archive, as far as it is installed."""
    pack = pack_of(data)
    try:
        if pack is None:
            return ()
        with Gallery.open(pack.gallery_path()) as gallery:
            return tuple(gallery.taxa())
    except (GalleryError, PackError):
        return ()  # names are then those that come with the program
