"""Which pack is meant, and which one is the default: never another one because of damage."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgeapp.errors import PackError, UsageError
from edgeapp.pack import installed
from edgeapp.pack.installed import (
    check_name,
    choose,
    default_pack,
    find_pack,
    folder_to_change,
    installed_packs,
    load_pack,
    pack_folders,
)
from edgeapp.paths import STARTER_PACK
from tests.edgeapp import toy_pack as toy


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of packs."""
    folder = tmp_path / "packs"
    folder.mkdir()
    monkeypatch.setenv("BIOVITA_PACKS", str(folder))
    return folder


def put(packs: Path, name: str, preset: str) -> Path:
    """A toy pack that says it is of a preset."""
    folder = toy.make(packs / name)
    document = json.loads((folder / "pack.json").read_text())
    (folder / "pack.json").write_text(json.dumps(document | {"preset": preset, "name": name}))
    return folder


def test_with_nothing_installed_the_starter_pack_is_the_default(packs):
    assert [one.name for one in installed_packs()] == ["starter"]
    found = default_pack()
    assert (found.folder, found.name, found.why) == (STARTER_PACK, "starter", "the best one installed")
    assert load_pack().preset == "starter"


def test_the_best_preset_is_the_default_and_own_packs_are_not(packs):
    put(packs, "mine", "toy")
    assert default_pack().name == "starter"
    put(packs, "full", "biovita")
    assert default_pack().name == "full"
    put(packs, "a-birdnet-in-fp16", "birdnet")
    assert default_pack().name == "a-birdnet-in-fp16"
    put(packs, "birdnet", "birdnet")
    assert default_pack().name == "birdnet"


def test_a_chosen_pack_is_the_default_until_the_best_is_wanted(packs):
    put(packs, "birdnet", "birdnet")
    put(packs, "mine", "toy")
    file = choose("mine")
    assert file == packs / "default" and file.read_text() == "mine\n"
    assert (default_pack().name, default_pack().why) == ("mine", "chosen with `pack use`")
    choose("starter")
    assert default_pack().folder == STARTER_PACK
    choose(None)
    assert default_pack().name == "birdnet"


def test_a_name_that_is_not_installed_cannot_be_chosen(packs):
    put(packs, "birdnet", "birdnet")
    with pytest.raises(PackError, match="'birdnt': is not installed; did you mean 'birdnet'"):
        choose("birdnt")
    with pytest.raises(PackError, match="'eagle': is not installed; install it"):
        choose("eagle")
    assert not (packs / "default").exists()


def test_a_damaged_pack_cannot_be_chosen(packs):
    (put(packs, "mine", "toy") / "audio.onnx").write_bytes(b"")
    with pytest.raises(PackError, match=r"audio\.onnx was changed.*pack remove mine"):
        choose("mine")
    assert not (packs / "default").exists()


def test_a_chosen_pack_that_is_gone_is_told_and_not_replaced(packs):
    put(packs, "birdnet", "birdnet")
    (packs / "default").write_text("mine\n")
    with pytest.raises(PackError, match="'mine': is chosen in .*, and not installed; .*--best"):
        default_pack()


@pytest.mark.parametrize("content", [b"", b"../../etc\n", b"\xff\xfe", b"two words\n"])
def test_a_choice_that_is_no_name_is_told(packs, content):
    (packs / "default").write_bytes(content)
    with pytest.raises(PackError, match="default.*pack use"):
        default_pack()


@pytest.mark.parametrize("name", ["birdnet", "who-knows"])
def test_a_damaged_pack_does_not_change_the_default(packs, name):
    folder = put(packs, name, "birdnet")
    (folder / "audio.onnx").unlink()
    with pytest.raises(PackError, match=rf"{name}: audio\.onnx is missing.*; .*pack remove {name}"):
        load_pack()
    (folder / "pack.json").unlink()
    with pytest.raises(PackError, match=rf"{name}: pack\.json is missing.*; .*pack remove {name}"):
        load_pack()
    choose("starter")
    assert load_pack().preset == "starter"


