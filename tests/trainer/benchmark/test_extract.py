"""Features are made once, gone on with after a kill, and never those of another model or benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.benchmark import small_bench as bench
from trainer.benchmark import extract as module
from trainer.benchmark.extract import extract, slug
from trainer.benchmark.features import read_features
from trainer.benchmark.layout import Split, read_benchmark
from trainer.errors import DataError


class Twin:
    """An encoder in memory: a vector that tells the name of the file, or the text; broken files fail."""

    def __init__(self, name: str = "twin", broken: Sequence[str] = (), lacking: str = "", **origin: Any) -> None:
        self.name, self.origin, self.broken, self.lacking = name, origin, broken, lacking
        self.asked: list[str] = []

    def audio(self, paths: Sequence[Path]) -> np.ndarray | None:
        return self._of("audio", paths)

    def images(self, paths: Sequence[Path]) -> np.ndarray | None:
        return self._of("image", paths)

    def texts(self, strings: Sequence[str]) -> np.ndarray | None:
        self.asked += strings
        return None if self.lacking == "text" else np.array([vector(text) for text in strings])

    def _of(self, modality: str, paths: Sequence[Path]) -> np.ndarray | None:
        if self.lacking == modality:
            return None
        for path in paths:
            if f"{path.parent.name}/{path.stem}" in self.broken:
                raise DataError(f"{path}: broken", "repair it")
        self.asked += [path.stem for path in paths]
        return np.array([vector(path.stem) for path in paths])


def vector(text: str) -> np.ndarray:
    drawn = np.random.default_rng(list(text.encode())).normal(size=5)
    return drawn / np.linalg.norm(drawn)


@pytest.fixture
def split(tmp_path: Path) -> Split:
    (split,) = read_benchmark(bench.make(tmp_path / "bench"))
    return split


def test_every_sample_has_its_own_vector(split: Split, tmp_path: Path) -> None:
    twin = Twin()
    found = extract(twin, split, tmp_path)
    assert not found.undecodable and found.features.split == "unseen"
    for modality in ("audio", "image"):
        part = found.features.parts[modality]
        assert sorted(split.indexes[modality].ids.tolist()) == part.ids.tolist()
        assert np.allclose(part.vectors, [vector(str(i)) for i in part.ids])
    index = split.indexes["text"]
    for form in bench.TEXT_FORMS:
        part = found.features.parts[f"text_{form}"]
        names = dict(zip(index.ids.tolist(), index.text(form)))
        assert part.ids.tolist() == sorted(i for i, name in names.items() if name)
        assert np.allclose(part.vectors, [vector(names[i]) for i in part.ids.tolist()])
    assert twin.asked.count("Avidae") == 1  # of several species, embedded once


def test_what_was_made_is_not_made_again(split: Split, tmp_path: Path) -> None:
    before = extract(Twin(rate_hz=48000), split, tmp_path).features
    again = Twin(rate_hz=48000)
    after = extract(again, split, tmp_path).features
    assert again.asked == [] and after.parts.keys() == before.parts.keys()
    assert all((after.parts[name].vectors == part.vectors).all() for name, part in before.parts.items())
    assert read_features(tmp_path / "twin.unseen.npz").origin["rate_hz"] == 48000


def test_another_way_to_hear_or_another_index_is_made_anew(split: Split, tmp_path: Path) -> None:
    extract(Twin(rate_hz=48000), split, tmp_path)
    told: list[str] = []
    other = Twin(rate_hz=32000)
    extract(other, split, tmp_path, told.append)
    assert other.asked and "is rebuilt" in told[0]
    index = split.indexes["audio"].path
    index.write_text(index.read_text().replace("Avus primus", "Avus secundus"))
    (changed,) = read_benchmark(tmp_path / "bench")
    other.asked.clear()
    extract(other, changed, tmp_path)
    assert other.asked


def test_a_broken_file_costs_itself_alone_and_is_tried_again(split: Split, tmp_path: Path) -> None:
    lost = [f"audio/{split.indexes['audio'].ids[3]}", f"image/{split.indexes['image'].ids[0]}"]
    found = extract(Twin(broken=lost), split, tmp_path)
    assert len(found.undecodable) == 2 and all(f"{i}.x" in line for i, line in zip(lost, found.undecodable))
    assert len(found.features.parts["audio"]) == len(split.indexes["audio"]) - 1
    repaired = Twin()
    found = extract(repaired, split, tmp_path)
    assert repaired.asked == [name.partition("/")[2] for name in lost] and not found.undecodable
    part = found.features.parts["audio"]
    assert np.allclose(part.vectors, [vector(str(i)) for i in part.ids])


def test_a_killed_run_goes_on_where_it_was(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVE_EVERY", 8)
    monkeypatch.setattr(module, "BATCH", 4)

    class Killed(Twin):
        def images(self, paths: Sequence[Path]) -> np.ndarray | None:
            if len(self.asked) > len(split.indexes["audio"]) + 11:
                raise KeyboardInterrupt
            return super().images(paths)

    first, second = Killed(), Twin()
    with pytest.raises(KeyboardInterrupt):
        extract(first, split, tmp_path)
    found = extract(second, split, tmp_path)
    everything = [str(i) for modality in ("audio", "image") for i in split.indexes[modality].ids]
    files = [name for name in second.asked if name.isdigit()]
    assert 0 < len(files) < len(split.indexes["image"])
    assert len(found.features.parts["audio"]) + len(found.features.parts["image"]) == len(everything)
    part = found.features.parts["image"]
    assert np.allclose(part.vectors, [vector(str(i)) for i in part.ids])


def test_when_no_file_can_be_used_nothing_is_kept_and_all_are_named(split: Split, tmp_path: Path) -> None:
    broken = [f"{modality}/{i}" for modality in ("audio", "image") for i in split.indexes[modality].ids]
    for _ in range(2):
        found = extract(Twin(broken=broken, lacking="text"), split, tmp_path)
        assert len(found.undecodable) == len(broken) and not found.features.parts


@pytest.mark.parametrize("lacking", ["audio", "image", "text"])
def test_a_model_may_lack_a_modality(split: Split, tmp_path: Path, lacking: str) -> None:
    parts = extract(Twin(lacking=lacking), split, tmp_path).features.parts
    assert not any(name.startswith(lacking) for name in parts)
    assert len(parts) == (2 if lacking == "text" else 5)


def test_a_file_of_a_zero_vector_is_named_and_has_none(split: Split, tmp_path: Path) -> None:
    lost = int(split.indexes["audio"].ids[3])

    class Silent(Twin):
        def audio(self, paths: Sequence[Path]) -> np.ndarray | None:
            return np.array([[path.stem != str(lost)] for path in paths]) * super().audio(paths)

    found = extract(Silent(), split, tmp_path)
    (line,) = found.undecodable
    assert f"{lost}.x: its vector is zero" in line
    assert sorted({*split.indexes["audio"].ids.tolist()} - {lost}) == found.features.parts["audio"].ids.tolist()


def test_a_vector_that_is_not_finite_is_the_models_fault(split: Split, tmp_path: Path) -> None:
    class Sick(Twin):
        def audio(self, paths: Sequence[Path]) -> np.ndarray | None:
            vectors = super().audio(paths)
            assert vectors is not None
            vectors[0, 0] = np.nan
            return vectors

    with pytest.raises(DataError, match="sick: its vector of audio .* is not finite"):
        extract(Sick("sick"), split, tmp_path)


def test_a_name_becomes_the_name_of_a_file() -> None:
    assert slug("runs/starter/stage2") == "runs_starter_stage2"
    assert slug("CLAP (large): v1.0") == "CLAP_large_v1.0" and slug("…") == "model"
