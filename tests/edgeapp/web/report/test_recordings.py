"""``biovita-edge identify --report``: what the page has, for whatever recordings."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeapp.pack.format import Pack
from edgeapp.recognition.gallery_build import build_gallery
from edgeapp.recognition.material import Material
from edgeapp.web.report import attachments, recordings, stretches
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.web.report.parsed import addresses, loudest_hz, parsed, sound_of


@pytest.fixture
def duet(record):
    """12 s of a tit, 12 s of noise, then 12 s of a tit and a cuckoo."""
    parts = toy.tone(1000, seconds=12), toy.noise(12), toy.tone(1000, 3000, seconds=12)
    return record("duet.wav", np.concatenate(parts))


@pytest.fixture
def report(run, tmp_path):
    """Identify recordings, and give what came and the page."""

    def make(*words, code=0):
        path = tmp_path / "report.html"
        done = run("identify", *words, "--hop", 2, "--report", path)
        assert done.exit_code == code, done.stderr
        return done, parsed(path)

    return make


def rows(table):
    return [[cell.text for cell in row.children] for row in table.all("tr")]


def test_the_summary_has_confidence_count_first_and_last(report, duet):
    done, page = report(duet, "--format", "json")
    head, *found = rows(page.section("summary").all("table")[0])
    assert head == ["species", "highest confidence", "detections", "first", "last", "time in all"]
    detections = json.loads(done.stdout)["detections"]
    for name in ("Great Tit", "Common Cuckoo"):
        (row,) = [row for row in found if row[0].startswith(name)]
        mine = [one for one in detections if one["taxon"]["common_name"] == name]
        assert row[1] == f"{max(one['confidence'] for one in mine):.0%}".replace("%", " %")
        assert row[2] == str(len(mine))
        assert row[3] == f"0:{mine[0]['start_s']:02.0f}" and row[4] == f"0:{mine[-1]['start_s']:02.0f}"
    assert len(found) == len({one["taxon"]["scientific_name"] for one in detections})


def test_the_page_loads_nothing_and_no_script_but_its_own(report, duet):
    _, page = report(duet)
    assert addresses(page) <= {"data:", "data:image/webp;base64", "data:audio/mpeg;base64", "data:audio/ogg;base64"}
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"].startswith("default-src 'none'; ")
    assert "script-src 'sha256-" in policy.attributes["content"]
    assert len(page.all("script")) == 1
    assert not [name for one in page.inside() for name in one.attributes if name.startswith("on")]


def test_detections_are_boxes_where_they_were_heard(report, duet):
    done, page = report(duet, "--format", "json")
    detections = json.loads(done.stdout)["detections"]
    rows_of_picture = page.section("r1").all("figure")
    assert [figure.attributes["data-s"] for figure in rows_of_picture] == ["0.0", "18.0"]
    found = set()
    for figure in rows_of_picture:
        start_s, end_s = float(figure.attributes["data-s"]), float(figure.attributes["data-e"])
        for box in figure.all("button", of="box"):
            style = dict(part.split(":") for part in box.attributes["style"].split(";"))
            left_s = start_s + float(style["--l"]) / 100 * (end_s - start_s)
            right_s = left_s + float(style["--w"]) / 100 * (end_s - start_s)
            own = float(box.attributes["data-s"]), float(box.attributes["data-e"])
            assert left_s == pytest.approx(max(own[0], start_s), abs=0.01)
            assert right_s == pytest.approx(min(own[1], end_s), abs=0.01)
            found.add((box.text.rpartition(" ")[0].rpartition(" ")[0], *own))
    assert found == {(one["taxon"]["common_name"], one["start_s"], one["end_s"]) for one in detections}


def test_species_that_are_heard_at_once_lie_in_lanes_of_their_own(report, record):
    _, page = report(record("duet.wav", toy.tone(1000, 3000, seconds=12)))
    boxes = page.section("r1").all("button", of="box")
    assert sorted(box.text.split()[0] for box in boxes) == ["Common", "Great"]
    assert {part for box in boxes for part in box.attributes["style"].split(";") if "--n" in part} == {"--n:0", "--n:1"}


def test_axes_are_in_seconds_and_khz(report, duet):
    _, page = report(duet)
    figure = page.section("r1").all("figure")[0]
    (khz,) = figure.all("div", of="khz")
    assert [tick.text for tick in khz.all("span")] == ["0", "1", "2", "3", "4"]
    assert khz.text.endswith("kHz")
    assert [tick.text for tick in figure.all("div", of="time")[0].all("span")] == ["0", "5", "10", "15"]
    assert figure.all("div", of="unit")[0].text == "s"


def test_the_sound_of_short_recordings_is_there_as_a_whole(report, duet):
    _, page = report(duet)
    (player,) = page.all("audio")
    samples, rate_hz = sound_of(player)
    assert len(samples) / rate_hz == pytest.approx(36, abs=0.1)
    assert loudest_hz(samples[: 10 * rate_hz], rate_hz) == pytest.approx(1000, abs=2)
    assert (player.attributes["data-s"], player.attributes["data-e"]) == ("0.0", "36.0")


def test_quiet_sound_is_made_louder_and_that_is_said(report, record):
    _, page = report(record("quiet.wav", toy.tone(1000, seconds=12, level=0.01), subtype="FLOAT"))
    (player,) = page.all("audio")
    assert np.abs(sound_of(player)[0]).max() == pytest.approx(10 ** (-1 / 20), rel=0.05)
    assert "made 39 dB louder" in page.section("r1").text


def test_of_long_recordings_only_the_best_stretches_sound(report, record, monkeypatch):
    monkeypatch.setattr(recordings, "BEST_S", 30.0)
    song = np.concatenate([toy.tone(1000, seconds=12), toy.noise(12), toy.tone(3000, seconds=12), toy.noise(24)])
    _, page = report(record("long.wav", song))
    assert page.section("r1").all("audio") == []
    for number, hz in ((1, 3000), (2, 1000)):
        part = page.section(f"taxon-{number}")
        hz = 1000 if part.text.startswith("Great Tit") else 3000
        (player,) = part.all("audio")
        samples, rate_hz = sound_of(player)
        assert len(samples) / rate_hz == pytest.approx(12, abs=0.1)
        assert loudest_hz(samples, rate_hz) == pytest.approx(hz, abs=2)
    assert {box.text.split()[0] for box in page.section("r1").all("button", of="box")} == {"Great", "Common"}
    assert "sound in this report of the best stretches" in page.section("settings").text


def test_what_there_is_no_room_for_is_shown_without_sound(report, record, monkeypatch):
    monkeypatch.setattr(recordings, "BEST_S", 13.0)
    song = np.concatenate([toy.tone(1000, seconds=12), toy.noise(12), toy.tone(3000, seconds=12), toy.noise(24)])
    _, page = report(record("long.wav", song))
    assert len(page.section("taxa").all("figure")) == 2
    assert len(page.all("audio")) == 1
    assert len(page.section("r1").all("span", of="box")) >= 1


@pytest.mark.parametrize(("audio", "players"), [("none", 0), ("all", 2)])
def test_sound_is_none_or_all_of_it_if_so_asked(report, duet, monkeypatch, audio, players):
    monkeypatch.setattr(stretches, "CHUNK_S", 20.0)
    _, page = report(duet, "--report-audio", audio)
    assert len(page.all("audio")) == players
    if players:
        whole = np.concatenate([sound_of(player)[0] for player in page.all("audio")])
        assert len(whole) == pytest.approx(36 * toy.RATE_HZ, rel=0.01)
        assert [player.attributes["data-s"] for player in page.all("audio")] == ["0.0", "20.0"]
    else:
        assert page.all("button") == []


def test_windows_without_a_detection_are_listed_with_the_reason(report, record):
    quiet = np.zeros(20 * toy.RATE_HZ, np.float32)
    _, page = report(record("night.wav", np.concatenate([quiet, toy.noise(20)])))
    (details,) = page.section("r1").all("details", of="windows")
    assert "open" not in details.attributes
    head, *found = rows(details.all("table")[0])
    assert head == ["from", "to", "windows", "why", "likeliest species", "confidence", "level"]
    assert found[0][:4] == ["0:00", "0:20", "6", "silent"] and found[0][-1] == "digital silence"
    assert found[-1][1] == "0:40" and found[-1][3] in ("nothing known", "below the threshold")
    assert found[-1][-1] == "-20 dBFS"


def test_a_species_that_is_not_expected_there_is_told(run, toy_copy, record, tmp_path):
    toy.add_range(toy_copy)
    path = record("cuckoo.wav", toy.tone(3000, seconds=12))
    out = tmp_path / "report.html"
    place = ("--latitude", 52, "--longitude", 13, "--week", 3)
    assert run("identify", path, "--pack", toy_copy, *place, "--report", out).exit_code == 0
    page = parsed(out)
    (details,) = page.section("r1").all("details", of="windows")
    assert "not expected here" in details.text and "Common Cuckoo" in details.text
    assert "expected at 52, 13, week 3" in page.section("settings").text
    assert "1 detection not expected at 52, 13 in week 3 left out" in page.section("r1").text


def test_nothing_detected_is_a_report_too(report, record):
    _, page = report(record("noise.wav", toy.noise(12)))
    assert "Nothing was detected." in page.section("summary").text
    assert "Nothing was detected." in page.section("r1").text
    assert len(page.section("r1").all("figure")) == 1


def test_a_recording_without_any_sound_is_a_report_too(report, record):
    _, page = report(record("silent.wav", np.zeros(12 * toy.RATE_HZ, np.float32)))
    assert "no sound: never above -80 dBFS" in page.section("r1").text


def test_recordings_that_cannot_be_read_are_named(report, duet, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no sound at all")
    done, page = report(tmp_path / "bad.wav", duet, tmp_path / "none.wav", code=1)
    failed = page.section("failed").text
    assert f"{tmp_path / 'bad.wav'} is not readable audio" in failed
    assert f"{tmp_path / 'none.wav'} does not exist; check the path" in failed
    assert "could not be read 2" in page.text or "2 could not be read" in page.text


def test_when_no_recording_can_be_read_the_old_report_stays(run, tmp_path):
    out = tmp_path / "report.html"
    out.write_text("old")
    assert run("identify", tmp_path / "none.wav", "--report", out).exit_code == 1
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_cut_recording_says_so(report, duet, tmp_path):
    whole = Path(duet).read_bytes()
    cut = tmp_path / "cut.wav"
    cut.write_bytes(whole[: len(whole) // 2])
    _, page = report(cut, code=1)
    assert "announces 36.0 s but only 18.0 s can be decoded" in page.section("r1").text


@pytest.mark.parametrize("name", ["<img onerror=alert(1)>.wav", "a\"b'c&amp;.wav", "\u202egnp.wav", "esc\x1b[31m.wav"])
def test_file_names_are_text(report, record, name):
    _, page = report(record(name, toy.tone(1000, seconds=12)))
    assert page.all("img", onerror="alert(1)") == []
    shown = "".join(c if c.isprintable() else "\ufffd" for c in name)
    assert shown in page.section("r1").all("h3")[0].text
    assert not any(c in page.text for c in "\u202e\x1b")


def test_a_file_name_that_is_no_text_is_shown_all_the_same(run, record, tmp_path):
    path = os.fsencode(record("a.wav", toy.tone(1000, seconds=12))).replace(b"a.wav", b"\xff.wav")
    os.rename(tmp_path / "a.wav", path)
    out = tmp_path / "report.html"
    assert run("identify", os.fsdecode(path), "--report", out).exit_code == 0
    assert r"\xff.wav" in parsed(out).section("r1").text


def test_names_of_taxa_are_text(run, toy_copy, record, tmp_path):
    evil = "<img src=x onerror=alert(1)>\u202e"
    taxa = [one for one in toy.taxa() if one.scientific_name != "Parus major"]
    (tit,) = [one for one in toy.taxa() if one.scientific_name == "Parus major"]
    taxa.append(type(tit)(**{**vars(tit), "common_names": {"en": f"Great {evil}"}}))
    build_gallery(tmp_path / "g.sqlite", Pack.load(toy_copy), taxa)
    path = record("tit.wav", toy.tone(1000, seconds=12))
    out = tmp_path / "report.html"
    done = run("identify", path, "--pack", toy_copy, "--gallery", tmp_path / "g.sqlite", "--report", out)
    assert done.exit_code == 0, done.stderr
    page = parsed(out)
    assert "Great <img src=x onerror=alert(1)>" in page.section("summary").text
    assert page.all("img", src="x") == []
    assert "\u202e" not in out.read_text()


def test_pictures_stand_beside_their_species_with_credits(run, toy_pack, duet, tmp_path):
    Image.new("RGB", (600, 300), (255, 0, 0)).save(tmp_path / "tit.png")
    Image.new("RGB", (600, 300), (250, 0, 0)).save(tmp_path / "theirs.png")
    material = [
        Material(tmp_path / "tit.png", "Great Tit", "image", "A. <b>Author", "CC BY 4.0", "https://example.org/1"),
    ]
    build_gallery(tmp_path / "g.sqlite", Pack.load(toy_pack), toy.taxa(), material)
    out = tmp_path / "report.html"
    assert run("identify", duet, "--gallery", tmp_path / "g.sqlite", "--report", out).exit_code == 0
    page = parsed(out)
    (part,) = [one for one in page.all("article", of="taxon") if one.text.startswith("Great Tit")]
    (item,) = part.all("ul", of="pictures")[0].all("li")
    assert item.all("img")[0].attributes["src"].startswith("data:image/jpeg;base64,")
    assert item.text == "Parus major , A. <b>Author , CC BY 4.0, source"
    assert item.all("a")[0].attributes["href"] == "https://example.org/1"


def test_settings_and_licences_close_the_report(report, duet, toy_pack):
    _, page = report(duet)
    settings = page.section("settings").text
    for part in ("pack toy 1.0", "windows 10 s, one every 2 s", "least confidence 0.70", "silence below -80 dBFS"):
        assert part in settings
    assert f"sha256 {Pack.load(toy_pack).files['gallery.sqlite']}" in settings
    assert "pack toy 1.0 CC0-1.0" in page.section("licences").text


def test_several_recordings_have_a_part_each(report, record):
    first = record("a.wav", toy.tone(1000, seconds=12))
    second = record("b.wav", toy.tone(1000, 3000, seconds=12))
    _, page = report(first, second)
    head, *found = rows(page.section("summary").all("table")[0])
    assert "recordings" in head
    (tit,) = [row for row in found if row[0].startswith("Great Tit")]
    assert (tit[2], tit[3], tit[4], tit[5]) == ("2", "2", "a.wav 0:00", "b.wav 0:00")
    assert page.section("r1").all("h3")[0].text == first and page.section("r2").all("h3")[0].text == second


def test_recordings_with_a_date_are_told_by_it(report, record):
    first = record("S4A03895_20190522_050000Z.wav", toy.tone(1000, seconds=12))
    second = record("S4A03895_20190521_050000Z.wav", toy.tone(1000, seconds=12))
    _, page = report(first, second)
    _, tit = rows(page.section("summary").all("table")[0])
    assert (tit[4], tit[5]) == ("2019-05-21 05:00:00 UTC", "2019-05-22 05:00:00 UTC")


def test_sound_from_a_pipe_is_shown_and_cannot_be_heard(toy_pack, tmp_path, forks):
    raw = np.concatenate([toy.tone(1000, seconds=12), toy.noise(12)])
    out = tmp_path / "report.html"
    done = subprocess.run(
        [*(*forks.python(), "-m", "edgeapp", "identify", "-", "--pcm-rate", str(toy.RATE_HZ)), "-q"]
        + ["--pack", str(toy_pack), "--report", str(out)],
        input=(raw * 32767).astype("<i2").tobytes(),
        capture_output=True,
        cwd=PROJECT,
    )
    assert done.returncode == 0, done.stderr
    page = parsed(out)
    assert page.section("r1").all("figure")[0].attributes["data-e"] == "24.0"
    assert page.all("audio") == [] and len(page.section("r1").all("span", of="box")) == 1
    assert "read from a pipe" in page.section("r1").text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (".", "is a folder; name a file with --report"),
        ("none/report.html", "cannot be written (No such file or directory)"),
        ("duet.wav", "is one of the recordings; choose another --report"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_first(run, duet, tmp_path, path, told):
    before = Path(duet).read_bytes()
    done = run("identify", duet, "--report", tmp_path / path)
    assert done.exit_code == 2 and done.stdout == ""
    assert told in done.stderr
    assert Path(duet).read_bytes() == before


def test_report_and_output_are_two_files(run, duet, tmp_path):
    done = run("identify", duet, "--report", tmp_path / "a", "--output", tmp_path / "a")
    assert done.exit_code == 2 and "is --output as well; choose another --report" in done.stderr


def test_an_interrupted_run_leaves_no_half_report(toy_pack, duet, tmp_path, forks):
    out = tmp_path / "report.html"
    code = (
        "import edgeapp.web.report.page as p\n"
        "def stop(report, out, *a): out.write('half'); raise KeyboardInterrupt\n"
        "p.write = stop\n"
        "from edgeapp.cli import main; main()"
    )
    words = ("identify", duet, "--pack", str(toy_pack), "-q", "--report", str(out))
    done = subprocess.run([*forks.python(), "-c", code, *words], capture_output=True, cwd=PROJECT)
    assert done.returncode == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["duet.wav"]


def test_the_result_is_the_same_with_a_report(run, duet, tmp_path):
    plain = run("identify", duet, "--format", "ndjson").stdout
    assert run("identify", duet, "--format", "ndjson", "--report", tmp_path / "r.html").stdout == plain


def test_a_recording_is_decoded_once_for_detections_and_picture(run, duet, tmp_path, monkeypatch):
    """Beside the few seconds of its best stretches, where only these sound."""
    from edgeapp.audio.file import FileSource

    read, blocks = [], FileSource.blocks

    def counted(self):
        for block in blocks(self):
            read.append(len(block.samples))
            yield block

    monkeypatch.setattr(FileSource, "blocks", counted)
    assert run("identify", duet, "--report-audio", "none", "--report", tmp_path / "r.html").exit_code == 0
    seconds = sum(read) / toy.RATE_HZ
    assert 36 < seconds <= 36 + 3 * 12


def test_a_recording_that_is_gone_at_the_end_is_told(run, duet, tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "BEST_S", 10.0)
    rows = recordings.row_pictures

    def gone(*words):
        Path(duet).unlink()
        return rows(*words)

    monkeypatch.setattr(recordings, "row_pictures", gone)
    done = run("identify", duet, "--report", tmp_path / "report.html")
    assert done.exit_code == 1
    assert f"{duet}: does not exist; check the path; not shown in the report" in done.stderr
    page = parsed(tmp_path / "report.html")
    assert len(page.section("summary").all("tr")) > 1 and page.section("taxa").all("figure") == []


def test_a_full_temporary_folder_is_an_error_of_its_own(run, duet, tmp_path, monkeypatch):
    class Full:
        def seek(self, at):
            pass

        def write(self, content):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(attachments.tempfile, "SpooledTemporaryFile", lambda *words: Full())
    done = run("identify", duet, "--report", tmp_path / "report.html")
    assert done.exit_code == 2 and not (tmp_path / "report.html").exists()
    assert "temporary file of the report: cannot be written (No space left on device)" in done.stderr


def test_a_gallery_without_a_thumbnail_shows_the_credits(run, toy_pack, duet, tmp_path):
    Image.new("RGB", (600, 300), (255, 0, 0)).save(tmp_path / "tit.png")
    material = [Material(tmp_path / "tit.png", "Great Tit", "image", "A. Author", "all rights reserved")]
    build_gallery(tmp_path / "g.sqlite", Pack.load(toy_pack), toy.taxa(), material, thumbnails=False)
    out = tmp_path / "report.html"
    assert run("identify", duet, "--gallery", tmp_path / "g.sqlite", "--report", out).exit_code == 0
    (part,) = [one for one in parsed(out).all("article", of="taxon") if one.text.startswith("Great Tit")]
    (item,) = part.all("ul", of="pictures")[0].all("li")
    assert item.all("img") == []
    assert item.text == "Photo without a thumbnail: Parus major , A. Author , all rights reserved"


def test_memory_does_not_grow_with_the_recording(peak_mib, record, tmp_path):
    short, long = (record(f"{seconds}.wav", toy.tone(1000, seconds=seconds)) for seconds in (400, 1600))
    written = ("--report", tmp_path / "report.html")
    assert peak_mib(long, *written) < peak_mib(short, *written) + 20  # 20 minutes are 37 MiB of samples
