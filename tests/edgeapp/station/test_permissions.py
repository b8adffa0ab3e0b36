"""Files of a station are for those whom its settings name."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import replace

import pytest

from edgeapp.config.sections import Station
from edgeapp.config.settings import Settings
from edgeapp.station.permissions import restrict


@pytest.fixture
def umask():
    """The mask of this process, which is put back."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize(("mode", "bits"), [("umask", 0o644), ("private", 0o600), ("group", 0o640)])
def test_files_that_are_there_and_new_ones_get_the_permissions(umask, tmp_path, mode, bits):
    settings = Settings(station=replace(Station(), journal=tmp_path / "journal.sqlite", file_mode=mode))
    for path in (settings.journal_path, settings.status_path):
        path.write_text("")
    restrict(settings)
    (tmp_path / "new").write_text("")
    paths = (settings.journal_path, settings.status_path, tmp_path / "new")
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [bits] * 3


def test_what_a_private_station_writes_is_for_its_owner(tmp_path, toy_pack, forks):
    words = ("listen", "-", "--pack", toy_pack, "--journal", tmp_path / "j.sqlite", "--file-mode", "private")
    words = (*words, "--log-file", tmp_path / "log")
    done = subprocess.run(
        [*forks.python(), "-m", "edgeapp", *map(str, words)], input=bytes(100_000), capture_output=True
    )
    assert b"journal" in done.stderr
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert {path.name for path in files} >= {"j.sqlite", "j.status.json", "log"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
