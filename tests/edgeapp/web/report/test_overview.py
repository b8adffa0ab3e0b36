"""The spectrogram of a whole recording has bounded columns, whatever its length is and whether it is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgeapp.audio.memory import MemorySource
from edgeapp.web.report import overview
from edgeapp.web.report.overview import MOST_COLUMNS, MOST_ROWS, ROW_COLUMNS, HeardSource, Overview, resolution, rows_of
from tests.edgeapp import toy_pack as toy

DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("duration_s", "rows"),
    [(0.2, 1), (3, 1), (30, 1), (31, 1), (40, 2), (120, 4), (600, 20), (3600, 12), (DAY_S, 24), (7 * DAY_S, 14)],
)
def test_recordings_have_few_rows_of_a_round_length(duration_s, rows):
    assert rows_of(duration_s) == rows


def test_even_a_year_has_a_bounded_number_of_rows():
    assert rows_of(365 * DAY_S) == MOST_ROWS


@pytest.mark.parametrize(("duration_s", "n"), [(10.0, 1), (60.0, 1), (60.0, 1440), (DAY_S, 1), (DAY_S, 30)])
def test_a_report_has_a_bounded_number_of_columns(duration_s, n):
    found = resolution(duration_s, n * duration_s)
    assert duration_s / found.column_s <= rows_of(duration_s) * ROW_COLUMNS * 1.001
    assert n * duration_s / found.column_s <= MOST_COLUMNS * 1.001
    assert found.frames >= 1


def test_short_recordings_are_shown_finely():
    assert resolution(30.0, 30.0).column_s == 0.025


def test_columns_become_longer_where_the_length_is_not_known(monkeypatch):
    monkeypatch.setattr(overview, "ROW_COLUMNS", 10)
    samples = np.concatenate([toy.noise(40), toy.tone(1000, seconds=40), toy.noise(40)])
    heard = Overview(toy.RATE_HZ, None, 0.0, 4_000)
    for at in range(0, len(samples), 5_000):
        heard.add(samples[at : at + 5_000])
    whole = heard.finish()
    assert 240 <= len(whole.levels) <= 480 + 5
    assert whole.end_s == pytest.approx(120, abs=whole.column_s)
    row = int(whole.khz.share(1.0) * whole.levels.shape[1])
    tone = np.flatnonzero(whole.levels[:, row - 1 : row + 2].max(axis=1) > -22)
    assert tone[0] * whole.column_s == pytest.approx(40, abs=1) and tone[-1] * whole.column_s == pytest.approx(
        80, abs=1
    )


def test_who_listens_to_a_source_changes_nothing_of_it():
    source = MemorySource(toy.tone(1000, seconds=3), toy.RATE_HZ, "tit", block=7_000)
    heard = HeardSource(source, Overview(toy.RATE_HZ, 3.0, 3.0, 4_000))
    assert (heard.name, heard.rate_hz, heard.live, heard.notes, heard.fault) == ("tit", toy.RATE_HZ, False, (), None)
    pairs = zip(heard.blocks(), source.blocks(), strict=True)
    assert all(one.start == other.start and np.array_equal(one.samples, other.samples) for one, other in pairs)
    heard.close()


def test_a_source_without_sound_has_an_empty_overview():
    assert len(Overview(toy.RATE_HZ, 0.0, 0.0, 4_000).finish().levels) == 0
