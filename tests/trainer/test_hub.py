"""A source is a folder or a repository of the hub; what is wrong with it is said in one line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.libraries import needs
from tests.trainer import published
from trainer.errors import CheckpointError
from trainer.hub import find_file
from trainer.published import BIOVITA, CLAP, Sources, open_published, open_sources

pytestmark = needs("huggingface_hub")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, in an empty folder, without a network."""
    from huggingface_hub import constants

    cache = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


def cached(cache: Path, source: str, folder: Path) -> Path:
    """Put a folder into the cache as the library would."""
    repository, _, revision = source.removeprefix("hf-hub:").partition("@")
    place = cache / ("models--" + repository.replace("/", "--"))
    commit = revision or "0" * 40
    (place / "refs").mkdir(parents=True)
    if not revision:
        (place / "refs" / "main").write_text(commit)
    return Path(shutil.copytree(folder, place / "snapshots" / commit))


def complaint(source: str, *names: str) -> str:
    with pytest.raises(CheckpointError) as caught:
        find_file(source, *names)
    line = str(caught.value)
    assert line.startswith(source) and "\n" not in line and caught.value.remedy
    return line


def test_the_first_of_the_files_that_a_folder_has_is_taken(tmp_path: Path) -> None:
    (tmp_path / "b.bin").write_text("b")
    assert find_file(str(tmp_path), "a.safetensors", "b.bin").read_text() == "b"
    (tmp_path / "a.safetensors").write_text("a")
    assert find_file(str(tmp_path), "a.safetensors", "b.bin").read_text() == "a"


def test_a_folder_that_is_missing_or_lacks_the_files_is_named(tmp_path: Path) -> None:
    assert "no such folder" in complaint(str(tmp_path / "none"), "config.json")
    assert "has no a.safetensors or b.bin" in complaint(str(tmp_path), "a.safetensors", "b.bin")
    os.mkfifo(tmp_path / "a.safetensors")
    assert "a.safetensors: is a named pipe" in complaint(str(tmp_path), "a.safetensors", "b.bin")


@pytest.mark.parametrize("source", ["hf-hub:clap", "hf-hub:a/b@", "hf-hub:a b/c", "hf-hub:a/b/c", "hf-hub:"])
def test_what_is_no_name_of_a_repository_is_refused(source: str, offline: Path) -> None:
    assert "not a repository of the hub" in complaint(source, "config.json")


def test_the_pinned_revision_is_asked_for_and_cached_for_offline_use(offline: Path, tmp_path: Path) -> None:
    (tmp_path / "pinned").mkdir()
    (tmp_path / "pinned" / "b.bin").write_text("pinned")
    (tmp_path / "newest").mkdir()
    (tmp_path / "newest" / "b.bin").write_text("newest")
    cached(offline, "hf-hub:one/pinned@" + "1" * 40, tmp_path / "pinned")
    cached(offline, "hf-hub:one/other", tmp_path / "newest")
    assert find_file("hf-hub:one/pinned@" + "1" * 40, "a.safetensors", "b.bin").read_text() == "pinned"
    assert find_file("hf-hub:one/other", "a.safetensors", "b.bin").read_text() == "newest"
    assert "not in its cache" in complaint("hf-hub:one/other@" + "2" * 40, "b.bin")


def test_the_published_models_open_from_the_cache(offline: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("open_clip")
    cached(offline, CLAP, published.write_clap(tmp_path / "clap", safetensors=False))
    cached(offline, Sources().clip, published.write_clip(tmp_path / "clip"))
    cached(offline, BIOVITA, published.write_biovita(tmp_path / "biovita"))
    told: list[str] = []
    assert open_sources(tell=told.append)[0].dim == open_published()[0].dim == published.DIM
    assert len(told) == 1 and f"to repeat this run give {Sources().clip}@{'0' * 40}" in told[0]  # CLAP's is named


def test_without_network_and_cache_the_remedy_is_said(offline: Path) -> None:
    line = complaint(BIOVITA, "clap_weights.pth")
    assert "the hub cannot be reached and clap_weights.pth is not in its cache" in line
    assert "hf download risashinoda/BioVITA" in line and "or name a folder" in line


def test_the_network_is_asked_once_when_it_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.utils import LocalEntryNotFoundError

    asked = []

    def down(repository: str, name: str, **more: Any) -> str:
        asked.append((name, more["local_files_only"]))
        raise LocalEntryNotFoundError("down")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", down)
    complaint("hf-hub:a/b", "one", "two")
    assert asked == [("one", False), ("two", True)]


@pytest.mark.parametrize(
    "name, said",
    [
        ("EntryNotFoundError", "the repository has no one or two"),
        ("RepositoryNotFoundError", "no such repository on the hub"),
        ("RevisionNotFoundError", "the repository has no revision v9"),
        ("GatedRepoError", "access is restricted"),
        ("OSError", "one cannot be downloaded (disk full)"),
    ],
)
def test_what_the_hub_answers_is_said_in_a_line(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    kind = getattr(huggingface_hub.utils, name, OSError)
    error = kind.__new__(kind)
    error.args = ("disk full",)

    def answer(*args: Any, **more: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", answer)
    assert said in complaint("hf-hub:a/b@v9", "one", "two")
