"""A journal, and a station in memory that writes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from edgeapp.journal import Journal
from tests.edgeapp.station.listening import Listening


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path / "journal.sqlite") as opened:
        yield opened


@pytest.fixture
def listening(recogniser, journal):
    return Listening(recogniser, journal)


@pytest.fixture
def rows(journal):
    """What the journal answers to a question in SQL."""

    def ask(sql: str) -> list[tuple]:
        with closing(sqlite3.connect(journal.path)) as connection:
            return connection.execute(sql).fetchall()

    return ask
