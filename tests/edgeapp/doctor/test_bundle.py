"""The support file has what helps, and no secret in any form, wherever one has slipped into."""

from __future__ import annotations

import base64
import json
import stat
import zipfile
from dataclasses import replace
from urllib.parse import quote

import pytest

from edgeapp.config.secrets import FILES, SECRETS
from edgeapp.config.sections import Detections, Log, Station
from edgeapp.config.settings import Settings
from edgeapp.doctor.bundle import bundle
from edgeapp.doctor.finding import error
from edgeapp.errors import OutputError

WORD = "s3cret/wörd+{}"


def value_of(key: str) -> str:
    """A secret as somebody may choose it: a URL, a header, or any word."""
    word = WORD.format(key.replace(".", "-"))
    if "header" in key:
        return f"Authorization: Bearer {quote(word)}"
    return f"https://user:{quote(word, safe='')}@example.org/hook/{quote(word)}" if "url" in key else word


def traces_of(key: str) -> list[str]:
    """What must not be found of it."""
    word = WORD.format(key.replace(".", "-"))
    return [word, quote(word), quote(word, safe=""), json.dumps(word)[1:-1], base64.b64encode(word.encode()).decode()]


@pytest.fixture(params=["values", "files"])
def settings(request, tmp_path) -> Settings:
    """Every secret that there is, in the settings or in files of their own."""
    made = Settings(
        station=Station(journal=tmp_path / "data" / "journal.sqlite", name="garden"),
        detections=Detections(latitude=52.123456, longitude=-13.654321),
        log=Log(file=tmp_path / "station.log"),
    )
    for key, setting in SECRETS.items():
        value = value_of(key)
        if request.param == "files":
            setting, path = FILES[key], tmp_path / f"{key}.txt"
            path.write_text(value + "\n")
            given = path
        else:
            given = (value,) if setting.many else value
        section = replace(getattr(made, setting.section), **{setting.name: given})
        made = replace(made, **{setting.section: section})
    return made


@pytest.fixture
def packed(settings, context, tmp_path):
    """The files of a bundle whose log, status and findings quote every secret."""
    leaks = "\n".join(f"{key}: {value_of(key)} {' '.join(traces_of(key))}" for key in SECRETS)
    settings.log.file.write_text(f"began\n{leaks}\nat latitude=52.123456 ended\n")
    settings.status_path.parent.mkdir()
    settings.status_path.write_text(json.dumps({"targets": leaks, "longitude": -13.654321}))
    one = context()
    one = replace(one, loaded=replace(one.loaded, settings=settings))
    names = bundle(one, [error("delivery", leaks, "correct it")], tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert archive.namelist() == names
        return {name: archive.read(name).decode() for name in names}


def test_no_secret_is_in_any_file(packed):
    for key in SECRETS:
        for trace in traces_of(key):
            assert [name for name, text in packed.items() if trace in text] == [], key


def test_no_location_is_in_any_file(packed):
    assert [name for name, text in packed.items() if "52.123456" in text or "13.654321" in text] == []


def test_what_helps_is_there(packed):
    assert "began" in packed["log.txt"] and "ended" in packed["log.txt"]
    assert json.loads(packed["findings.json"])[0]["name"] == "delivery"
    assert 'name = "garden"' in packed["settings.toml"]
    assert json.loads(packed["versions.json"])["packages"]["numpy"]
    assert "error" in json.loads(packed["journal.json"])  # there is none


def test_a_location_may_be_asked_for(settings, context, tmp_path):
    one = context()
    one = replace(one, loaded=replace(one.loaded, settings=settings))
    bundle(one, [], tmp_path / "b.zip", location=True)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert "52.123456" in archive.read("settings.toml").decode()


def test_only_its_owner_may_read_it(packed, tmp_path):
    assert stat.S_IMODE((tmp_path / "b.zip").stat().st_mode) == 0o600


def test_a_place_that_cannot_be_written_is_named(context, tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        bundle(context(), [], tmp_path / "none" / "b.zip")


def test_every_secret_can_be_given_in_a_file():
    assert {key: row.key for key, row in FILES.items()} == {key: f"{key}_file" for key in SECRETS}


def test_a_bundle_takes_the_place_of_no_other_file(context, tmp_path):
    journal = tmp_path / "other.sqlite"
    journal.write_bytes(b"SQLite format 3\0")
    with pytest.raises(OutputError, match="other.sqlite: is there, and no ZIP file; choose another file"):
        bundle(context(), [], journal)
    assert journal.read_bytes() == b"SQLite format 3\0"
