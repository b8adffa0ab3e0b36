"""Archives are unpacked without trusting them: what is no pack leaves one line and nothing else."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgeapp.errors import PackError
from edgeapp.pack import archive as archives
from edgeapp.pack.archive import pack_up, unpack
from edgeapp.pack.format import Pack

FREE = 1 << 30
SUFFIXES = {".tar": "w", ".tar.gz": "w:gz", ".tar.xz": "w:xz", ".tar.bz2": "w:bz2"}


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """An empty folder, with a neighbour that nothing may touch."""
    (tmp_path / "room" / "into").mkdir(parents=True)
    return tmp_path / "room" / "into"


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def info(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def zip_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("inside", ["", "toy/", "./"])
def test_a_tar_of_a_pack_is_unpacked(toy_pack, tmp_path, room, suffix, inside):
    path = tmp_path / f"toy{suffix}"
    with tarfile.open(path, SUFFIXES[suffix]) as tar:
        for file in sorted(toy_pack.iterdir()):
            tar.add(file, f"{inside}{file.name}")
    folder = unpack(path, room, FREE)
    assert Pack.load(folder).name == "toy"
    assert folder == (room / "toy" if inside == "toy/" else room)


def test_what_pack_up_writes_is_unpacked(toy_pack, tmp_path, room):
    pack = Pack.load(toy_pack)
    size = pack_up(pack, tmp_path / "toy.zip")
    assert size == (tmp_path / "toy.zip").stat().st_size
    assert Pack.load(unpack(tmp_path / "toy.zip", room, FREE)).files == pack.files


@pytest.mark.parametrize(
    "name", ["/etc/hosts", "../beside", "toy/../../beside", "..", "a\\..\\b", "C:x", "line\nbreak"]
)
def test_names_outside_the_pack_are_refused(tmp_path, room, name):
    for path in (tar_of(tmp_path / "bad.tar", (info(name), b"x")), zip_of(tmp_path / "bad.zip", **{name: b"x"})):
        with pytest.raises(PackError, match="lies outside the pack|has a name that cannot be used"):
            unpack(path, room, FREE)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "bad.tar", tmp_path / "bad.zip", room.parent, room]


@pytest.mark.parametrize(
    "fields",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc"},
        {"type": tarfile.LNKTYPE, "linkname": "pack.json"},
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.BLKTYPE},
    ],
    ids=["symlink", "hard link", "fifo", "character device", "block device"],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, room, fields):
    path = tar_of(tmp_path / "bad.tar", (info("pack.json"), b"{}"), (info("inner", **fields), b""))
    with pytest.raises(PackError, match="'inner' is not a regular file"):
        unpack(path, room, FREE)
    assert not (room / "inner").exists()


def test_a_link_in_a_zip_is_refused(tmp_path, room):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as out:
        link = zipfile.ZipInfo("inner")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        out.writestr(link, "/etc")
    with pytest.raises(PackError, match="'inner' is not a regular file"):
        unpack(tmp_path / "bad.zip", room, FREE)


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, room, monkeypatch):
    monkeypatch.setattr(archives, "FREE_RATIO_BYTES", 1 << 16)
    zeros = bytes(1 << 23)
    for path in (
        zip_of(tmp_path / "bomb.zip", zeros=zeros),
        tar_of(tmp_path / "bomb.tar.gz", (info("zeros"), zeros), mode="w:gz"),
    ):
        with pytest.raises(PackError, match="unpacks to more than"):
            unpack(path, room, FREE)
        assert list(room.iterdir()) == []


def test_what_does_not_fit_is_refused(tmp_path, room):
    path = zip_of(tmp_path / "large.zip", a=b"x" * 5000)
    with pytest.raises(PackError, match="unpacks to more than 0 MB; make room"):
        unpack(path, room, 4999)


def test_a_size_that_lies_is_found_out(tmp_path, room, monkeypatch):
    """The central directory says 10 bytes, the content goes on."""
    path = zip_of(tmp_path / "lies.zip", a=b"x" * 5000)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = (10).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(PackError, match="is damaged"):
        unpack(path, room, FREE)


def test_too_many_files_are_refused(tmp_path, room, monkeypatch):
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    path = zip_of(tmp_path / "many.zip", **{f"f{n}": b"" for n in range(4)})
    with pytest.raises(PackError, match="more than 3 files"):
        unpack(path, room, FREE)


def test_a_name_that_comes_twice_is_refused(tmp_path, room):
    path = tar_of(tmp_path / "twice.tar", (info("pack.json"), b"{}"), (info("pack.json"), b"[]"))
    with pytest.raises(PackError, match=r"'pack\.json' twice"):
        unpack(path, room, FREE)
    path = tar_of(tmp_path / "both.tar", (info("a"), b"{}"), (info("a/b"), b"[]"))
    with pytest.raises(PackError, match="twice"):
        unpack(path, room, FREE)


def test_an_archive_without_a_pack_or_with_two_is_refused(tmp_path, room):
    with pytest.raises(PackError, match=r"holds no pack\.json"):
        unpack(zip_of(tmp_path / "none.zip", a=b"x"), room, FREE)
    (tmp_path / "other").mkdir()
    with pytest.raises(PackError, match="contains several packs"):
        unpack(zip_of(tmp_path / "two.zip", **{"a/pack.json": b"", "b/pack.json": b""}), tmp_path / "other", FREE)


def test_an_encrypted_zip_is_refused(tmp_path, room):
    path = zip_of(tmp_path / "secret.zip", a=b"x")
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    path.write_bytes(content)
    with pytest.raises(PackError, match="'a' is encrypted"):
        unpack(path, room, FREE)


@pytest.mark.parametrize("suffix", [".zip", *SUFFIXES])
def test_a_truncated_archive_is_refused(toy_pack, tmp_path, room, suffix):
    path = tmp_path / f"toy{suffix}"
    if suffix == ".zip":
        pack_up(Pack.load(toy_pack), path)
    else:
        with tarfile.open(path, SUFFIXES[suffix]) as tar:
            tar.add(toy_pack, "toy")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PackError) as raised:
        unpack(path, room, FREE)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.xz", ".tar.bz2"])
def test_an_archive_with_changed_bytes_is_refused_or_harmless(toy_pack, tmp_path, room, suffix):
    """Each error is one line; what is unpacked all the same fails the check of its hashes."""
    path = tmp_path / f"toy{suffix}"
    if suffix == ".zip":
        pack_up(Pack.load(toy_pack), path)
    else:
        with tarfile.open(path, SUFFIXES[suffix]) as tar:
            tar.add(toy_pack, "toy")
    content = bytearray(path.read_bytes())
    for part in range(1, 5):
        at = part * len(content) // 6
        content[at : at + 40] = bytes(byte ^ 0xFF for byte in content[at : at + 40])
    path.write_bytes(content)
    with pytest.raises(PackError):
        Pack.load(unpack(path, room, FREE))


def test_a_zip_without_its_beginning_is_damaged(toy_pack, tmp_path, room):
    path = tmp_path / "toy.zip"
    pack_up(Pack.load(toy_pack), path)
    path.write_bytes(path.read_bytes()[100:])
    with pytest.raises(PackError, match="is damaged .*; download the archive again"):
        unpack(path, room, FREE)


def test_where_no_byte_is_free_no_negative_number_is_said(toy_pack, tmp_path, room):
    path = tmp_path / "toy.zip"
    pack_up(Pack.load(toy_pack), path)
    with pytest.raises(PackError, match="unpacks to more than 0 MB"):
        unpack(path, room, -1_000_000)


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 100, b"PK\x03\x04", b"\x1f\x8b" + b"x" * 50])
def test_a_file_that_is_no_archive_is_refused(tmp_path, room, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(PackError, match="is neither a zip nor a tar archive"):
        unpack(tmp_path / "file", room, FREE)
