"""A station with its page in a browser: detections as they come, settings while it runs, pages that were asleep."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.edgeapp import pulse_server
from tests.edgeapp.web.conftest import RATE_HZ, Listening, until, until_true
from tests.edgeapp.web.wire import Wire

ROWS = "#newest li[data-number], #newest li.new"
# How many shades a picture has.
COLOURS = """(canvas) => new Set(
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).size"""


@pytest.fixture(scope="module")
def station(listening, tmp_path_factory) -> Iterator[Listening]:
    with listening(tmp_path_factory.mktemp("station")) as station:
        yield station


def hears(station: Listening, page, song: bytes) -> None:
    """The station hears a blackbird, and the page shows it."""
    before = page.locator(ROWS).count()
    station.hear(song)
    until(page, f"document.querySelectorAll('{ROWS}').length > {before}")


def test_a_detection_appears_while_one_looks(station, browse, song):
    page = browse(station.url, timezone_id="Asia/Tokyo")
    assert page.locator("#newest").inner_text() == "None yet."
    station.hear(song[: 16 * 2 * RATE_HZ])
    until(page, f"({COLOURS})(document.querySelector('canvas')) > 50")
    until(page, "document.querySelector('#newest li.going') !== null")  # from its first window on
    assert "Eurasian Blackbird" in page.locator("#newest li.going").inner_text()
    hears(station, page, song[16 * 2 * RATE_HZ :])
    assert page.locator("#newest li.going").count() == 0
    row = page.locator("#newest li").first

    assert re.search(r"Eurasian Blackbird\s+Turdus merula\s+\d+ %", row.inner_text())
    row.locator("img").wait_for()  # its picture
    assert row.locator(".thumb").get_attribute("title") == "Ann <script>alert(1)</script>, CC BY-SA 4.0, a garden"
    assert page.locator("#detections").inner_text() == "1"
    source = page.locator(".source")
    assert source.locator(".name").inner_text() == "standard input"
    windows = source.locator(".windows li").all_inner_texts()
    assert any("Eurasian Blackbird" in one for one in windows) and any("silent" in one for one in windows)
    source.get_by_text(re.compile(r"0 to 16 kHz, the last \d+ s")).wait_for()
    until(
        page,
        "document.querySelector('.level').textContent.includes('dBFS') || "
        "document.querySelector('.level').textContent === 'no signal'",
    )
    told = row.locator("time").inner_text()
    row.locator("a.time").click()
    page.wait_for_url("**/detections?**")
    assert "Eurasian Blackbird" in page.locator(".card").inner_text()
    page.go_back()
    assert "Eurasian Blackbird" in page.locator("#newest li[data-number]").inner_text()
    assert page.locator("#newest time").inner_text().startswith(told)


@pytest.mark.skipif(bool(pulse_server.missing()), reason=pulse_server.missing())
def test_what_a_microphone_hears_appears_while_one_looks(listening, tmp_path, sound_server, browse, song):
    recording = tmp_path / "blackbird.wav"
    soundfile.write(recording, np.frombuffer(song, "<i2")[: 13 * RATE_HZ], RATE_HZ)
    server = sound_server.another()
    folder = tmp_path / "station"
    folder.mkdir()
    with listening(folder, "--hop", 1, server=server) as station:
        page = browse(station.url)
        server.wait_for_listener()
        server.play(recording)
        until(page, "document.querySelector('#newest li') && !document.querySelector('#newest li.quiet')")
        assert "Eurasian Blackbird" in page.locator("#newest").inner_text()
        page.locator("#newest .thumb img").first.wait_for()
        assert page.locator(".source .name").inner_text() == "default"
        assert page.locator(".source .state").inner_text() == "hearing"
        until(page, f"({COLOURS})(document.querySelector('canvas')) > 50")
        page.close()


def test_a_page_that_was_asleep_catches_up(station, browse, song):
    with Wire(station.url) as wire:
        page = browse(wire.url)
        hears(station, page, song)
        before = page.locator(ROWS).count()
        over = "SELECT count(clip) FROM detections"  # which has its clip when it is over
        until_true(lambda: station.rows(over) == [(before,)])
        wire.cut()
        station.hear(song)
        until_true(lambda: station.rows(over) == [(before + 1,)])
        assert page.locator(ROWS).count() == before
        wire.mend()
        until(page, f"document.querySelectorAll('{ROWS}').length === {before + 1}")
        page.close()
    browse.faults[:] = [one for one in browse.faults if not one.startswith(wire.url)]  # the wire was cut


def detections(station: Listening) -> int:
    """Detections so far."""
    with urllib.request.urlopen(f"{station.url}/api/v1/status") as answer:
        return json.load(answer)["detections"]


def verdicts(station: Listening) -> dict[str, int]:
    """Windows so far by their outcome."""
    with urllib.request.urlopen(f"{station.url}/api/v1/status") as answer:
        return json.load(answer)["windows"]


def saves(page: Any) -> None:
    """Save the settings; the answer is another page, which may say what this one does."""
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()
    page.locator("#said").get_by_text("Saved", exact=True).wait_for()


def test_a_threshold_counts_at_once_and_the_file_keeps_its_comments(station, browse, song):
    page = browse(f"{station.url}/settings")
    page.get_by_label("Another taxon").fill("Amsel")
    page.get_by_label("Confidence from").fill("1")
    saves(page)

    lines = station.config.read_text(encoding="utf-8").splitlines()
    assert lines[:4] == ["# My garden", "[detections]", "# Two would lose much here.", "confirm = 1"]
    assert "Amsel = 1.0" in lines
    assert page.get_by_label("Amsel").input_value() == "1.0"
    changed = station.rows("SELECT count(*) FROM deployments")

    saves(page)  # nothing has changed
    assert station.rows("SELECT count(*) FROM deployments") == changed

    before = verdicts(station)
    station.hear(song)
    until_true(lambda: verdicts(station).get("below", 0) > before.get("below_threshold", 0))
    assert verdicts(station).get("detection", 0) == before.get("detection", 0)

    page.get_by_label("Amsel").fill("")
    saves(page)
    assert page.get_by_label("Amsel").count() == 0
    station.hear(song)
    until_true(lambda: verdicts(station).get("detection", 0) > before.get("detection", 0))


def test_a_button_learns_from_the_reviews(station, browse, song):
    page = browse(station.url)
    if page.locator("#newest li[data-number]").count() == 0:
        hears(station, page, song)
        page.reload()
    page.locator("#newest a.time").first.click()
    page.locator(".card").first.get_by_role("button", name="Confirm").click()
    page.locator("#said").get_by_text("confirmed").wait_for()
    page.goto(f"{station.url}/health")
    page.get_by_role("button", name="Learn from the reviews").click()

    page.locator("#said").get_by_text("1 review: 1 recording of 1 species").wait_for()


def test_a_setting_that_waits_for_the_next_start_says_so(station, browse):
    page = browse(f"{station.url}/settings")
    page.get_by_label("station.language").fill("de")
    page.get_by_role("button", name="Save").click()
    page.locator("#said").get_by_text("Saved. At the next start: station.language").wait_for()

    assert 'language = "de"' in station.config.read_text(encoding="utf-8")
    assert "set by flag --privacy" in page.locator(".setting", has_text="privacy.speech").first.inner_text()


def test_a_value_that_is_wrong_is_explained_and_changes_nothing(station, browse):
    page = browse(f"{station.url}/settings")
    before = station.config.read_text(encoding="utf-8")
    page.get_by_label("detections.min_confidence").fill("2")
    page.get_by_role("button", name="Save").click()

    page.get_by_role("alert").get_by_text("detections.min_confidence").wait_for()
    assert station.config.read_text(encoding="utf-8") == before
    browse.faults.clear()  # the status of the answer


def test_a_killed_station_is_noticed_and_has_lost_nothing(listening, tmp_path, browse, song):
    with listening(tmp_path) as station:
        page = browse(station.url)
        hears(station, page, song)
        page.locator("#newest li.new").wait_for()
        station.process.kill()
        station.process.wait(60)
        page.get_by_text("The station does not answer.").wait_for()
        assert "Eurasian Blackbird" in page.locator("#newest").inner_text()  # what was there stays
        page.close()
    killed = station.url

    with listening(tmp_path) as station:
        page = browse(station.url)
        assert "Eurasian Blackbird" in page.locator("#newest li[data-number]").inner_text()
        page.close()
    browse.faults[:] = [one for one in browse.faults if not one.startswith(killed)]  # refused connections


def test_a_full_disk_is_said_and_nothing_is_lost(listening, tmp_path, small_disk, browse, song):
    folder, ballast = tmp_path / "station", small_disk / "ballast"
    folder.mkdir()
    with listening(folder, "--journal", small_disk / "journal.sqlite") as station:
        page = browse(station.url)
        with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        station.hear(song)
        page.get_by_text(re.compile(r"The journal cannot be written: .*(full|I/O error).* changes? wait")).wait_for()
        assert detections(station) == 0

        ballast.unlink()
        page.locator("#trouble").wait_for(state="hidden")
        page.locator("#newest li.new").get_by_text("Eurasian Blackbird").wait_for()
        page.reload()
        assert "Eurasian Blackbird" in page.locator("#newest li[data-number]").inner_text()
        page.close()
    with closing(sqlite3.connect(small_disk / "journal.sqlite")) as connection:
        assert connection.execute("SELECT count(*), min(start_s) FROM detections WHERE confirmed").fetchall() == [
            (1, 0)
        ]
