"""``biovita-edge archive recognise``: an archive with another gallery, without hearing it again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeapp.archive.queries.again import Workers, continues
from edgeapp.archive.results.dataset import EMBEDDINGS, WINDOWS, DataSet
from edgeapp.archive.results.folder import check, earlier
from edgeapp.archive.results.folder import opened as opened_to_write
from edgeapp.archive.results.parts import Parts, Rows
from edgeapp.archive.results.record import Record, versions
from edgeapp.commands.archive.again import loaded_for
from edgeapp.commands.archive.results import ResultsArgument, app, opened
from edgeapp.commands.options import GalleryOption, LanguageOption, LearnedOption, PackOption
from edgeapp.commands.recognition import ModalitiesOption, OnlyOption, RangeTableOption
from edgeapp.config.panels import OUTPUT
from edgeapp.errors import UsageError
from edgeapp.progress_line import Counting
from edgeapp.terminal import counted, tell


@app.command("recognise")
def recognise(
    results: ResultsArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the new results.", rich_help_panel=OUTPUT),
    ],
    workers: Annotated[
        int,
        typer.Option("--workers", metavar="NUMBER", help="Processes that recognise.", min=1),
    ] = 1,
    only: OnlyOption = None,
    language: LanguageOption = None,
    pack: PackOption = None,
    gallery: GalleryOption = None,
    learned: LearnedOption = None,
    modalities: ModalitiesOption = None,
    range_table: RangeTableOption = None,
) -> None:
    """Recognise an archive that was heard with --embeddings once more, with another gallery, without hearing it again.

    The new results are those that `archive` would give with that gallery, in a folder of their own; the old ones stay
    as they are. Place, week, hop and modalities are those of the archive. The same command goes on where it was
    stopped, and `archive` with that gallery goes on with recordings that are new.
    """
    data = opened(results)
    if output.resolve() == results.resolve():
        raise UsageError(f"{output}: has the results that are to be recognised", "name another folder with --output")
    loaded, asked = loaded_for(data, pack, gallery, learned, only, modalities, range_table, language)
    record = _record(data, loaded.settings(asked))
    before = earlier(output)
    if before is not None:
        check(before, record, output)
    numbers = data.numbers
    with opened_to_write(output, record) as record:
        parts = Parts(output, record)
        done = sorted(parts.committed.parts)
        if not continues(data, parts, numbers, done):
            raise UsageError(f"{output}: has results of other recordings", "name another --output")
        todo = numbers[len(done) :]
        del loaded  # the workers have their own
        counting = Counting("parts", len(numbers))
        with Workers(data.folder, asked, record, min(workers, max(len(todo), 1))) as recognising, counting:
            for number, tables in enumerate(recognising.parts(todo), start=len(done) + 1):
                parts.add(Rows(tables))
                parts.commit()
                counting.at(number)
    new = DataSet(output)
    tell(f"{counted(new.count('detections'), 'detection')} in {counted(new.count('files'), 'recording')}")


def _record(data: DataSet, settings: dict[str, object]) -> Record:
    """That of a run of `archive` with the same settings."""
    before = data.record
    settings |= {name: before.settings.get(name) for name in ("time-zone", "channel")}
    settings |= {"partition": before.partition}
    settings |= {name: name in before.tables for name in (WINDOWS, EMBEDDINGS)}
    return Record(
        settings=settings,
        window_s=before.window_s,
        hop_s=before.hop_s,
        latitude=before.latitude,
        longitude=before.longitude,
        partition=before.partition,
        tables=before.tables,
        dim=before.dim,
        space=before.space,
        base=before.base,
        inputs=before.inputs,
        versions=versions(),
    )
