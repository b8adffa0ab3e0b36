"""A file that is cut or written to while it is read is heard as far as it goes, and that is said."""

from __future__ import annotations

import io
import os
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from edgeapp.audio.changing import Unchanged
from edgeapp.audio.file import FileSource
from edgeapp.errors import AudioError

RATE_HZ, SECONDS = 48_000, 20
FORMATS = ("wav", "flac", "ogg", "mp3", "aiff", "m4a")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Noise in every format, which no encoder makes small."""
    folder = tmp_path_factory.mktemp("minutes")
    sound = (0.1 * np.random.default_rng(0).standard_normal(SECONDS * RATE_HZ)).astype(np.float32)
    for ending in FORMATS[:-1]:
        with soundfile.SoundFile(folder / f"noise.{ending}", "w", RATE_HZ, 1) as file:
            for start in range(0, len(sound), RATE_HZ):  # libvorbis keeps what it is given on the stack
                file.write(sound[start : start + RATE_HZ])
    if shutil.which("ffmpeg"):
        subprocess.run(["ffmpeg", "-v", "error", "-i", folder / "noise.wav", folder / "noise.m4a"], check=True)
    return folder


def begun(recordings, ending, tmp_path):
    """A source of which one block was taken."""
    if not (recordings / f"noise.{ending}").exists():
        pytest.skip("ffmpeg is not installed")
    path = shutil.copy(recordings / f"noise.{ending}", tmp_path)
    source = FileSource(path)
    blocks = source.blocks()
    return path, source, len(next(blocks).samples), blocks


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_that_becomes_shorter_is_named(recordings, ending, tmp_path):
    path, source, n, blocks = begun(recordings, ending, tmp_path)
    os.truncate(path, os.path.getsize(path) // 3)
    try:
        n += sum(len(block.samples) for block in blocks)
    except AudioError as error:
        assert "became shorter while it was read" in str(error)
    else:
        assert f"became shorter while it was read; {n / RATE_HZ:.1f} s were heard" in str(source.fault)
    assert n <= (SECONDS + 0.1) * RATE_HZ
    source.close()


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_that_grows_is_heard_as_it_was(recordings, ending, tmp_path):
    path, source, n, blocks = begun(recordings, ending, tmp_path)
    with open(path, "ab") as file:
        file.write(bytes(range(256)) * 40)
    n += sum(len(block.samples) for block in blocks)
    assert abs(n - SECONDS * RATE_HZ) <= 0.1 * RATE_HZ
    assert source.fault is None and any("10,240 bytes came while it was read" in note for note in source.notes)
    source.close()


def test_a_file_that_is_written_to_is_noted(recordings, tmp_path):
    path, source, _, blocks = begun(recordings, "wav", tmp_path)
    with open(path, "r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(bytes(100))
    os.utime(path, ns=(1, 1))
    list(blocks)
    assert "was written to while it was read" in source.notes
    source.close()


def test_what_is_no_file_of_a_disk_never_changes():
    file = io.BytesIO(b"sound")
    unchanged = Unchanged(file)
    file.write(b"more than before")
    assert not unchanged.lost() and unchanged.note() == ""
