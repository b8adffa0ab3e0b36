"""What recognises the stored embeddings of an archive once more: the pack, a gallery, and what else decides."""

from __future__ import annotations

from pathlib import Path

from edgeapp.archive.recognition import Loaded, Recognition
from edgeapp.archive.results.dataset import DataSet
from edgeapp.archive.results.vectors import check_space, pack_of_space
from edgeapp.audio.channels import MIX
from edgeapp.commands.recognition import recognition_of
from edgeapp.errors import UsageError
from edgeapp.terminal import complain

TABLE = "range-table sha256"


def loaded_for(
    data: DataSet,
    pack: str | None,
    gallery: Path | None,
    learned: str | None,
    only: list[str] | None,
    modalities: str | None,
    range_table: Path | None,
    language: str | None,
) -> tuple[Loaded, Recognition]:
    """What is asked for, and otherwise what the archive was heard with.

    Raises
    ------
    UsageError, PackError, GalleryError, TaxonError
        There are no embeddings, or they are of another space; what cannot be loaded or found.
    """
    record, settings = data.record, data.record.settings
    if settings.get(TABLE) and range_table is None:
        raise UsageError(f"{data.folder}: was heard with a range table", "give it with --range-table")
    before = settings.get("modalities")
    asked, found = recognition_of(
        complain,
        pack or pack_of_space(data),
        gallery,
        learned,
        only,
        modalities or (",".join(before) if before else None),
        1,
        None,
        record.latitude,
        record.longitude,
        settings.get("week"),
        None,
        settings.get("min-occurrence"),
        range_table,
        language or settings.get("language"),
        record.hop_s,
        time_zone=None,
        channel=MIX,
    )
    check_space(data, found)
    return asked.load(found), asked
