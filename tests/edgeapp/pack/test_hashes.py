"""Hashes of large files are remembered for as long as the files stay as they are."""

import hashlib
import os

import pytest

from edgeapp.pack import hashes


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A file that counts as large and was not changed lately."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "LARGE_BYTES", 10)
    monkeypatch.setattr(hashes, "SETTLED_S", -1.0)
    path = tmp_path / "gallery.sqlite"
    path.write_bytes(b"vectors" * 100)
    return path


@pytest.fixture
def read(monkeypatch):
    """Files that were read through."""
    found, plain = [], hashes.sha256
    monkeypatch.setattr(hashes, "sha256", lambda path: found.append(path.name) or plain(path))
    return found


def test_a_large_file_is_hashed_once(large, read):
    wanted = hashlib.sha256(large.read_bytes()).hexdigest()
    assert [hashes.known_sha256(large) for _ in range(3)] == [wanted] * 3
    assert read == [large.name]


def test_a_file_that_changed_is_hashed_again(large, read):
    before = hashes.known_sha256(large)
    large.write_bytes(b"Vectors" * 100)
    os.utime(large, ns=(1, 1))  # whatever its time says
    assert hashes.known_sha256(large) == hashlib.sha256(large.read_bytes()).hexdigest() != before
    assert len(read) == 2


def test_a_file_that_was_just_changed_is_not_remembered(large, read, monkeypatch):
    monkeypatch.setattr(hashes, "SETTLED_S", 60.0)
    assert hashes.known_sha256(large) == hashes.known_sha256(large)
    assert len(read) == 2


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', "[" * 100_000])
def test_a_damaged_memory_is_none(large, read, content):
    hashes.known_sha256(large)
    (hashes.cache_folder() / hashes.REMEMBERED).write_text(content)
    assert hashes.known_sha256(large) == hashlib.sha256(large.read_bytes()).hexdigest()
    assert len(read) == 2


def test_small_files_are_always_read(large, read, monkeypatch):
    monkeypatch.setattr(hashes, "LARGE_BYTES", 10_000)
    for _ in range(2):
        hashes.known_sha256(large)
    assert len(read) == 2 and not hashes.cache_folder().exists()
