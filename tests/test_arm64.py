"""`make arm64`, as far as it needs no emulation: comparing documents, and what it says when a tool is missing."""

from __future__ import annotations

import copy
import os
import subprocess
import sys

import pytest

from tests.arm64.compare import compare
from tests.arm64.folder import CPUINFO, requirements
from tests.conftest import PROJECT


def species(name, confidence, rank=1):
    return {"rank": rank, "scientific_name": name, "common_name": name.title(), "probability": confidence}


def document():
    window = {"start_s": 0.0, "end_s": 10.0, "species": [species("Parus major", 0.9), species("Parus minor", 0.05, 2)]}
    return {
        "file": "a.flac",
        "duration_s": 12.0,
        "species": [species("Parus major", 0.9), species("Parus minor", 0.05, 2)],
        "decision": {"rank": "species", "name": "Parus major", "mass": 0.95},
        "windows": [window, {**copy.deepcopy(window), "start_s": 2.0, "end_s": 12.0}],
    }


def compared(change):
    """A document against itself after a change."""
    other = document()
    change(other)
    return compare([document()], [other])


def set_window(key, value):
    return lambda changed: changed["windows"][1].update({key: value})


def set_confidence(value):
    return lambda changed: changed["windows"][1]["species"][0].update(probability=value)


def test_equal_documents_agree():
    found = compare([document()], [document()])
    assert found.agrees and found.wrong == ()
    assert (found.n_windows, found.n_confidences, found.largest.distance) == (2, 7, 0.0)


@pytest.mark.parametrize("value", [0.901, 0.899])
def test_a_confidence_may_differ_by_a_thousandth(value):
    found = compared(set_confidence(value))
    assert found.agrees
    assert found.largest.distance == pytest.approx(0.001)
    assert found.largest.place == "documents[0].windows[1].species[Parus major].probability"


@pytest.mark.parametrize(
    "change",
    [
        set_confidence(0.9011),
        set_confidence(None),
        set_confidence(float("nan")),
        set_window("start_s", 2.001),
        set_window("end_s", 11.9999),
        lambda changed: changed["decision"].update(name="Parus minor"),
        lambda changed: changed["decision"].update(rank="genus"),
        lambda changed: changed["decision"].update(mass=0.9),
        lambda changed: changed.update(decision=None),
        lambda changed: changed.pop("decision"),
        lambda changed: changed.update(species=[]),
        lambda changed: changed["species"].pop(0),
        lambda changed: changed["species"][0].update(scientific_name="Parus ater"),
        lambda changed: changed["windows"].pop(),
        lambda changed: changed["windows"].append(changed["windows"][0]),
        lambda changed: changed.update(file="b.flac"),
    ],
)
def test_what_should_be_equal_is_found_when_it_is_not(change):
    found = compared(change)
    assert not found.agrees
    assert all(str(one).startswith("documents[0]") for one in found.wrong)


def test_detections_of_another_taxon_differ():
    here = {
        **document(),
        "detections": [{"start_s": 0.0, "taxon": {"scientific_name": "Parus major"}, "confidence": 0.9}],
    }
    there = copy.deepcopy(here)
    there["detections"][0]["taxon"]["scientific_name"] = "Parus minor"
    assert compare([here], [copy.deepcopy(here)]).agrees
    (wrong,) = compare([here], [there]).wrong
    assert (wrong.here, wrong.there) == ("Parus major", "Parus minor")


def test_candidates_as_good_as_equal_may_change_places():
    here, there = document(), document()
    here["species"] = [species("Parus major", 0.9), species("Parus minor", 0.0502, 2), species("Parus ater", 0.05, 3)]
    there["species"] = [species("Parus major", 0.9), species("Parus ater", 0.0501, 2), species("Parus minor", 0.05, 3)]
    assert compare([here], [there]).agrees


def test_the_last_candidate_may_be_another_that_is_as_good():
    assert compared(lambda changed: changed["species"].__setitem__(1, species("Parus ater", 0.0505, 2))).agrees
    assert not compared(lambda changed: changed["species"].__setitem__(1, species("Parus ater", 0.06, 2))).agrees


@pytest.mark.parametrize("documents", [[], [{**document(), "windows": []}], [{"windows": [{"start_s": 0.0}]}]])
def test_nothing_to_compare_is_no_agreement(documents):
    assert not compare(documents, documents).agrees


def test_a_missing_document_is_a_difference():
    assert not compare([document(), document()], [document()]).agrees


def test_the_folder_gets_what_a_device_install_asks_for():
    wanted = requirements()
    assert any(one.startswith("onnxruntime>=") for one in wanted) and any(one.startswith("numpy>=") for one in wanted)
    assert not any(one.startswith(("torch", "onnxruntime-gpu")) for one in wanted)


def test_the_emulated_cores_are_told_apart():
    assert "processor\t: 3\n" in CPUINFO.format(index=3)


def test_a_missing_emulator_is_one_line_with_the_remedy(tmp_path):
    kept = tmp_path / "kept"
    kept.touch()
    done = subprocess.run(
        [sys.executable, "-m", "tests.arm64.folder", str(tmp_path)],
        cwd=PROJECT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "arm64: qemu-aarch64-static is missing: install it with apt-get install qemu-user-static\n"
    assert kept.exists()
