"""A few detections of a garden in Berlin, with everything that can befall one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from edgeapp.outputs.records import Record

BERLIN = ZoneInfo("Europe/Berlin")

TIT = Record(
    time_utc=datetime(2026, 5, 31, 22, 10, 30, 250_000, timezone.utc),  # 1 June on the clocks of Berlin
    clock_set=True,
    start_s=100.0,
    end_s=110.0,
    source="USB microphone",
    scientific_name="Parus major",
    common_name="Great Tit",
    taxon_rank="species",
    confidence=0.875,
    rate_hz=48_000,
    pack="starter",
    pack_version="1.2",
    latitude=52.5,
    longitude=-13.4,
    review="confirmed",
    clip="/clips/2026/06/parus_major_88p_20260531T221030Z.flac",
    clip_start_s=97.0,
    clip_end_s=118.0,
)
# The same song again, in the same clip; nobody has reviewed it.
AGAIN = replace(
    TIT,
    time_utc=datetime(2026, 5, 31, 22, 10, 35, 250_000, timezone.utc),
    start_s=105.0,
    end_s=115.0,
    confidence=0.75,
    review=None,
)
CORRECTED = replace(
    TIT,
    time_utc=datetime(2026, 6, 1, 4, 0, tzinfo=timezone.utc),
    start_s=21_069.75,
    end_s=21_079.75,
    review="corrected",
    corrected_name="Periparus ater",
    corrected_common_name="Coal Tit",
    clip="/clips/2026/06/parus_major_88p_20260601T040000Z.flac",
    clip_start_s=21_066.75,
    clip_end_s=21_082.75,
)
GENUS = replace(
    TIT,
    time_utc=datetime(2026, 6, 1, 5, 0, tzinfo=timezone.utc),
    taxon_rank="genus",
    scientific_name="Parus",
    common_name="",
    confidence=0.91,
    clip="/clips/2026/06/parus_91p_20260601T050000Z.flac",
    start_s=5.0,
    end_s=15.0,
    clip_start_s=0.0,
    clip_end_s=20.0,
)
REJECTED = replace(TIT, time_utc=datetime(2026, 6, 1, 6, 0, tzinfo=timezone.utc), review="rejected")
NO_CLIP = replace(TIT, time_utc=datetime(2026, 5, 31, 22, 59, 59, tzinfo=timezone.utc), clip=None, confidence=0.95)
NO_CLOCK = replace(
    TIT,
    time_utc=datetime(1970, 1, 1, 0, 5, tzinfo=timezone.utc),
    clock_set=False,
    clip=None,
    latitude=None,
    longitude=None,
)
ALL = (TIT, AGAIN, CORRECTED, GENUS, REJECTED, NO_CLIP, NO_CLOCK)
