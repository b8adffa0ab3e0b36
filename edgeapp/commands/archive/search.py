"""``biovita-edge archive search``: find a species, or what is like a sound, a photo or words, in an archive."""

from __future__ import annotations

import os
from typing import Annotated

import numpy as np
import typer

from edgeapp.archive.queries.again import Search
from edgeapp.archive.queries.selection import taxa_called
from edgeapp.archive.recognition import Loaded
from edgeapp.audio.names import why_no_file
from edgeapp.commands.archive.again import loaded_for
from edgeapp.commands.archive.export import WHOLE_PATHS
from edgeapp.commands.archive.results import (
    FolderOption,
    LeastConfidenceOption,
    ResultsArgument,
    SinceOption,
    UntilOption,
    ZoneOption,
    app,
    opened,
    selection_of,
    zone_named,
)
from edgeapp.commands.options import (
    SOUND_SUFFIXES,
    GalleryOption,
    LanguageOption,
    LearnedOption,
    OutputOption,
    PackOption,
)
from edgeapp.commands.recognition import ModalitiesOption, RangeTableOption
from edgeapp.config.panels import OUTPUT
from edgeapp.errors import UsageError
from edgeapp.outputs.destination import Destination
from edgeapp.outputs.found import FoundWriter, write_nearest
from edgeapp.outputs.writer import FORMATS, Run, check_format, writer
from edgeapp.pack.names import names_of, shipped_names
from edgeapp.recognition.photos import PHOTO_SUFFIXES
from edgeapp.terminal import counted, tell
from gallery.errors import TaxonError, UnknownNameError
from gallery.taxon import Taxon

TABLE = "table"


@app.command("search")
def search(
    results: ResultsArgument,
    query: Annotated[
        str,
        typer.Argument(
            metavar="TAXON|FILE|TEXT",
            help="Taxon of the gallery at any rank, recording, photo, or words that describe.",
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format", "-f", metavar="FORMAT", help=f"Output format: {', '.join(FORMATS)}.", rich_help_panel=OUTPUT
        ),
    ] = TABLE,
    output: OutputOption = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            "-n",
            metavar="NUMBER",
            min=1,
            help="Rows of a table, and windows that are most like a recording, photo or words.",
            rich_help_panel=OUTPUT,
        ),
    ] = 20,
    min_confidence: LeastConfidenceOption = 0.0,
    since: SinceOption = None,
    until: UntilOption = None,
    folder: FolderOption = None,
    zone: ZoneOption = None,
    language: LanguageOption = None,
    pack: PackOption = None,
    gallery: GalleryOption = None,
    learned: LearnedOption = None,
    modalities: ModalitiesOption = None,
    range_table: RangeTableOption = None,
) -> None:
    """Search the embeddings of an archive that was heard with --embeddings, without hearing it again.

    A taxon is recognised by a gallery, also by one to which it was added later: the detections are those that `archive`
    would give with that gallery. A recording, a photo or words give the windows most like them, with their similarity.
    """
    check_format(format)
    data, times = opened(results), zone_named(zone)
    selection = selection_of(data, None, min_confidence, since, until, folder, times)
    loaded, _ = loaded_for(data, pack, gallery, learned, None, modalities, range_table, language)
    known = None if os.path.isfile(query) else _rows(query, loaded)
    with Destination(output) as destination:
        if known is not None:
            asked, _ = taxa_called([query], (loaded.recogniser.taxa,))
            spec = loaded.recogniser.pack.audio
            record = data.record
            run = Run(loaded.recogniser.origin, spec.window_s, record.hop_s, record.latitude, record.longitude)
            shown = FoundWriter(destination.out, limit, times) if format == TABLE else None
            looking = Search(loaded, known, asked)
            found = looking.write(
                data, shown or writer(format, destination.out, run), selection, whole_paths=format in WHOLE_PATHS
            )
            if shown is not None:
                shown.end()
            said = (
                f"{counted(found.detections, 'detection')} in {counted(found.recordings, 'recording')}, "
                f"{counted(looking.n_windows, 'window')} searched"
            )
            destination.keep = found.detections > 0
            count = found.detections
        else:
            if min_confidence:
                raise UsageError("--min-confidence needs a taxon: what is alike has no confidence", "omit it")
            from edgeapp.archive.queries.nearest import nearest

            near = nearest(data, _embedding(query, loaded), limit, selection)
            whole = {one.recording.file: str(data.path(one.recording.file)) for one in near}
            write_nearest(near, query, format, destination.out, times, whole)
            said, count = counted(len(near), "window"), len(near)
    if not count:
        raise UsageError(f"{results}: nothing is found ({said})", "select more, or search for something else")
    tell(said)


def _rows(query: str, loaded: Loaded) -> list[int] | None:
    """Rows of the taxa of the gallery that a name means; None for words that are no name."""
    try:
        return names_of(loaded.recogniser.taxa).rows(query)
    except UnknownNameError as error:
        if query.lower().endswith((*SOUND_SUFFIXES, *PHOTO_SUFFIXES)):
            raise UsageError(f"{query}: {why_no_file(query)}", "check the path") from None
        tell(f"{error.what} in the gallery; searched by its words, without confidences")
        return None


def _shipped(query: str) -> Taxon | None:
    """The species that words name, of those that come with the program."""
    try:
        return shipped_names().find(query, suggest=False)
    except TaxonError:
        return None


def _embedding(query: str, loaded: Loaded) -> np.ndarray:
    """What a recording, a photo or words are in the space of the pack: [n, dim]."""
    from edgeapp.recognition.queries import of_photo, of_sound, of_words

    recogniser = loaded.recogniser
    if os.path.isfile(query):
        if query.lower().endswith(PHOTO_SUFFIXES):
            return of_photo(query, recogniser.pack)
        return of_sound(query, recogniser.pack, recogniser.encoder)
    return of_words(query, recogniser.pack, _shipped(query))
