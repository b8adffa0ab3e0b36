"""Review in a browser: by click, by keyboard and without JavaScript, and what becomes of it."""

from __future__ import annotations

import csv
import re
import urllib.request
from pathlib import Path

import pytest

from edgeapp.journal import Journal, Review
from tests.edgeapp.web.conftest import until


@pytest.fixture(autouse=True)
def unreviewed(served):
    """Each test begins with a journal without reviews."""
    numbers = [row[0] for row in served.rows("SELECT id FROM reviews")]
    with Journal.open(served.journal) as journal:
        for number in numbers:
            journal.remove_review(number)


def exported(served, **wanted: str) -> list[dict[str, str]]:
    query = "&".join(f"{key}={value}" for key, value in wanted.items())
    with urllib.request.urlopen(f"{served.url}/api/v1/export?format=csv&{query}") as answer:
        return list(csv.DictReader(answer.read().decode().splitlines()))


def card(page, number: int):
    return page.locator(f'.card[data-number="{number}"]')


def is_said(page, text: str) -> None:
    page.locator("#said").get_by_text(text).wait_for()


def test_a_click_confirms_and_undo_takes_it_back(served, browse):
    number = served.number("Turdus merula")
    page = browse(f"{served.url}/detections")
    card(page, number).get_by_role("button", name="Confirm").click()
    is_said(page, f"Detection {number}: confirmed")

    assert served.reviews() == [(number, "confirmed", None)]
    assert card(page, number).locator(".reviewed").inner_text() == "confirmed"

    page.get_by_role("button", name="Undo").click()
    is_said(page, "Undone")
    assert served.reviews() == []
    assert card(page, number).locator(".reviewed").inner_text() == "not reviewed"


def test_undo_shows_the_review_before_it_again(served, browse):
    number = served.number("Turdus merula")
    page = browse(f"{served.url}/detections")
    for verdict, told in (("Confirm", "confirmed"), ("Reject", "rejected")):
        card(page, number).get_by_role("button", name=verdict).click()
        is_said(page, f"Detection {number}: {told}")
    page.get_by_role("button", name="Undo").click()
    is_said(page, "Undone")

    assert card(page, number).locator(".reviewed").inner_text() == "confirmed"


def test_other_open_pages_show_a_review_at_once(served, browse):
    number = served.number("Turdus merula")
    state = f"document.querySelector('[data-number=\"{number}\"] .reviewed').innerText"
    others = [browse(served.url), browse(f"{served.url}/species/Turdus%20merula")]
    page = browse(f"{served.url}/detections/{number}")
    page.get_by_label("Correct name").fill("Kohlmeise")
    page.get_by_label("Correct name").press("Enter")
    for other in others:
        until(other, f"{state} === 'corrected to Great Tit'")
    page.get_by_role("button", name="Undo").click()
    for other in others:
        until(other, f"{state} === 'not reviewed'")

    with Journal.open(served.journal) as journal:  # another program
        review = journal.add_review(Review(number, "rejected", "Ann"))
    for one in (page, *others):
        until(one, f"{state} === 'rejected'")
    with Journal.open(served.journal) as journal:
        journal.remove_review(review)
    for one in (page, *others):
        until(one, f"{state} === 'not reviewed'")


def test_a_rejected_detection_leaves_the_export_and_the_history(served, browse):
    number = served.number("Fringilla coelebs")
    before = {row["Scientific name"] for row in exported(served)}
    page = browse(f"{served.url}/detections/{number}")
    page.get_by_role("button", name="Reject").click()
    is_said(page, f"Detection {number}: rejected")
    page.goto(f"{served.url}/species")

    assert "Common Chaffinch" not in page.locator("table").inner_text()
    assert before - {row["Scientific name"] for row in exported(served)} == {"Fringilla coelebs"}


def test_a_correction_is_completed_in_any_language_and_reaches_the_export(served, browse):
    number = served.number("Cyanistes caeruleus")
    page = browse(f"{served.url}/detections/{number}")
    field = page.get_by_label("Correct name")
    field.press_sequentially("kohlm")
    until(page, "document.querySelector('#names option[value=\"Parus major\"]')")
    field.fill("Kohlmeise")
    page.get_by_label("Note").fill("sang twice")
    page.get_by_label("Reviewer").fill("Ann")
    page.get_by_role("button", name="Correct").click()
    is_said(page, f"Detection {number}: corrected")

    assert page.locator(".reviewed").inner_text() == "corrected to Great Tit"  # not as it was typed
    assert served.reviews() == [(number, "corrected", "Parus major")]
    assert served.rows("SELECT note, reviewer FROM reviews") == [("sang twice", "Ann")]
    assert [row["Scientific name"] for row in exported(served)].count("Parus major") == 3
    page.reload()
    assert "corrected to Great Tit" in page.locator(".reviewed").inner_text()
    page.goto(f"{served.url}/day/2026-05-23")
    assert "Great Tit" in page.locator(".heat").inner_text()
    assert "Blue Tit" not in page.locator(".heat").inner_text()


