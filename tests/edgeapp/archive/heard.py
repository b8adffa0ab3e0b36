"""Results of an archive, from recordings that were really heard, as `archive` writes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeapp.archive.dataset import TABLES, DataSet
from edgeapp.archive.files import identify
from edgeapp.archive.parts import Parts, Rows
from edgeapp.archive.record import Record
from edgeapp.archive.rows import RowsWriter
from edgeapp.outputs.writer import Run
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.recognition.results import Identification

HOP_S = 5.0


class Kept(RowsWriter):
    """Keeps each recording once it is done or failed."""

    def finish(self, identification: Identification) -> None:
        super().finish(identification)
        self.keep(sha256="0" * 64, size=1)

    def fail(self, file: str, reason: str) -> None:
        super().fail(file, reason)
        self.keep(size=1)


def heard(
    folder: Path,
    files: Sequence[str],
    recogniser: Recogniser,
    tables: Sequence[str] = TABLES,
    a_part: int = 2,
    hop_s: float = HOP_S,
    **fields: Any,
) -> DataSet:
    """Hear recordings, so many in a part, into a folder."""
    pack, origin = recogniser.pack, recogniser.origin
    settings = {
        "pack": f"{pack.name} {pack.version}",
        "gallery sha256": origin.gallery_sha256,
        "learned sha256": origin.learned_sha256,
        "hop": hop_s,
    }
    record = Record(
        settings,
        pack.audio.window_s,
        hop_s,
        None,
        None,
        **{
            "partition": "date",
            "tables": tuple(tables),
            "dim": pack.dim,
            "space": pack.space,
            "base": os.getcwd(),
            "inputs": (),
            **fields,
        },
    )
    folder.mkdir(parents=True)
    record.write(folder)
    parts = Parts(folder, record)
    run = Run(origin, pack.audio.window_s, hop_s)
    for at in range(0, len(files), a_part):
        writer = Kept(run, record)
        identify(files[at : at + a_part], recogniser, writer, hop_s, 5, lambda text: None, lambda text: None)
        parts.add(Rows(writer.tables()))
        parts.commit()
    return DataSet(folder)
