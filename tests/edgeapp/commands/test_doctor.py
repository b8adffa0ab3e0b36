"""The command: each finding a line, JSON for programs, and an exit code that says how it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeapp.doctor import checkup
from edgeapp.doctor.checkup import examine
from edgeapp.doctor.finding import Finding, State, error, exit_code, ok, skipped, warning
from edgeapp.errors import PackError
from tests.edgeapp.doctor.test_records import damage


@pytest.fixture
def config(tmp_path: Path, toy_pack: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(f'[station]\njournal = "data/journal.sqlite"\npack = "{toy_pack}"\nprovider = "cpu"\nthreads = 1\n')
    return path


def test_the_exit_code_is_that_of_the_worst_finding():
    assert exit_code([ok("a", ""), skipped("b", "")]) == 0
    assert exit_code([ok("a", ""), warning("b", "", "")]) == 1
    assert exit_code([warning("b", "", ""), error("c", "", ""), ok("a", "")]) == 2


def test_a_check_that_fails_does_not_end_the_others(patient):
    def breaks(patient):
        yield ok("one", "fine")
        raise ZeroDivisionError("oh")

    def refuses(patient):
        raise PackError("it is broken", "mend it")

    told = list(examine(patient(), {"one": breaks, "two": refuses, "three": lambda patient: iter([ok("three", "x")])}))
    assert [(one.name, one.state) for one in told] == [
        ("one", State.OK),
        ("one", State.ERROR),
        ("two", State.ERROR),
        ("three", State.OK),
    ]
    assert "ZeroDivisionError: oh" in told[1].what
    assert (told[2].what, told[2].remedy) == ("it is broken", "mend it")


def test_a_machine_without_faults_ends_with_0(run, config, monkeypatch, patient):
    # This machine's own clock, sensors and microphones are examined in their own tests.
    monkeypatch.setattr("edgeapp.commands.doctor.examine", lambda one: examine(one, OF_THE_PROJECT))
    done = run("doctor", "--config", config, "--no-microphone")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith("all is well: ")


OF_THE_PROJECT = {
    name: check for name, check in checkup.CHECKS.items() if name not in ("clock", "power", "temperature", "memory")
}


def test_as_json_it_is_one_document_with_every_finding(run, config):
    done = run("doctor", "--config", config, "--no-microphone", "--json")
    told = json.loads(done.stdout)
    assert told["exit_code"] == done.exit_code
    assert {one["state"] for one in told["findings"]} <= {"ok", "skipped", "warning", "error"}
    names = {one["name"] for one in told["findings"]}
    assert names >= {"config", "versions", "pack", "parity", "gallery", "provider", "answer", "station", "microphone"}
    assert names >= {"journal", "disk", "memory", "temperature", "power", "clock"}
    assert all(one["remedy"] for one in told["findings"] if one["state"] in ("warning", "error"))


def test_a_faulty_file_of_settings_is_a_finding_and_no_end(run, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[station]\nhopp = 3\n")
    done = run("doctor", "--config", path, "--no-microphone", "--json")
    assert done.exit_code == 2
    found = [one for one in json.loads(done.stdout)["findings"] if one["name"] == "config"]
    assert [one["state"] for one in found] == ["error"]
    assert "hopp" in found[0]["what"]


def test_fix_mends_first_and_examines_then(run, config, journal):
    damage(journal)
    before = run("doctor", "--config", config, "--no-microphone")
    assert before.exit_code == 2
    assert "doctor --fix" in before.stdout
    assert [path for path in journal.parent.iterdir() if "backup" in path.name] == []
    after = run("doctor", "--config", config, "--no-microphone", "--fix")
    assert "error " not in after.stdout
    assert after.stdout.index("mend ") < after.stdout.index("journal ")


def test_a_finding_cannot_be_changed():
    with pytest.raises(AttributeError):
        Finding("a", State.OK, "x").what = "y"
