"""A sample is opened alike whether it has a file of its own or lies in a tar shard."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from edgeapp.audio.file import FileSource, load
from edgeapp.runtime.inputs import image_pixels
from tests.trainer.tiny import tone
from trainer.data.manifest import Sample
from trainer.data.media import called, opened
from trainer.errors import DataError

SOURCE = ("tests", "media")


def shard(path: Path, *members: Path) -> list[Sample]:
    """A tar of files, and each of them as a sample."""
    with tarfile.open(path, "w") as tar:
        for member in members:
            tar.add(member, member.name)
    with tarfile.open(path) as tar:
        return [Sample(path, 0, SOURCE, offset=info.offset_data, size=info.size) for info in tar.getmembers()]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "text.txt").write_bytes(b"0123456789")
    for suffix in ("flac", "mp3", "wav"):
        soundfile.write(tmp_path / f"tone.{suffix}", tone(1000, seconds=2), 16_000)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)).save(tmp_path / "photo.jpg")
    return sorted(path for path in tmp_path.iterdir())


def test_a_slice_of_a_shard_reads_as_the_file_it_was_made_of(tmp_path: Path, files: list[Path]) -> None:
    for path, sample in zip(files, shard(tmp_path / "shard.tar", *files), strict=True):
        with opened(sample) as inside, opened(Sample(path, 0, SOURCE)) as alone:
            assert inside.read() == alone.read() == path.read_bytes()


def test_sound_and_photos_decode_from_a_shard(tmp_path: Path, files: list[Path]) -> None:
    for path, sample in zip(files, shard(tmp_path / "shard.tar", *files), strict=True):
        with opened(sample) as file:
            if path.stem == "tone":
                assert np.array_equal(load(file, 16_000), load(path, 16_000))
            if path.stem == "photo":
                assert np.array_equal(image_pixels(Image.open(file), 32), image_pixels(path, 32))


def test_a_slice_seeks_within_itself(tmp_path: Path, files: list[Path]) -> None:
    sample = shard(tmp_path / "shard.tar", *files)[[path.name for path in files].index("text.txt")]
    with opened(sample) as file:
        assert file.seek(0, os.SEEK_END) == 10 and file.read() == b""
        assert file.seek(-3, os.SEEK_END) == 7 and file.read() == b"789"
        assert file.seek(2) == 2 and file.read(3) == b"234" and file.tell() == 5
        assert file.seek(1, os.SEEK_CUR) == 6 and file.read(100) == b"6789"
        assert file.seek(20) == 20 and file.read(1) == b""
        with pytest.raises(OSError, match="cannot seek"):
            file.seek(-11, os.SEEK_END)
        buffer = bytearray(4)
        file.seek(8)
        assert file.readinto(buffer) == 2 and bytes(buffer) == b"89\0\0"  # type: ignore[attr-defined]


def test_closing_a_slice_closes_its_shard(tmp_path: Path, files: list[Path]) -> None:
    file = opened(shard(tmp_path / "shard.tar", *files)[0])
    assert isinstance(file, io.BufferedReader)
    raw = file.raw._file  # type: ignore[attr-defined]
    file.close()
    assert raw.closed and file.closed


def test_what_is_wrong_inside_a_shard_is_named_with_its_place(tmp_path: Path, files: list[Path]) -> None:
    sample = shard(tmp_path / "shard.tar", *files)[[path.name for path in files].index("text.txt")]
    with opened(sample) as file, pytest.raises(Exception, match="is not readable audio") as caught:
        FileSource(file)
    assert str(caught.value).startswith(f"{tmp_path / 'shard.tar'}, 10 bytes from {sample.offset} on: ")
    assert called(Sample(files[0], 0, SOURCE)) == str(files[0])


def test_what_cannot_be_opened_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked.wav").write_text("secret")
    (tmp_path / "cut.tar").write_bytes(b"0" * 100)
    guarded = open

    def deny(path: Path, *args: object, **options: object) -> object:
        if path.name == "locked.wav":  # permissions do not stop the root user some machines test as
            raise PermissionError(13, "Permission denied")
        return guarded(path, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr("trainer.data.media.open", deny, raising=False)
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "endless.wav").symlink_to("/dev/zero")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    expected = {
        Sample(tmp_path / "pipe.wav", 0, SOURCE): "is a named pipe",
        Sample(tmp_path / "endless.wav", 0, SOURCE): "is a device",
        Sample(tmp_path / "loop.wav", 0, SOURCE): "cannot be opened (Too many levels of symbolic links)",
        Sample(tmp_path / "gone.wav", 0, SOURCE): "does not exist",
        Sample(tmp_path, 0, SOURCE): "is a folder",
        Sample(tmp_path / "locked.wav", 0, SOURCE): "permission denied",
        Sample(tmp_path / "nul\0.wav", 0, SOURCE): "cannot be opened",
        Sample(tmp_path / "gone.tar", 0, SOURCE, offset=512, size=9): "does not exist",
        Sample(tmp_path / "cut.tar", 0, SOURCE, offset=64, size=37): "has 100 bytes, the manifest asks for 64 to 101",
    }
    for sample, words in expected.items():
        with pytest.raises(DataError) as caught:
            opened(sample)
        assert str(caught.value).startswith(f"{sample.path}: {words}") and caught.value.remedy
