"""Results of an archive, from recordings that were really heard, as the workers of `archive` give them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeapp.archive.recognition import Recognition
from edgeapp.archive.results.dataset import TABLES, DataSet
from edgeapp.archive.results.parts import Parts, Rows
from edgeapp.archive.results.record import Record
from edgeapp.archive.workers.worker import Item, Task, Worker

HOP_S = 5.0


def heard(
    folder: Path,
    files: Sequence[str],
    pack: Path,
    tables: Sequence[str] = TABLES,
    a_part: int = 2,
    partition: str = "date",
    base: str = "",
    **asked: Any,
) -> DataSet:
    """Hear recordings, so many in a part, into a folder; `asked` are fields of `Recognition`."""
    recognition = Recognition(pack, **{"hop_s": HOP_S, "threads": 1, **asked})
    loaded = recognition.load()
    place = recognition.place or (None, None)
    record = Record(
        settings=loaded.settings(recognition),
        window_s=loaded.recogniser.pack.audio.window_s,
        hop_s=loaded.hop_s,
        latitude=place[0],
        longitude=place[1],
        partition=partition,
        tables=tuple(tables),
        dim=loaded.recogniser.pack.dim,
        space=loaded.recogniser.pack.space,
        base=base or os.getcwd(),
        inputs=(),
    )
    folder.mkdir(parents=True)
    record.write(folder)
    parts, worker = Parts(folder, record), Worker(recognition, record)
    for at in range(0, len(files), a_part):
        items = tuple(Item(file, 1, 1) for file in files[at : at + a_part])
        parts.add(Rows(worker.hear(Task(items)).tables))
        parts.commit()
    return DataSet(folder)