def test_a_name_that_is_in_no_gallery_is_explained_and_changes_nothing(served, browse):
    page = browse(f"{served.url}/detections/1")
    page.get_by_label("Correct name").fill("Snark")
    page.get_by_role("button", name="Correct").click()
    page.locator("#said").get_by_text(re.compile("Not saved: .*Snark.*say that it is a new name")).wait_for()

    assert served.reviews() == []
    browse.faults.clear()  # the status of the answer


def test_a_name_that_no_list_has_is_taken_when_it_is_said_to_be_new(served, browse):
    page = browse(f"{served.url}/detections/1")
    page.get_by_label("Correct name").fill("Snark boojum")
    page.get_by_label("New name").check()
    page.get_by_role("button", name="Correct").click()
    is_said(page, "Detection 1: corrected")

    assert served.reviews() == [(1, "corrected", "Snark boojum")]
    assert page.locator(".reviewed").inner_text() == "corrected to Snark boojum"
    assert not page.get_by_label("New name").is_checked()  # the next one is checked again


def test_a_known_name_keeps_its_species_though_it_is_said_to_be_new(served, browse):
    page = browse(f"{served.url}/detections")
    card(page, 1).get_by_role("checkbox").check()
    page.locator("#bulk").get_by_label("Name", exact=True).fill("Kohlmeise")
    page.locator("#bulk").get_by_label("New name").check()
    page.locator("#bulk").get_by_role("button", name="Correct").click()
    is_said(page, "Detection 1: corrected")

    assert served.reviews() == [(1, "corrected", "Parus major")]


def test_the_enter_key_in_the_name_corrects_and_does_not_confirm(served, browse):
    page = browse(f"{served.url}/detections/1")
    page.get_by_label("Correct name").fill("Turdus merula")
    page.get_by_label("Correct name").press("Enter")
    is_said(page, "Detection 1: corrected")

    assert served.reviews() == [(1, "corrected", "Turdus merula")]


def test_a_reviewer_needs_nothing_but_the_keyboard(served, browse):
    page = browse(f"{served.url}/detections")
    numbers = [int(one) for one in page.locator(".card").evaluate_all("all => all.map(one => one.dataset.number)")]
    for key, said in (("c", "confirmed"), ("r", "rejected")):
        page.keyboard.press("j") if key == "c" else None
        page.keyboard.press(key)
        number = numbers[0] if key == "c" else numbers[1]
        is_said(page, f"Detection {number}: {said}")
    page.keyboard.press("e")
    page.keyboard.type("Erithacus rubecula")
    page.keyboard.press("Enter")
    is_said(page, f"Detection {numbers[2]}: corrected")

    assert served.reviews() == [
        (numbers[0], "confirmed", None),
        (numbers[1], "rejected", None),
        (numbers[2], "corrected", "Erithacus rubecula"),
    ]
    until(page, "document.activeElement.classList.contains('card')")
    page.keyboard.press("u")
    is_said(page, "Undone")
    page.keyboard.press("u")
    until(page, f"document.querySelector('[data-number=\"{numbers[1]}\"] .reviewed').innerText === 'not reviewed'")
    assert served.reviews() == [(numbers[0], "confirmed", None)]


def test_k_goes_back_and_x_chooses(served, browse):
    page = browse(f"{served.url}/detections")
    for key in "jjkx":
        page.keyboard.press(key)
    first = page.locator(".card").first

    assert "at" in first.get_attribute("class").split()
    assert first.get_by_role("checkbox").is_checked()
    page.keyboard.press("x")
    assert not first.get_by_role("checkbox").is_checked()


def test_several_are_reviewed_at_once_and_taken_back_at_once(served, browse):
    page = browse(f"{served.url}/detections?taxon=Great Tit")
    for key in "jxjx":
        page.keyboard.press(key)
    page.locator("#bulk").get_by_role("button", name="Reject").click()
    is_said(page, "2 detections: rejected")

    tits = [
        row[0] for row in served.rows("SELECT id FROM detections WHERE scientific_name = 'Parus major' AND confirmed")
    ]
    assert sorted(row[0] for row in served.reviews()) == sorted(tits)
    assert {row[1] for row in served.reviews()} == {"rejected"}
    assert page.get_by_role("checkbox", checked=True).count() == 0
    page.get_by_role("button", name="Undo").click()
    is_said(page, "Undone")
    assert served.reviews() == []


