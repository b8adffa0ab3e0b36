"""The command: each finding a line, JSON for programs, and an exit code that says how it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeapp.doctor import checkup
from edgeapp.doctor.checkup import examine
from tests.edgeapp.doctor.conftest import write_journal
from tests.edgeapp.doctor.test_records import damage


@pytest.fixture
def config(tmp_path: Path, toy_pack: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(f'[station]\njournal = "data/journal.sqlite"\npack = "{toy_pack}"\nprovider = "cpu"\nthreads = 1\n')
    return path


def test_a_machine_without_faults_ends_with_0(run, config, monkeypatch):
    # This machine's own clock, sensors and microphones are examined in their own tests.
    monkeypatch.setattr("edgeapp.commands.doctor.examine", lambda one: examine(one, OF_THE_PROJECT))
    done = run("doctor", "--config", config, "--no-microphone")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith("all is well: ")


OF_THE_PROJECT = {
    name: check for name, check in checkup.CHECKS.items() if name not in ("clock", "power", "temperature", "memory")
}


def test_as_json_it_is_one_document_with_every_finding(run, config):
    support = config.with_name("support.zip")
    done = run("doctor", "--config", config, "--no-microphone", "--json", "--bundle", support)
    told = json.loads(done.stdout)
    assert told["exit_code"] == done.exit_code
    assert support.is_file()
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


def test_fix_mends_first_and_examines_then(run, config, tmp_path):
    journal = write_journal(tmp_path / "data" / "journal.sqlite")
    damage(journal)
    before = run("doctor", "--config", config, "--no-microphone")
    assert before.exit_code == 2
    assert "doctor --fix" in before.stdout
    assert [path for path in journal.parent.iterdir() if "backup" in path.name] == []
    after = run("doctor", "--config", config, "--no-microphone", "--fix")
    assert "error " not in after.stdout
    assert after.stdout.index("repair ") < after.stdout.index("journal ")
