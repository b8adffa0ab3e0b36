"""An engine's file is whole or not there, and says what it was built for."""

from __future__ import annotations

import os
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from edgeapp.errors import EngineError, OutputError
from edgeapp.runtime.tensorrt.file import EngineKey, cache_folder, place_for, read_engine

KEY = EngineKey("a" * 64, "audio", "graph", 8, "tensorrt", "10.3.0", "linux aarch64", "Orin", "540 CUDA 12.6", ("8.7",))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_an_engine_fits_only_what_it_was_built_for():
    assert KEY.unfit(KEY) == ""
    ahead = replace(KEY, gpu="", driver="", compute=("8.6", "8.7"))
    assert ahead.unfit(KEY) == ""
    assert "sha256 aaaaaaaa…, here bbbbbbbb…" in KEY.unfit(replace(KEY, model_sha256="b" * 64))
    assert "driver 540 CUDA 12.6, here 541" in KEY.unfit(replace(KEY, driver="541"))
    assert "platform linux aarch64, here linux x86_64" in ahead.unfit(replace(KEY, platform="linux x86_64"))
    assert len({KEY.file_name, ahead.file_name, replace(KEY, version="11").file_name}) == 3


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is not an engine"),
        (b"ONNX", "is not an engine"),
        (b"BIOVITA-ENGINE-1\n\xff\0\0\0\0\0\0\0{", "is truncated or damaged"),
        (b"BIOVITA-ENGINE-1\n\x02\0\0\0\0\0\0\0{}", "another version"),
    ],
)
def test_a_file_that_is_no_engine_is_named(tmp_path, raw, words):
    (tmp_path / "x.engine").write_bytes(raw)
    with pytest.raises(EngineError, match=words):
        read_engine(tmp_path / "x.engine")


def test_a_full_disk_leaves_the_older_engine_and_nothing_else(tmp_path):
    with place_for(tmp_path, KEY) as place:
        place.write(b"old", {}, 1.5)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with (
            pytest.raises(OutputError, match=r"1\.0 MB cannot be written .*make room") as caught,
            place_for(tmp_path, KEY) as place,
        ):
            place.write(bytes(1_000_000), {}, 1.5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.exit_code == 2
    assert files(tmp_path) == [KEY.file_name]
    assert read_engine(tmp_path / KEY.file_name).plan() == b"old"


def test_what_a_killed_build_left_goes_with_the_next_one_after_a_day(tmp_path):
    for name, age_s in ((".audio-old.part", 90_000), (".audio-new.part", 60)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, (tmp_path / name).stat().st_mtime - age_s))
    with place_for(tmp_path, KEY):
        pass
    assert files(tmp_path) == [".audio-new.part"]


def test_engines_lie_in_the_users_cache(kept):
    assert cache_folder() == kept