def test_reviews_are_possible_without_javascript(served, browse):
    page = browse(f"{served.url}/detections", java_script_enabled=False)
    page.locator("form.filter").get_by_label("Taxon").fill("Paridae")
    page.locator("form.filter").get_by_role("button", name="Show").click()
    page.wait_for_url("**/detections?taxon=Paridae**")
    assert page.locator(".card").count() == 3
    number = served.number("Cyanistes caeruleus")
    with page.expect_navigation():  # and the whole page is there: its start is shown before its end
        card(page, number).get_by_role("button", name="Reject").click()

    is_said(page, f"Detection {number}: rejected")
    assert served.reviews() == [(number, "rejected", None)]
    assert "taxon=Paridae" in page.url  # back where one was
    with page.expect_navigation():
        page.locator("#said").get_by_role("button", name="Undo").click()
    is_said(page, "Undone")
    assert served.reviews() == []

    for box in page.get_by_role("checkbox", name="Choose detection").all():
        box.check()
    page.locator("#bulk").get_by_label("Name", exact=True).fill("Blaumeise")
    with page.expect_navigation():
        page.locator("#bulk").get_by_label("Name", exact=True).press("Enter")
    is_said(page, "3 detections: corrected")
    assert [row[1:] for row in served.reviews()] == [("corrected", "Cyanistes caeruleus")] * 3
    page.goto(f"{served.url}/detections/{number}")
    with page.expect_navigation():
        page.get_by_role("button", name="Undo").click()
    is_said(page, "Undone")
    assert len(served.reviews()) == 2


def test_filters_choose_detections(served, browse):
    page = browse(f"{served.url}/detections")
    form = page.locator("form.filter")

    def filled(**asked: str) -> str:
        """What a form asks for once it is filled in."""
        form.evaluate("form => form.reset()")
        for label, text in asked.items():
            field = form.get_by_label(label.replace("_", " "), exact=label == "From")
            field.select_option(text) if label in ("Source", "Review") else field.fill(text)
        return form.evaluate("form => `${form.action}?${new URLSearchParams(new FormData(form))}`")

    def shown(**asked: str) -> int:
        with urllib.request.urlopen(filled(**asked)) as answer:
            return answer.read().decode().count('<li class="card"')

    [(source,)] = served.rows("SELECT source FROM detections_in_full WHERE id = 1")
    sure = served.rows("SELECT 1 FROM detections WHERE confirmed AND confidence >= 0.9")
    assert shown(Taxon="Aves") == 6
    assert shown(Taxon="Kohlmeise") == 2
    assert shown(Taxon="Amphibia", Until="2026-05-22") == 0
    assert shown(From="2026-05-23") == 4
    assert shown(Confidence_from="0.9") == len(sure)
    assert shown(Source=source) == 1
    assert shown(Review="confirmed") == 0
    assert shown(Review="unreviewed") == 7
    wanted = filled(Taxon="Kohlmeise", From="2026-05-22")
    form.get_by_role("button", name="Show").click()
    page.wait_for_url(wanted)
    assert page.locator(".card").count() == 2
    page.goto(f"{served.url}/detections?limit=3&clip=1")
    assert page.locator(".card").count() == 3
    first = page.locator(".card").first.get_attribute("data-number")
    page.get_by_role("link", name="Earlier ones").click()
    page.wait_for_url("**before=**")
    assert page.locator(".card").count() == 3
    assert page.locator(".card").first.get_attribute("data-number") != first


def test_what_is_filtered_is_what_is_exported(served, browse, tmp_path):
    sure = "SELECT confidence FROM detections WHERE scientific_name = 'Parus major' AND confirmed ORDER BY confidence"
    less, more = (row[0] for row in served.rows(sure))
    page = browse(f"{served.url}/detections?taxon=Kohlmeise&min_confidence={(less + more) / 2}")
    page.locator(".export summary").click()
    page.get_by_label("Format").select_option("csv")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "out.csv")

    rows = list(csv.DictReader(Path(tmp_path / "out.csv").read_text().splitlines()))
    assert download.value.suggested_filename == "detections.csv"
    assert [row["Scientific name"] for row in rows] == ["Parus major"]


def test_a_clip_shows_its_spectrogram_and_plays_from_where_one_clicks(served, browse):
    page = browse(f"{served.url}/detections/1")
    until(page, "document.querySelector('.clip img').naturalWidth === 900")
    page.get_by_text("0 to 16 kHz").wait_for()
    named = page.locator(".named").get_attribute("width")
    assert 0 < float(named) <= 100

    box = page.locator(".clip svg").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + 20)
    until(page, "document.querySelector('audio').currentTime > 0.55 * document.querySelector('.clip').dataset.length")
    assert page.evaluate("document.querySelector('audio').error") is None
    until(page, "!document.querySelector('audio').paused || document.querySelector('audio').ended")


def test_space_plays_and_stops_and_g_makes_it_louder(served, browse):
    page = browse(f"{served.url}/detections/1")
    page.locator("main").focus()
    page.keyboard.press("Space")
    until(page, "!document.querySelector('audio').paused")
    page.keyboard.press("g")
    page.get_by_role("button", name="Louder ×4").wait_for()
    page.keyboard.press("Space")
    until(page, "document.querySelector('audio').paused")
