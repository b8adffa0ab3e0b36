"""A station with its page in a browser: detections as they come, settings while it runs, pages that were asleep."""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from collections.abc import Iterator

import pytest

from tests.edgeapp.web.conftest import Listening, listening, until


@pytest.fixture(scope="module")
def station(starter_pack, gallery, tmp_path_factory) -> Iterator[Listening]:
    with listening(tmp_path_factory.mktemp("station"), starter_pack, gallery) as station:
        yield station


def hears(station: Listening, page, song: bytes) -> None:
    """The station hears a blackbird, and the page shows it."""
    before = page.locator("#newest li[data-number], #newest li.new").count()
    station.hear(song)
    until(page, f"document.querySelectorAll('#newest li[data-number], #newest li.new').length > {before}")


def test_a_detection_appears_while_one_looks(station, browse, song):
    page = browse(station.url)
    assert page.locator("#newest").inner_text() == "None yet."
    hears(station, page, song)
    row = page.locator("#newest li").first

    assert re.search(r"Eurasian Blackbird\s+Turdus merula\s+\d+ %", row.inner_text())
    row.locator("img").wait_for()  # its picture
    assert row.locator("img").get_attribute("title") == "Ann <script>alert(1)</script>, CC BY-SA 4.0, a garden"
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
    until(
        page,
        """(() => {
        const canvas = document.querySelector("canvas");
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(pixels).size > 50;
    })()""",
    )
    page.reload()
    assert "Eurasian Blackbird" in page.locator("#newest li[data-number]").inner_text()


def test_a_page_that_was_asleep_catches_up(station, browse, song):
    page = browse(station.url)
    before = page.locator("#newest li").count()
    until(page, "document.querySelector('.legend') !== null")  # the stream of sound is open, so that of events is too
    page.context.set_offline(True)
    station.hear(song)
    wait_for(station, before + 1)
    assert page.locator("#newest li").count() == before
    page.context.set_offline(False)
    until(page, f"document.querySelectorAll('#newest li').length === {before + 1}")
    faults = browse.faults
    assert all("ERR_INTERNET_DISCONNECTED" in one or "ERR_NETWORK" in one for one in faults)
    faults.clear()


def wait_for(station: Listening, n: int) -> None:
    """Wait until the station has so many detections."""
    for _ in range(600):
        with urllib.request.urlopen(f"{station.url}/api/v1/status") as answer:
            if json.load(answer)["detections"] >= n:
                return
        threading.Event().wait(0.05)
    raise TimeoutError(f"waited in vain for {n} detections")
