"""What can be read only once is read once, and stays known."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from edgeapp import read_once
from edgeapp.audio.microphones.addresses import with_log_in
from edgeapp.config.load import missing
from edgeapp.config.secrets import secret_of
from edgeapp.config.settings import Settings
from edgeapp.config.target_sections import Mqtt
from edgeapp.delivery.tls import context
from edgeapp.detections.filters import SpeciesList
from edgeapp.detections.species_range import SpeciesRange
from edgeapp.errors import UsageError
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.delivery.certificates import made_in

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
RANGES = (
    "scientific_name,latitude_min,latitude_max,longitude_min,longitude_max,week_first,week_last\nParus major,,,,,,\n"
)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(read_once, "_kept", {})
    monkeypatch.setattr(read_once, "_untold", [])


@pytest.fixture
def piped(tmp_path):
    """Makes a named pipe that somebody writes a text to, once."""

    def make(text: str | bytes, name: str = "pipe") -> Path:
        path = tmp_path / name
        os.mkfifo(path)
        given = text.encode() if isinstance(text, str) else text
        threading.Thread(target=path.write_bytes, args=(given,), daemon=True).start()
        return path

    return make


def asked(path: Path) -> Settings:
    return Settings(mqtt=Mqtt(host="broker", password_file=path))


def test_a_secret_from_a_pipe_is_kept_and_that_is_told_once(piped):
    path = piped("hunter2\n")
    assert [secret_of(asked(path), "mqtt.password") for _ in range(3)] == ["hunter2"] * 3
    assert path in read_once.newly_kept() and not read_once.newly_kept()


def test_a_pipe_of_a_shell_has_no_name_and_is_kept(tmp_path):
    reading, writing = os.pipe()
    os.write(writing, b"hunter2\n")
    os.close(writing)
    path = Path(f"/dev/fd/{reading}")
    try:
        assert [secret_of(asked(path), "mqtt.password") for _ in range(2)] == ["hunter2"] * 2
    finally:
        os.close(reading)


def test_a_pipe_that_was_removed_is_not_missed(piped):
    path = piped("hunter2")
    secret_of(asked(path), "mqtt.password")
    path.unlink()
    assert missing(asked(path)) == [] and secret_of(asked(path), "mqtt.password") == "hunter2"


def test_a_file_in_the_place_of_a_pipe_counts(piped):
    path = piped("hunter2")
    secret_of(asked(path), "mqtt.password")
    path.unlink()
    path.write_text("hunter3")
    assert secret_of(asked(path), "mqtt.password") == "hunter3"


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(read_once, "UNWRITTEN_S", 0.2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=r"pipe: cannot be read \(nothing was written to it\)"):
        secret_of(asked(tmp_path / "pipe"), "mqtt.password")


def test_a_pipe_without_an_end_is_given_up():
    with pytest.raises(UsageError, match=r"/dev/zero: cannot be read \(more than 1 MB\)"):
        secret_of(asked(Path("/dev/zero")), "mqtt.password")


def test_a_secret_that_changes_in_its_file_is_read_again(tmp_path):
    (tmp_path / "secret").write_text("hunter2")
    assert secret_of(asked(tmp_path / "secret"), "mqtt.password") == "hunter2"
    (tmp_path / "secret").write_text("hunter3")
    assert secret_of(asked(tmp_path / "secret"), "mqtt.password") == "hunter3"
    assert read_once.newly_kept() == []


def test_lists_and_tables_come_through_pipes_as_well(piped):
    names, ranges = piped("Parus major\n", "names"), piped(RANGES, "ranges")
    for _ in range(2):
        assert SpeciesList.read(names, toy.taxa()).species == {"Parus major"}
        assert set(SpeciesRange.read(ranges, toy.taxa(), 50.0, 10.0).ranges) == {"Parus major"}


def test_log_ins_come_through_a_pipe_for_every_connection(piped):
    path = piped("machine camera.local login eve password hunter2\n")
    for _ in range(2):
        assert with_log_in("rtsp://camera.local/a", path) == "rtsp://eve:hunter2@camera.local/a"


def test_certificates_come_through_pipes(piped, tmp_path):
    certificates = made_in(tmp_path)
    files = (certificates.ca, certificates.client, certificates.client_key)
    more = b"\n" * 200_000  # than a pipe holds
    pipes = [str(piped(path.read_bytes() + more, f"pipe-{path.name}")) for path in files]
    for _ in range(2):
        assert len(context(*pipes).get_ca_certs()) == 1
