"""``biovita-edge journal report``, on what a station heard in real recordings and on journals made by hand."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from edgeapp.clock.system import Moment
from edgeapp.detections.verdict import Verdict
from edgeapp.journal import Clip, Journal, Review
from gallery.candidates import Candidate
from tests.edgeapp.journal.samples import A_PARUS, DAWN, GREAT_TIT, begin
from tests.edgeapp.web.report.parsed import addresses, parsed, sound_of

CUCKOO = replace(
    GREAT_TIT,
    time=DAWN.earlier(-86_400 - 3600),
    scientific_name="Cuculus canorus",
    common_name="Common Cuckoo",
    candidates=(Candidate("Cuculus canorus", "Common Cuckoo", 0.75, 0.5),),
)


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def report(run, tmp_path):
    def make(journal, *words, code=0):
        out = tmp_path / "report.html"
        done = run("journal", "report", "--journal", journal, "--output", out, *words)
        assert done.exit_code == code, done.stderr
        return done, parsed(out)

    return make


@pytest.fixture
def journal(tmp_path):
    """Two tits on one day, one of them rejected and the other corrected, a cuckoo on the next, and a genus."""
    path = tmp_path / "heard.sqlite"
    with Journal.open(path) as opened:
        stream = begin(opened)
        for detection in (GREAT_TIT, GREAT_TIT, CUCKOO, A_PARUS):
            opened.record(stream, detection)
        opened.add_review(Review(1, "rejected", "Ann", note="<b>wind</b>"))
        opened.add_review(Review(2, "corrected", "Ann", "Parus minor"))
        opened.count(stream, Verdict.DETECTION, 720)
    return path


def table(page, title):
    """Rows of a table by the heading above it."""
    part = page.section("grids")
    (place,) = [n for n, one in enumerate(part.children) if one.tag == "h3" and one.text == title]
    return [[cell.text for cell in row.children] for row in part.children[place + 1].all("tr")]


def test_a_journal_of_real_recordings_has_species_with_their_clips(report, recorded, tmp_path):
    shutil.copyfile(recorded / "journal.sqlite", tmp_path / "journal.sqlite")
    _, page = report(tmp_path / "journal.sqlite")
    _, *rows = [[cell.text for cell in row.children] for row in page.section("summary").all("tr")]
    names = [row[0] for row in rows]
    assert any(name.startswith("Great Tit Parus major") for name in names)
    assert any(name.startswith("Eurasian Blackbird Turdus merula") for name in names)
    for part in page.all("article", of="taxon"):
        players = part.all("audio")
        assert players, part.text
        samples, rate_hz = sound_of(players[0])
        assert 1 < len(samples) / rate_hz < 15
        assert part.all("img")[0].attributes["src"].startswith("data:image/webp;base64,")
    assert addresses(page) <= {"data:", "data:image/webp;base64", "data:image/jpeg;base64", "data:audio/mpeg;base64"}


def test_what_was_rejected_is_not_counted_and_what_was_corrected_is(report, journal):
    _, page = report(journal)
    _, *rows = [[cell.text for cell in row.children] for row in page.section("summary").all("tr")]
    counted = {row[0]: row[2] for row in rows}
    assert counted == {"Common Cuckoo Cuculus canorus": "1", "Parus minor": "1", "Parus (genus)": "1"}
    assert [row for row in rows if row[0].startswith("Parus minor")][0][1] == "75 %"


def test_species_are_counted_by_hour_and_by_day_of_the_place(report, journal):
    _, page = report(journal)
    head, *rows = table(page, "Detections by hour of the day")
    counts = {row[0]: {head[n]: cell for n, cell in enumerate(row) if n and cell} for row in rows}
    assert counts == {"Common Cuckoo": {"07": "1"}, "Parus minor": {"06": "1"}, "Parus (genus)": {"06": "1"}}
    assert table(page, "Detections by day") == [
        ["day", "05-01", "05-02"],
        ["Common Cuckoo", "", "1"],
        ["Parus minor", "1", ""],
        ["Parus (genus)", "1", ""],
    ]


def test_the_hours_of_the_day_are_those_of_the_zone(report, journal):
    _, page = report(journal, "--zone", "UTC")
    head, *rows = table(page, "Detections by hour of the day")
    assert rows[0][head.index("05")] == "1"
    assert "2025-05-02 05:12:09 UTC" in page.section("summary").text


def test_hours_heard_are_told_even_of_a_stream_without_an_end(report, journal):
    """720 windows of 5 s are an hour."""
    _, page = report(journal)
    head, *rows = table(page, "Effort")
    assert rows == [["2025-05-01", "USB PnP Sound Device: Audio (hw:2,0)", "1.00"]]


def test_hours_heard_are_those_of_the_time_asked_for(report, journal):
    _, page = report(journal, "--since", "2025-05-01T06:42:09")
    assert table(page, "Effort")[1][2] == "0.50"


def test_reviews_are_counted_and_listed(report, journal):
    _, page = report(journal)
    assert table(page, "Reviews")[1:] == [["rejected", "1"], ["corrected", "1"], ["not reviewed", "2"]]
    _, rejected, corrected = table(page, "Reviewed detections")
    assert rejected[2:] == ["Parus major", "0.75", "rejected", "Ann", "<b>wind</b>"]
    assert corrected[4] == "corrected Parus minor"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("--since", "2025-05-02"), ["Common Cuckoo"]),
        (("--until", "2025-05-02"), ["Parus minor", "Parus (genus)"]),
        (("--species", "Cuculus canorus"), ["Common Cuckoo"]),
        (("--min-confidence", 0.9), []),
    ],
)
def test_a_report_is_of_what_was_selected(report, journal, words, names):
    _, page = report(journal, *words)
    assert [
        part.text.partition(" 1 detection")[0].removesuffix(" Cuculus canorus") for part in page.all("article")
    ] == (names)
    assert str(words[1]) in page.section("settings").text


def test_a_journal_without_detections_is_a_report_too(report, tmp_path):
    with Journal.open(tmp_path / "empty.sqlite"):
        pass
    _, page = report(tmp_path / "empty.sqlite")
    assert "Nothing was detected." in page.section("summary").text


def test_a_clip_that_is_gone_is_told_and_the_rest_is_reported(report, tmp_path):
    path = tmp_path / "heard.sqlite"
    with Journal.open(path) as opened:
        stream = begin(opened)
        number = opened.record(stream, GREAT_TIT)
        opened.add_clip(Clip(str(tmp_path / "gone.flac"), "flac", 13.0, 27.0, stream, 4, DAWN), [number])
    done, page = report(path, code=1)
    assert f"{tmp_path / 'gone.flac'}: does not exist; check the path; not shown in the report" in done.stderr
    assert page.section("summary").text.count("Great Tit") == 1


def test_many_clips_that_are_gone_are_told_in_few_lines(report, tmp_path):
    path = tmp_path / "heard.sqlite"
    with Journal.open(path) as opened:
        stream = begin(opened)
        for n in range(8):
            one = replace(GREAT_TIT, scientific_name=f"Parus p{n}", common_name=f"Tit {n}")
            clip = Clip(str(tmp_path / f"gone{n}.flac"), "flac", 13.0, 27.0, stream, 4, DAWN)
            opened.add_clip(clip, [opened.record(stream, one)])
    done, _ = report(path, code=1)
    told = [line for line in done.stderr.splitlines() if "not shown" in line]
    assert len(told) == 6 and told[-1].endswith("3 more files cannot be read either; not shown in the report")


def test_a_time_that_cannot_be_trusted_has_a_question_mark(report, tmp_path):
    path = tmp_path / "heard.sqlite"
    with Journal.open(path) as opened:
        opened.record(begin(opened), replace(GREAT_TIT, time=Moment(DAWN.utc, 1.0, clock_set=False)))
    _, page = report(path)
    assert "2025-05-01 06:12:09 CEST ?" in page.section("summary").text


def test_many_days_are_weeks_and_many_weeks_are_months(report, tmp_path):
    for days, title, columns in ((100, "Detections by week", 2), (400, "Detections by month", 2)):
        path = tmp_path / f"{days}.sqlite"
        with Journal.open(path) as opened:
            stream = begin(opened)
            opened.record(stream, GREAT_TIT)
            later = DAWN.utc + timedelta(days=days)
            opened.record(stream, replace(GREAT_TIT, time=Moment(later, 1.0)))
        _, page = report(path)
        head, row = table(page, title)
        assert sum(cell == "1" for cell in row[1:]) == columns and len(head) == (16 if days == 100 else 15)


def test_a_report_of_a_journal_that_is_none_is_refused(run, tmp_path):
    done = run("journal", "report", "--journal", tmp_path / "none.sqlite", "--output", tmp_path / "r.html")
    assert done.exit_code == 2 and not (tmp_path / "r.html").exists()
    assert "no journal found" in done.stderr


@pytest.mark.parametrize("least", [-0.1, 1.5, "nan"])
def test_a_confidence_is_between_0_and_1(run, journal, least):
    done = run("journal", "report", "--journal", journal, f"--min-confidence={least}")
    assert done.exit_code == 2 and "must be between 0 and 1" in done.stderr