def test_a_changed_byte_of_the_default_is_told(packs):
    folder = put(packs, "birdnet", "birdnet")
    (folder / "audio.onnx").write_bytes((folder / "audio.onnx").read_bytes() + b" ")
    with pytest.raises(PackError, match=r"audio\.onnx was changed .*\(the best one installed\); install it again"):
        load_pack()


def test_a_damaged_pack_below_the_best_one_is_in_nobodys_way(packs):
    put(packs, "birdnet", "birdnet")
    (put(packs, "biovita", "biovita") / "audio.onnx").unlink()
    assert load_pack().name == "birdnet"


def test_a_pack_is_named_by_name_or_folder(packs, tmp_path, monkeypatch):
    mine = put(packs, "mine", "toy")
    monkeypatch.chdir(tmp_path)
    other = toy.make(tmp_path / "other")
    assert find_pack("mine").folder == mine
    assert find_pack("other").folder == Path("other")
    assert find_pack(other).folder == other
    assert load_pack("./other").name == "toy"
    with pytest.raises(PackError, match="'mne': is not installed, and not a folder; did you mean 'mine'"):
        find_pack("mne")
    with pytest.raises(PackError, match="pack list"):
        find_pack("eagle")


def test_an_installed_name_goes_before_a_folder_of_that_name(packs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy.make(tmp_path / "starter")
    assert load_pack("starter").preset == "starter"
    assert load_pack("./starter").preset == "toy"


def test_without_a_starter_pack_the_remedy_is_told(packs, monkeypatch, tmp_path):
    monkeypatch.setattr(installed, "STARTER_PACK", tmp_path / "gone")
    with pytest.raises(PackError, match=r"gone: is not a folder.*; install biovita-edge again"):
        load_pack()


def test_packs_are_the_users_or_beside_the_program(monkeypatch, tmp_path):
    monkeypatch.delenv("BIOVITA_PACKS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    users, programs = pack_folders()
    assert users == tmp_path / "data" / "biovita-edge" / "packs"
    assert programs == tmp_path / "venv" / "share" / "biovita-edge" / "packs"
    assert (folder_to_change(), folder_to_change(shared=True)) == (users, programs)
    put(programs, "birdnet", "birdnet")
    assert default_pack().folder == programs / "birdnet"
    (programs / "birdnet" / "pack.json").rename(programs / "birdnet" / "other.json")
    with pytest.raises(PackError, match="`biovita-edge pack remove birdnet --shared`"):
        load_pack()
    put(users, "birdnet", "birdnet")
    assert default_pack().folder == users / "birdnet"
    choose("starter", shared=True)
    assert default_pack().name == "starter"
    choose("birdnet")
    assert default_pack().name == "birdnet"


def test_the_folder_that_is_named_is_the_only_one(packs):
    assert pack_folders() == (packs,)
    with pytest.raises(UsageError, match="BIOVITA_PACKS names the folder"):
        folder_to_change(shared=True)


def test_a_folder_of_packs_that_is_a_file_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BIOVITA_PACKS", str(tmp_path / "file"))
    with pytest.raises(PackError, match="Not a directory; .*BIOVITA_PACKS"):
        load_pack()


def test_a_folder_of_packs_that_is_not_there_is_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("BIOVITA_PACKS", str(tmp_path / "none"))
    assert default_pack().name == "starter"


def test_a_pack_put_aside_by_a_killed_installation_is_still_there(packs):
    """Where two names cannot be exchanged in one step; see `gallery.files.put_folder_in_place`."""
    put(packs, "birdnet", "birdnet").rename(packs / ".birdnet.old")
    assert default_pack().folder == packs / ".birdnet.old"
    (packs / ".birdnet.1234abcd.part").mkdir()
    assert [one.name for one in installed_packs()] == ["birdnet", "starter"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "x" * 65, "a b", "é", "a\nb", "starter", "default"])
def test_names_that_cannot_be_folders_of_ours_are_refused(name):
    with pytest.raises(UsageError, match="--name"):
        check_name(name)


@pytest.mark.parametrize("name", ["birdnet", "BirdNET-2.4", "mine_1", "a+b", "0"])
def test_ordinary_names_are_taken(name):
    assert check_name(name) == name
