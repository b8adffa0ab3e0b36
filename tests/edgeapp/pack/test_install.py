"""A pack is installed whole or not at all, from a folder, an archive or an address, whatever happens meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgeapp.errors import PackError, UsageError
from edgeapp.pack import install as installing
from edgeapp.pack.archive import pack_up
from edgeapp.pack.format import Pack
from edgeapp.pack.install import install, remove
from edgeapp.pack.installed import choose, default_pack, installed_packs, load_pack
from tests.conftest import PROJECT
from tests.edgeapp.pack.file_server import file_server


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packs that is not there yet."""
    monkeypatch.setenv("BIOVITA_PACKS", str(tmp_path / "packs"))
    return tmp_path / "packs"


@pytest.fixture(scope="session")
def zipped(toy_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy pack as one file."""
    path = tmp_path_factory.mktemp("zipped") / "toy.zip"
    pack_up(Pack.load(toy_pack), path)
    return path


def versioned(folder: Path, version: str) -> Path:
    """A pack with another version, and so with another card."""
    (folder / "MODEL_CARD.md").write_text(version)
    document = json.loads((folder / "pack.json").read_text())
    document["version"] = version
    document["files"]["MODEL_CARD.md"] = hashlib.sha256(version.encode()).hexdigest()
    (folder / "pack.json").write_text(json.dumps(document))
    return folder


def left(packs: Path) -> list[str]:
    return sorted(path.name for path in packs.iterdir())


def test_a_folder_is_installed_as_it_is(packs, toy_copy):
    (toy_copy / "notes.txt").write_text("of no pack")
    (toy_copy / "engines").mkdir()
    (toy_copy / "engines" / "audio.engine").write_bytes(b"built ahead")
    done = install(str(toy_copy))
    assert (done.name, done.replaced, done.pack.folder) == ("toy", False, packs / "toy")
    assert load_pack("toy").files == Pack.load(toy_copy).files
    assert not (packs / "toy" / "notes.txt").exists()
    assert (packs / "toy" / "engines" / "audio.engine").read_bytes() == b"built ahead"
    assert left(packs) == ["toy"]


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_an_archive_is_installed_with_its_hash_checked(packs, zipped, scheme):
    digest = hashlib.sha256(zipped.read_bytes()).hexdigest()
    assert install(f"{scheme}{zipped}", "mine", digest.upper()).name == "mine"
    assert load_pack("mine").name == "toy"
    with pytest.raises(PackError, match=f"has the sha256 {digest}, not {'0' * 64}"):
        install(f"{scheme}{zipped}", "other", "0" * 64)
    assert left(packs) == ["mine"]


def test_a_pack_is_installed_from_an_address(packs, zipped):
    with file_server() as served:
        served.content = zipped.read_bytes()
        served.breaks = [1000]
        done = install(served.url, sha256=hashlib.sha256(served.content).hexdigest())
        assert (done.name, load_pack("toy").name) == ("toy", "toy")
        with pytest.raises(PackError, match="has the sha256 .*, not 00"):
            install(served.url, "other", "0" * 64)
        served.content = served.content[: len(served.content) // 2]
        with pytest.raises(PackError, match=f"^{served.url}: is "):
            install(served.url, "other")
        served.content = b"<html>Please log in to this network</html>"
        with pytest.raises(PackError, match=f"^{served.url}: is neither a zip nor a tar archive"):
            install(served.url, "other")
    assert left(packs) == ["toy"]


def test_a_newer_pack_replaces_the_older_one(packs, toy_copy):
    install(str(toy_copy))
    done = install(str(versioned(toy_copy, "2.0")))
    assert (done.replaced, done.pack.version) == (True, "2.0")
    assert load_pack("toy").version == "2.0"
    assert left(packs) == ["toy"]


@pytest.mark.parametrize("spoil", ["changed", "missing", "no json", "no gallery of its own"])
def test_a_damaged_pack_leaves_the_older_one(packs, toy_copy, tmp_path, spoil):
    install(str(toy_copy))
    if spoil == "changed":
        (toy_copy / "audio.onnx").write_bytes(b"x")
    elif spoil == "missing":
        (toy_copy / "audio.onnx").unlink()
    elif spoil == "no json":
        (toy_copy / "pack.json").write_text("{")
    else:
        document = json.loads((toy_copy / "pack.json").read_text())
        document["encoder"]["space"] = "another"
        (toy_copy / "pack.json").write_text(json.dumps(document))
    with tarfile.open(tmp_path / "toy.tar.gz", "w:gz") as tar:
        tar.add(toy_copy, "toy")
    for source in (toy_copy, tmp_path / "toy.tar.gz"):
        with pytest.raises(PackError) as raised:
            install(str(source))
        told = str(raised.value)
        assert str(source) in told and ".part" not in told and "\n" not in told
    assert load_pack("toy").version == "1.0"
    assert left(packs) == ["toy"]


def test_a_pack_whose_name_is_taken_or_odd_needs_another(packs, toy_copy):
    document = json.loads((toy_copy / "pack.json").read_text())
    for name in ("starter", "default", "my pack", "../up", ".hidden", "é", "", "nul", "COM1.old", "ends."):
        (toy_copy / "pack.json").write_text(json.dumps(document | {"name": name}))
        with pytest.raises(UsageError, match="invalid name of a pack: .*--name"):
            install(str(toy_copy))
        with pytest.raises(UsageError, match="invalid name of a pack: .*--name"):
            install(str(toy_copy), name)
    assert install(str(toy_copy), "My_pack-1.0+b").name == "My_pack-1.0+b"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("nowhere", "nowhere: is not there; give a folder"),
        ("ftp://127.0.0.1/pack.zip", "unsupported scheme: ftp"),
        ("file://other.example/pack.zip", "unsupported scheme: file"),
        ("http://[bad", "is not a URL"),
    ],
)
def test_a_source_that_is_none_is_told(packs, source, error):
    with pytest.raises((PackError, UsageError), match=error):
        install(source)
    assert left(packs) == []


def test_a_hash_that_is_none_is_told(packs, toy_copy, zipped):
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        install(str(zipped), sha256="abc")
    with pytest.raises(UsageError, match="is for archives"):
        install(str(toy_copy), sha256="0" * 64)


def test_without_room_nothing_is_installed(packs, toy_copy, zipped, monkeypatch):
    monkeypatch.setattr(installing, "_free", lambda folder: 1000)
    with pytest.raises(PackError, match=r"takes [\d.]+ MB, and 0.0 MB are available in .*packs \(.* free\); make room"):
        install(str(toy_copy))
    with pytest.raises(PackError, match="unpacks to more than 0 MB; make room"):
        install(str(zipped))
    assert left(packs) == []


def test_a_disk_that_fills_up_meanwhile_is_told(packs, toy_copy, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(PackError, match="No space left on device; check the folder, or set BIOVITA_PACKS"):
        install(str(toy_copy))
    assert left(packs) == []


@pytest.mark.parametrize("place", ["/proc/packs", "FILE/packs"])
def test_a_folder_that_cannot_be_written_is_told(place, toy_copy, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BIOVITA_PACKS", place.replace("FILE", str(tmp_path / "file")))
    with pytest.raises(PackError, match="packs: .*; check the folder, or set BIOVITA_PACKS"):
        install(str(toy_copy))


def test_an_interrupted_installation_leaves_nothing(packs, toy_copy, monkeypatch):
    def interrupted(folder, pack):
        raise KeyboardInterrupt

    monkeypatch.setattr(installing, "_leave_only", interrupted)
    with pytest.raises(KeyboardInterrupt):
        install(str(toy_copy))
    assert left(packs) == []


INSTALLS = """
import sys
from edgeapp.pack.install import install
while True:
    for source in sys.argv[1:]:
        install(source)
        print(flush=True)
"""


def test_killed_at_any_moment_one_of_two_packs_is_there(packs, toy_copy, tmp_path, forks):
    shutil.copytree(toy_copy, tmp_path / "newer")
    versioned(toy_copy, "1.0")
    sources = [str(toy_copy), str(versioned(tmp_path / "newer", "2.0"))]
    moments = random.Random(0)
    install(sources[0])
    for _ in range(8):
        process = subprocess.Popen(
            [*forks.python(), "-c", INSTALLS, *sources], stdout=subprocess.PIPE, cwd=PROJECT, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0.0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = load_pack("toy")
        assert (found.folder / "MODEL_CARD.md").read_text() == found.version
    install(sources[0])
    assert left(packs) == ["toy"]


def test_installations_at_once_do_not_disturb_each_other(packs, toy_copy, tmp_path):
    sources = []
    for version in ("1.0", "2.0", "3.0", "4.0"):
        shutil.copytree(toy_copy, tmp_path / version)
        sources.append(str(versioned(tmp_path / version, version)))
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(install, sources * 3))
    assert {one.name for one in done} == {"toy"}
    found = load_pack("toy")
    assert (found.folder / "MODEL_CARD.md").read_text() == found.version
    assert left(packs) == ["toy"]


def test_a_removed_pack_is_gone_and_its_choice_too(packs, toy_copy):
    install(str(toy_copy))
    install(str(toy_copy), "other")
    choose("toy")
    assert remove("toy") == packs / "toy"
    assert [one.name for one in installed_packs()] == ["other", "starter"]
    assert default_pack().name == "starter"
    assert left(packs) == ["other"]


def test_a_pack_that_is_not_chosen_leaves_the_choice(packs, toy_copy):
    install(str(toy_copy))
    install(str(toy_copy), "other")
    choose("toy")
    remove("other")
    assert default_pack().name == "toy"


@pytest.mark.parametrize("name", ["other", "..", "", "default"])
def test_what_is_not_installed_is_not_removed(packs, toy_copy, name):
    install(str(toy_copy))
    choose("toy")
    with pytest.raises(PackError, match="is not installed"):
        remove(name)
    assert left(packs) == ["default", "toy"]


def test_the_starter_pack_is_not_removed(packs):
    with pytest.raises(UsageError, match="part of the program"):
        remove("starter")


def test_a_pack_beside_the_program_is_removed_there(tmp_path, toy_copy, monkeypatch):
    monkeypatch.delenv("BIOVITA_PACKS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    assert install(str(toy_copy), shared=True).pack.folder == tmp_path / "venv/share/biovita-edge/packs/toy"
    with pytest.raises(PackError, match="lies in .*venv.*remove it with --shared"):
        remove("toy")
    remove("toy", shared=True)
    assert [one.name for one in installed_packs()] == ["starter"]


def test_a_damaged_pack_is_removed_as_well(packs, toy_copy):
    install(str(toy_copy))
    os.truncate(packs / "toy" / "pack.json", 0)
    remove("toy")
    assert left(packs) == []


@pytest.mark.parametrize("field", ["name", "version", "licence", "created", "preset"])
@pytest.mark.parametrize("value", [None, ["a"], 3, "two\nlines", "x" * 5000])
def test_a_description_that_is_no_line_of_text_is_refused(packs, toy_copy, field, value):
    document = json.loads((toy_copy / "pack.json").read_text())
    document[field] = value
    (toy_copy / "pack.json").write_text(json.dumps(document))
    with pytest.raises(PackError, match=f"pack.json: {field} must be one line of text, not "):
        install(str(toy_copy), "mine")
    assert left(packs) == []


def test_a_format_that_is_true_is_not_the_first(toy_copy):
    document = json.loads((toy_copy / "pack.json").read_text())
    (toy_copy / "pack.json").write_text(json.dumps({**document, "format": True}))
    with pytest.raises(PackError, match="format True, this program reads format 1"):
        Pack.load(toy_copy)


def test_an_empty_name_is_not_the_folder_of_the_moment(packs, toy_copy, monkeypatch):
    monkeypatch.chdir(toy_copy)
    with pytest.raises(UsageError, match="no pack is named; give a folder, an archive, or a URL"):
        install("")
    with pytest.raises(PackError, match="pack '': is not installed"):
        load_pack("")


def test_a_folder_that_is_no_pack_is_not_to_be_reinstalled(packs, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(PackError, match="pack.json is missing; name the folder of a whole pack"):
        install(str(tmp_path / "other"))


def test_an_address_as_browsers_show_it_is_encoded(packs, zipped):
    with file_server() as served:
        served.content = zipped.read_bytes()
        assert install(f"{served.url} Päckchen?x=a b#part", "mine").name == "mine"
        assert served.paths == ["/pack.zip%20P%C3%A4ckchen?x=a%20b"]


def test_a_log_in_in_an_address_is_not_repeated(packs):
    with pytest.raises(UsageError) as caught:
        install("https://me:secret@example.org/pack.zip")
    assert "log-ins in a URL are not supported" in str(caught.value) and "secret" not in str(caught.value)
