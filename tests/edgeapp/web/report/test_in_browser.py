"""Reports in a browser: heard by click and keyboard, on a phone, in the dark, on paper, without script and network."""

from __future__ import annotations

import numpy as np
import pytest

from tests.edgeapp import toy_pack as toy
from tests.edgeapp.web.conftest import until

GRAVE = ("serious", "critical")
TIME = "document.querySelector('audio').currentTime"


@pytest.fixture(scope="module")
def report(toy_pack, tmp_path_factory):
    """The report of a recording with a tit, noise, and a tit and a cuckoo at once."""
    import soundfile
    from typer.testing import CliRunner

    from edgeapp.cli import app

    folder = tmp_path_factory.mktemp("report")
    parts = toy.tone(1000, seconds=12), toy.noise(12), toy.tone(1000, 3000, seconds=12)
    soundfile.write(folder / "a garden's <birds>.wav", np.concatenate(parts), toy.RATE_HZ)
    words = ["identify", str(folder / "a garden's <birds>.wav"), str(folder / "none.wav"), "--hop", "2"]
    done = CliRunner().invoke(app, [*words, "--pack", str(toy_pack), "--report", str(folder / "report.html")])
    assert done.exit_code == 1, done.stderr
    return folder / "report.html"


@pytest.fixture(scope="module")
def of_journal(recorded, tmp_path_factory):
    """The report of what a station heard in real recordings."""
    from typer.testing import CliRunner

    from edgeapp.cli import app

    out = tmp_path_factory.mktemp("of_journal") / "report.html"
    words = ["journal", "report", "--journal", str(recorded / "journal.sqlite"), "--output", str(out)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.stderr
    return out


@pytest.fixture(params=["report", "of_journal"])
def any_report(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def opened(new_page):
    """Open a report as a file; in the end, no console error and nothing that was asked for."""
    faults = []

    def call(path, **options):
        page = new_page(**options)
        page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        own = path.as_uri()
        page.on("request", lambda asked: None if asked.url.startswith(("data:", own)) else faults.append(asked.url))
        page.goto(own)
        return page

    yield call
    assert faults == []


def box(page, name, nth=0):
    return page.locator("#r1 button.box", has_text=name).nth(nth)


def test_a_click_on_a_box_plays_its_stretch_and_moves_a_cursor(opened, report):
    page = opened(report)
    cuckoo = box(page, "Common Cuckoo")
    start = float(cuckoo.get_attribute("data-s"))
    cuckoo.click()
    until(page, f"{TIME} > {start} + 0.3")
    cursors = page.locator("#r1 .cursor:visible")
    assert cursors.count() == 1
    left, at = cursors.evaluate(f"one => [parseFloat(one.style.left), {TIME}]")
    row = cursors.locator("xpath=ancestor::figure")
    row_start, row_end = (float(row.get_attribute(f"data-{edge}")) for edge in "se")
    assert start + 0.3 < at < start + 5 and row_start <= at <= row_end
    assert left == pytest.approx(100 * (at - row_start) / (row_end - row_start), abs=3)
    assert "playing" in cuckoo.get_attribute("class")


def test_what_is_played_ends_with_its_box(opened, report):
    page = opened(report)
    first = box(page, "Great Tit")
    end = float(first.get_attribute("data-e"))
    first.click()
    until(page, f"{TIME} > 0.2")
    page.evaluate(f"{TIME} = {end - 0.5}")
    until(page, "document.querySelector('audio').paused")
    assert page.evaluate(TIME) == pytest.approx(end, abs=0.5)


def test_a_second_click_on_a_box_ends_it(opened, report):
    page = opened(report)
    box(page, "Great Tit").click()
    until(page, f"{TIME} > 0.2")
    box(page, "Great Tit").click()
    until(page, "document.querySelector('audio').paused")
    assert page.locator(".playing").count() == 0


def test_a_click_beside_the_boxes_plays_from_there(opened, report):
    page = opened(report)
    image = page.locator("#r1 .plot img").first
    size = image.bounding_box()
    image.click(position={"x": size["width"] * 0.93, "y": size["height"] - 5}, force=True)
    until(page, f"{TIME} > 16.5 && !document.querySelector('audio').paused")


def test_boxes_are_played_by_keyboard(opened, report):
    page = opened(report)
    cuckoo = box(page, "Common Cuckoo")
    start = float(cuckoo.get_attribute("data-s"))
    assert start > 10
    cuckoo.focus()
    page.keyboard.press("Enter")
    until(page, f"{TIME} > {start} + 0.1")


def test_a_best_stretch_is_heard_from_its_link(opened, report):
    page = opened(report)
    link = page.locator("article", has_text="Common Cuckoo").locator("a.hear").first
    start = float(link.get_attribute("data-s"))
    assert start > 10
    link.click()
    until(page, f"{TIME} > {start} + 0.1 && !document.querySelector('audio').paused")


def test_clips_of_a_journal_are_heard_by_a_click_as_well(opened, of_journal):
    page = opened(of_journal)
    page.locator("button.box").first.click()
    until(page, "[...document.querySelectorAll('audio')].some(one => !one.paused && one.currentTime > 0.1)")
    assert page.locator(".cursor:visible").count() == 1


def test_names_of_files_are_text_in_the_browser(opened, report):
    page = opened(report)
    assert page.locator("h1").inner_text() == "a garden's <birds>.wav"
    assert page.locator("birds").count() == 0


def test_people_with_assistive_technology_can_use_a_report(opened, any_report):
    """In the light by every rule, and in the dark by that of contrast: no other one asks for a colour."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened(any_report, color_scheme="light")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=scheme)
        told = axe.run(page, options=rules).response
        assert told["passes"]
        assert [
            f"{scheme}: {one['id']}: {node['target']} {node['failureSummary']}"
            for one in told["violations"]
            if one["impact"] in GRAVE
            for node in one["nodes"]
        ] == []


def test_a_report_fits_a_phone(opened, any_report):
    page = opened(any_report)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    for width in (320, 360, 768):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def background(page):
    return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")


def test_a_report_is_dark_where_that_is_wanted_and_light_on_paper(opened, report):
    page = opened(report, color_scheme="dark")
    filtered = "getComputedStyle(document.querySelector('.plot img')).filter"
    assert (background(page), page.evaluate(filtered)) == ("rgb(16, 22, 20)", 'url("#dark-map")')
    page.emulate_media(media="print")
    assert (background(page), page.evaluate(filtered)) == ("rgb(255, 255, 255)", 'url("#light-map")')
    assert page.locator("audio:visible").count() == 0


def test_a_report_prints_on_a_few_pages(opened, report):
    pdf = opened(report).pdf(format="A4", print_background=True)
    assert pdf.startswith(b"%PDF") and 1 <= pdf.count(b"/Type /Page\n") <= 6


def test_a_report_is_read_and_heard_without_script(opened, report):
    page = opened(report, java_script_enabled=False)
    assert page.locator("#summary tbody tr").count() >= 2
    assert page.locator("#r1 audio[controls]").is_visible()
    assert page.locator("#r1 .plot img").first.is_visible()
    page.locator("#r1 details.windows summary").click()
    assert page.locator("#r1 details.windows table").is_visible()
    assert page.locator("#failed").inner_text().count("none.wav") == 1


def test_a_link_opens_what_it_leads_to(opened, report):
    page = opened(report)
    page.evaluate("document.getElementById('r1').open = false")
    page.evaluate("location.hash = 'sound-r1-1'")
    until(page, "document.getElementById('r1').open")


def test_the_recordings_next_part_goes_on_by_itself(toy_pack, opened, tmp_path, monkeypatch, run, record):
    monkeypatch.setattr("edgeapp.web.report.stretches.CHUNK_S", 6.0)
    path = record("tit.wav", toy.tone(1000, seconds=12))
    assert run("identify", path, "--report-audio", "all", "--report", tmp_path / "r.html").exit_code == 0
    page = opened(tmp_path / "r.html")
    page.evaluate("document.querySelectorAll('audio')[0].play()")
    until(page, f"{TIME} > 0.1")
    page.evaluate(f"{TIME} = 5.6")
    until(page, "document.querySelectorAll('audio')[1].currentTime > 0.1")
    assert page.locator("#r1 .cursor:visible").count() == 1
