"""Every page in a browser: whole, accessible, on a phone and in the dark, with nothing from another host."""

from __future__ import annotations

import pytest

from tests.edgeapp.web.conftest import until

PAGES = {
    "now": "/",
    "day": "/day/2026-05-23",
    "empty day": "/day/2020-01-01",
    "detections": "/detections",
    "detection": "/detections/1",
    "species": "/species",
    "taxon": "/species/Parus%20major",
    "health": "/health",
    "settings": "/settings",
    "problem": "/no/such/page",
    "login": "/login",
}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
GRAVE = ("serious", "critical")


@pytest.fixture(scope="session")
def axe():
    return pytest.importorskip("axe_playwright_python.sync_playwright").Axe()


def faults(axe, page) -> list[str]:
    """What axe finds that keeps people from using a page."""
    told = axe.run(page).response
    assert told["passes"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in told["violations"]
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


def too_wide(page) -> list[str]:
    """Elements that stand out of a window on the right, but for what scrolls by itself."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
            [...document.querySelectorAll("body *")].filter((one) => !one.closest(".scroll, pre")
                && one.getBoundingClientRect().right > document.documentElement.clientWidth)
            .map((one) => one.outerHTML.slice(0, 200))"""
    )


def split_words(page) -> list[str]:
    """Headers of tables with a word that stands on more than one line."""
    return page.evaluate(
        """() => [...document.querySelectorAll("thead th")].filter((one) => {
            const range = document.createRange();
            return [...one.childNodes].some((text) => text.nodeType === Node.TEXT_NODE &&
                [...text.data.matchAll(/\\S+/g)].some((word) => {
                    range.setStart(text, word.index);
                    range.setEnd(text, word.index + word[0].length);
                    return range.getClientRects().length > 1;
                }));
        }).map((one) => one.textContent)"""
    )


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_whole_on_a_phone_in_the_dark_and_in_the_light(served, browse, axe, name):
    page = browse(served.url + PAGES[name], color_scheme="dark", **PHONE)
    if name == "problem":
        browse.faults.clear()  # Chromium reports the status of the page itself

    assert page.title() and page.locator("h1").count() == 1
    assert faults(axe, page) == []
    assert (too_wide(page), split_words(page)) == ([], [])

    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1200, "height": 900})
    assert faults(axe, page) == []
    assert (too_wide(page), split_words(page)) == ([], [])


def test_dark_and_light_can_be_chosen_and_are_kept(served, browse):
    page = browse(served.url, color_scheme="light")

    def ground() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = ground()
    page.get_by_role("button", name="Dark").click()
    dark = ground()
    page.goto(f"{served.url}/species")

    assert dark != light
    assert ground() == dark
    page.get_by_role("button", name="Light").click()
    assert ground() == light


def test_the_focus_is_seen_and_reaches_the_content_at_once(served, browse):
    page = browse(f"{served.url}/detections")
    page.keyboard.press("Tab")

    assert page.locator(":focus").inner_text() == "Skip to content"
    assert page.locator(":focus").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.locator(":focus").get_attribute("name") == "taxon"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_day_shows_its_species_by_hour_and_what_is_the_first_ever(served, browse):
    page = browse(f"{served.url}/day/2026-05-22")
    row = page.locator(".heat tbody tr", has_text="Great Tit")

    assert [n for n in row.locator("td[class]").all_inner_texts() if n] == ["2"]
    assert "first ever" in row.inner_text()
    assert page.locator(".firsts li").all_inner_texts()[0].startswith("05:00:00 Great Tit")

    page.get_by_label("Day", exact=True).fill("2026-05-23")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/day/2026-05-23")
    page.get_by_role("link", name="← 2026-05-22").click()
    page.wait_for_url("**/day/2026-05-22")
    row.get_by_role("link", name="2", exact=True).click()
    page.wait_for_url("**/detections?**")
    assert page.locator(".card").count() == 2


def test_a_species_has_the_same_photo_in_every_list(served, browse):
    page = browse(f"{served.url}/species/Parus%20major")
    [photo] = page.locator(".photo img").evaluate_all("all => [all[0].getAttribute('src')]")
    for path in ("/", "/day/2026-05-22", "/detections", "/detections/1", "/species"):
        page.goto(served.url + path)
        thumbs = page.locator('.thumb[href="/species/Parus%20major"]')
        assert thumbs.count() >= 1 and set(
            thumbs.locator("img").evaluate_all("all => all.map((one) => one.getAttribute('src'))")
        ) == {photo}
        assert thumbs.first.get_attribute("title") == "Ann <script>alert(1)</script>, CC BY-SA 4.0, a garden"
        assert page.locator(".thumb img:not([loading=lazy][width][height][alt])").count() == 0


def test_a_species_has_pictures_with_their_authors_and_its_history(served, browse):
    page = browse(f"{served.url}/species/Parus%20major")
    photo = page.locator(".photo", has=page.locator("img")).first
    photo.locator("img").scroll_into_view_if_needed()

    until(page, "[...document.querySelectorAll('.photo img')].every((one) => one.naturalWidth > 0)")
    assert "Ann <script>alert(1)</script>, CC BY-SA 4.0, a garden" in photo.inner_text()
    assert "2 detections, first on 2026-05-22, last on 2026-05-22." in page.locator("main").inner_text()
    hours = page.get_by_role("img", name="By hour of the day").get_attribute("aria-label")
    assert ": 0 0, 1 0, 2 0, 3 0, 4 0, 5 2, 6 0" in hours
    assert page.locator("#best .card, #cards .card").count() == 2


def test_a_species_without_photos_shows_those_of_a_relative_and_says_so(served, browse):
    page = browse(f"{served.url}/species/Poecile%20palustris")
    # A photo of its own that may not be shown counts as a photo.
    texts = page.locator(".photo").all_inner_texts()

    assert texts
    assert all("same" in text or "Photo" in text or "Recording" in text for text in texts)


@pytest.mark.parametrize("asked", ["", "?check=1"])
def test_the_health_page_shows_what_doctor_finds(served, browse, asked):
    page = browse(f"{served.url}/health{asked}")
    page.locator(".findings tbody tr").first.wait_for()
    rows = {row.split("\t")[0]: row for row in page.locator(".findings tbody tr").all_inner_texts()}

    assert "intact, 7 detections" in rows["journal"]
    assert {"config", "disk", "memory", "clock"} <= set(rows)
