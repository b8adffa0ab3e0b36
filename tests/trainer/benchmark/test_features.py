"""Features of any model, in a file that says when something is wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainer.benchmark import small_bench as bench
from trainer.benchmark.features import Features, Vectors, missing, read_features, unknown_ids, write_features
from trainer.benchmark.layout import read_benchmark
from trainer.errors import DataError


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    given = Features("a model", bench.features().parts, {"source": "made", "rate_hz": 48000}, "unseen")
    write_features(tmp_path / "features.npz", given)
    read = read_features(tmp_path / "features.npz")
    assert (read.model, read.origin, read.split) == (given.model, given.origin, given.split)
    assert read.parts.keys() == given.parts.keys()
    for name, part in given.parts.items():
        assert (read.parts[name].ids == part.ids).all() and (read.parts[name].vectors == part.vectors).all()


def test_anybody_can_write_them_with_numpy(tmp_path: Path) -> None:
    path = tmp_path / "perch.npz"
    vectors = np.eye(3, dtype=np.float16)
    np.savez(path, audio_ids=np.array([9, 4, 7], np.int32), audio=vectors, text_ids=np.arange(3), text=vectors)
    read = read_features(path)
    assert read.model == "perch" and read.split == ""
    assert read.parts["audio"].ids.tolist() == [4, 7, 9] and read.parts["audio"].vectors.dtype == np.float32
    assert read.parts["audio"].rows(np.array([9, 5, 4, 100, 0])).tolist() == [2, -1, 0, -1, -1]
    assert (read.parts["audio"].vectors[2] == vectors[0]).all()
    assert read.part("text", "genus") == ("text", read.parts["text"]) and read.part("image") is None


GOOD = {"audio_ids": np.arange(4), "audio": np.ones((4, 3)), "text_ids": np.arange(2), "text": np.ones((2, 3))}
BROKEN = np.ones((4, 3))
BROKEN[2, 1] = np.nan


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"text": np.ones((2, 5))}, "dimensions differ (audio 3, text 5)"),
        ({"audio": BROKEN}, "audio: the vector of id 2 is not finite"),
        ({"audio": np.full((4, 3), np.inf)}, "the vector of id 0 is not finite"),
        ({"audio_ids": np.array([1, 2, 2, 3])}, "audio: id 2 occurs twice"),
        ({"audio_ids": np.arange(5)}, "5 ids, 4 vectors"),
        ({"audio_ids": np.arange(4.0)}, "ids are float64"),
        ({"audio": np.ones((4, 3), int)}, "vectors are int64"),
        ({"audio": np.ones(4)}, "vectors are float64 [4]"),
        ({"image": np.ones((4, 3))}, "array 'image_ids' is missing"),
        ({"sound": np.ones(1)}, "array 'sound' is unknown"),
        ({"audio": np.array([[object()]] * 4)}, "not a feature file"),
        ({"about": np.array("{")}, "'about' is not JSON"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path: Path, change: dict, says: str) -> None:
    path = tmp_path / "features.npz"
    np.savez(path, **{**GOOD, **change})
    with pytest.raises(DataError) as raised:
        read_features(path)
    assert says in str(raised.value) and str(path) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"no features", b"PK\x03\x04 cut"])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "features.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a feature file"):
        read_features(path)
    np.savez(path, audio_ids=np.zeros(0, int), audio=np.zeros((0, 3)))
    with pytest.raises(DataError, match="has no vectors"):
        read_features(path)
    with pytest.raises(DataError, match="absent.npz"):
        read_features(tmp_path / "absent.npz")


def test_a_zero_vector_is_taken_for_none_and_its_sample_named(tmp_path: Path) -> None:
    (split,) = read_benchmark(bench.make(tmp_path))
    given = bench.arrays(bench.features(0, 3))
    given["audio"][2] = 0.0
    np.savez(tmp_path / "zeros.npz", **given)
    read = read_features(tmp_path / "zeros.npz")
    lost = int(given["audio_ids"][2])
    assert lost not in read.parts["audio"].ids and len(read.parts["audio"]) == len(given["audio"]) - 1
    assert missing(read, split)["audio"].tolist() == [lost]


def test_features_of_another_benchmark_are_refused_and_ids_told(tmp_path: Path) -> None:
    (split,) = read_benchmark(bench.make(tmp_path))
    given = bench.features()
    assert unknown_ids(given, split) == []
    audio = given.parts["audio"]
    more = Vectors(np.append(audio.ids, 9000), np.concatenate([audio.vectors, audio.vectors[:1]]))
    (line,) = unknown_ids(Features("m", {**given.parts, "audio": more}), split)
    assert "1 of 'audio' (9000) not in audio_index.csv" in line
    with pytest.raises(DataError, match="no id of 'audio' is in"):
        unknown_ids(Features("m", {"audio": Vectors(audio.ids + 9000, audio.vectors)}), split)


def test_missing_ids_are_named(tmp_path: Path) -> None:
    (split,) = read_benchmark(bench.make(tmp_path))
    lost = sorted(split.indexes["image"].ids.tolist())[1:4]
    told = missing(bench.features(0, 2, lambda part, i: part == "image" and i in lost), split)
    assert told["image"].tolist() == lost and told["audio"].tolist() == []


def test_the_folder_of_the_published_extraction_script_is_read(tmp_path: Path) -> None:
    given = bench.features()
    for name, part in given.parts.items():
        modality, _, form = name.partition("_")
        (tmp_path / modality).mkdir(exist_ok=True)
        for i, vector in zip(part.ids.tolist(), torch.from_numpy(part.vectors)):
            path = tmp_path / modality / f"{i}.pt"
            stored = torch.load(path) if path.exists() else {}
            torch.save({**stored, form: vector} if form else vector.half(), path)
    read = read_features(tmp_path)
    assert read.parts.keys() == given.parts.keys()
    for name, part in given.parts.items():
        assert (read.parts[name].ids == part.ids).all() and (read.parts[name].vectors == part.vectors).all()
    (tmp_path / "audio" / "5.pt").write_text("cut")
    with pytest.raises(DataError, match=r"5\.pt: not a feature"):
        read_features(tmp_path)
    with pytest.raises(DataError, match="no audio/ID.pt"):
        read_features(tmp_path / "audio")
