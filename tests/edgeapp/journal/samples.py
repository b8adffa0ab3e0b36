"""What the tests of the journal write into it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

from edgeapp.clock.system import Moment
from edgeapp.journal import Deployment, Detection, Journal, Stream
from gallery.candidates import Candidate

DAWN = Moment(datetime(2025, 5, 1, 6, 12, 9, 250_000, timezone(timedelta(hours=2))), boottime_s=500.0)

DEPLOYMENT = Deployment(
    pack="starter",
    pack_version="1.0",
    space="toy-space",
    gallery="/packs/starter/gallery.sqlite",
    gallery_sha256="ab" * 32,
    hop_s=5.0,
    thresholds={"min_confidence": 0.5, "floor": 0.6},
    latitude=52.5,
    longitude=13.4,
    app_version="1.2",
    station="garden",
)

MICROPHONE = Stream("USB PnP Sound Device: Audio (hw:2,0)", "usb-1.2", "arecord", 48000, "boot-a")

GREAT_TIT = Detection(
    time=DAWN,
    start_s=15.0,
    end_s=25.0,
    taxon_rank="species",
    scientific_name="Parus major",
    common_name="Great Tit",
    confidence=np.float32(0.75),
    candidates=(Candidate("Parus major", "Great Tit", np.float32(0.75), np.float32(0.25)),),
    level_dbfs=-41.5,
    speech=0.125,
)

A_PARUS = replace(
    GREAT_TIT,
    taxon_rank="genus",
    scientific_name="Parus",
    common_name="",
    candidates=(
        Candidate("Parus major", "Great Tit", np.float32(0.375), np.float32(0.25)),
        Candidate("Parus minor", "", np.float32(0.25), np.float32(0.125)),
    ),
)


def begin(journal: Journal, started: Moment = DAWN, boot_id: str = "boot-a") -> int:
    """A deployment with one stream, whose id is given."""
    stream = Stream("USB PnP Sound Device: Audio (hw:2,0)", "usb-1.2", "arecord", 48000, boot_id)
    return journal.open_stream(journal.begin(DEPLOYMENT, started), stream, started)


def rows(path: Path, sql: str) -> list[tuple]:
    """What a connection of somebody else sees."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()
