"""Tables of identified files, as spreadsheets, Raven, Audacity and Kaleidoscope read them."""

from __future__ import annotations

import csv
import io
import os
import random
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from edgeapp.clock.system import Moment
from edgeapp.errors import UsageError
from edgeapp.outputs.csv import HEADER, OF_RECORDING
from edgeapp.outputs.writer import FORMATS, Recording, Run, writer
from edgeapp.recognition.results import Identification, Origin, Stretch
from gallery.candidates import Candidate
from gallery.recognition import Detection
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.outputs import receivers

GOLDEN = Path(__file__).parent / "golden"
TABLES = ("raven", "audacity", "kaleidoscope")
RUN = Run(Origin("toy", "1.0", "ab" * 32), window_s=10.0, hop_s=5.0)
BIRDS = ("Animalia", "Chordata", "Aves", "Passeriformes", "Paridae", "Parus")
GREAT_TIT = Candidate("Parus major", "Great Tit", 0.875, 0.5)
TIT = Detection("species", "Parus major", "Great Tit", (*BIRDS, "Parus major"), 0.875, (GREAT_TIT,))
A_PARUS = Detection("genus", "Parus", "", BIRDS, 0.912, (GREAT_TIT,))
A_TOAD = Detection("species", "Bufo bufo", "", ("Animalia", "Bufo bufo"), 0.5, (Candidate("Bufo bufo", "", 0.5, 0.4),))

NASTY = "aé鳥🐦 \t\n\r\0\x0b\x0c\x1c\x1b\x7f\x85\u2028\u2029\udcff\"',;=#\\/|`$(){}[]*?\u202e\u200b\xa0-_.µ"


@dataclass
class File:
    """What the writers are told of one file: its detections with start and end."""

    name: str
    rate_hz: int
    duration_s: float
    detections: tuple[tuple[float, float, Detection], ...] = ()
    fails: bool = False


NIGHT = (
    File("/recordings/night/a.wav", 48_000, 25.0, ((0, 10, TIT), (15, 25, A_PARUS))),
    File("/recordings/night/quiet.wav", 44_100, 12.5),
    File("/recordings/night/torn.wav", 48_000, 60.0, ((0, 10, TIT),), fails=True),
    File('/recordings/pond, "west"/c.wav', 22_050, 8.04, ((0, 8.04, A_TOAD),)),
    File("/d.wav", 11_025, 10.0, ((0, 10, TIT),)),
)
DUET = File("/duet.wav", 48_000, 40.0, ((0, 25, TIT), (0, 10, A_TOAD), (20, 40, A_PARUS)))


def written(format, files):
    """What a writer makes of files."""
    out = io.StringIO()
    writing = writer(format, out, RUN)
    for file in files:
        writing.begin(Recording(file.name, file.rate_hz))
        for start_s, end_s, detection in file.detections:
            writing.detection(Stretch(float(start_s), float(end_s), detection, np.zeros(1)))
        if file.fails:
            writing.fail(file.name, "torn")
        else:
            writing.finish(Identification(file.name, file.duration_s, 5.0, ()))
    return out.getvalue()


def csv_rows(text):
    """BirdNET's columns of rows, the header checked."""
    head, *found = csv.reader(io.StringIO(text))
    assert tuple(head) == (*HEADER, *OF_RECORDING)
    return [row[: len(HEADER)] for row in found]


@pytest.mark.parametrize("format", TABLES)
def test_tables_are_as_written_by_hand(format):
    assert written(format, NIGHT) == (GOLDEN / f"identify.{format}").read_text(encoding="utf-8")


@pytest.mark.parametrize("format", TABLES)
def test_what_was_written_by_hand_is_what_the_program_reads(format):
    read = getattr(receivers, format)
    assert len(read((GOLDEN / f"identify.{format}").read_text(encoding="utf-8"))) == 4


def test_times_run_on_over_files_and_offsets_do_not():
    selections = receivers.raven(written("raven", NIGHT))
    begins = [(one["Begin File"], float(one["Begin Time (s)"]), float(one["File Offset (s)"])) for one in selections]
    assert begins == [
        ("a.wav", 0.0, 0.0),
        ("a.wav", 15.0, 15.0),
        ("c.wav", 37.5, 0.0),  # 25 s and, without a detection, 12.5 s; nothing for the torn one
        ("d.wav", 45.54, 0.0),
    ]
    labels = receivers.audacity(written("audacity", NIGHT))
    assert [begin for begin, _, _ in labels] == [begin for _, begin, _ in begins]


def test_boxes_reach_to_half_of_each_files_rate():
    highest = [float(one["High Freq (Hz)"]) for one in receivers.raven(written("raven", NIGHT))]
    assert highest == [24_000, 24_000, 11_025, 5512.5]


def test_a_label_holds_the_confidence_and_says_what_is_no_species():
    labels = [label for _, _, label in receivers.audacity(written("audacity", NIGHT))]
    assert labels == ["Parus major 0.88", "Parus (genus) 0.91", "Bufo bufo 0.50", "Parus major 0.88"]


def test_a_good_match_is_a_small_distance():
    cells = receivers.kaleidoscope(written("kaleidoscope", NIGHT))
    assert [(row[5], float(row[6])) for row in cells[:3]] == [
        ("Great Tit", 0.125),
        ("Parus", 0.088),
        ("Bufo bufo", 0.5),
    ]


def test_kaleidoscope_finds_the_file_under_its_folders():
    assert [os.path.join(*row[:3]) for row in receivers.kaleidoscope(written("kaleidoscope", NIGHT))] == [
        "/recordings/night/a.wav",
        "/recordings/night/a.wav",
        '/recordings/pond, "west"/c.wav',
        "/d.wav",
    ]


def test_two_species_at_once_have_a_row_each():
    assert [row[:3] for row in csv_rows(written("csv", [DUET]))] == [
        ["0.0", "25.0", "Parus major"],
        ["0.0", "10.0", "Bufo bufo"],
    ]
    selections = receivers.raven(written("raven", [DUET]))
    assert [(one["Begin Time (s)"], one["End Time (s)"], one["Scientific Name"]) for one in selections[:2]] == [
        ("0.000000", "25.000000", "Parus major"),
        ("0.000000", "10.000000", "Bufo bufo"),
    ]


def test_a_group_is_in_no_species_column():
    assert "Parus" not in {row[2] for row in csv_rows(written("csv", [DUET]))}
    assert csv_rows(written("csv", [File("/a.wav", 48_000, 10.0, ((0, 10, A_PARUS),))])) == []
    group = receivers.raven(written("raven", [DUET]))[-1]
    assert (group["Rank"], group["Scientific Name"], group["Common Name"]) == ("genus", "Parus", "Parus")
    assert receivers.audacity(written("audacity", [DUET]))[-1] == (20.0, 40.0, "Parus (genus) 0.91")
    assert receivers.kaleidoscope(written("kaleidoscope", [DUET]))[-1][5] == "Parus"
    for format in TABLES:
        last = written(format, [DUET]).splitlines()[-1]
        assert "major" not in last and "Great Tit" not in last, "its likeliest species is not what was detected"


def test_birdnets_columns_hold_numbers_names_and_the_file():
    rows = csv_rows(written("csv", NIGHT))
    assert rows == [
        ["0.0", "10.0", "Parus major", "Great Tit", "0.8750", "/recordings/night/a.wav"],
        ["0.0", "8.04", "Bufo bufo", "", "0.5000", '/recordings/pond, "west"/c.wav'],
        ["0.0", "10.0", "Parus major", "Great Tit", "0.8750", "/d.wav"],
    ]


def of_recording(format, **recording):
    """What a writer makes of a detection of a recording that was begun so."""
    out = io.StringIO()
    writing = writer(format, out, RUN)
    writing.begin(Recording("/a.wav", 48_000, **recording))
    writing.detection(Stretch(5.0, 15.0, TIT, np.zeros(1)))
    writing.finish(Identification("/a.wav", 20.0, 5.0, ()))
    return out.getvalue()


BEGAN = Moment(datetime(2019, 10, 27, 0, 30, tzinfo=timezone.utc), 0.0)


@pytest.mark.parametrize(
    ("recording", "told"),
    [
        ({}, ["", "", "", ""]),
        ({"recorded": BEGAN, "origin": "guano"}, ["", "2019-10-27T00:30:00.000Z", "guano", ""]),
        (
            {"recorded": BEGAN, "origin": "name", "doubt": "repeated hour", "channel": 2},
            ["2", "2019-10-27T00:30:00.000Z", "name", "repeated hour"],
        ),
    ],
)
def test_csv_has_the_channel_and_the_start_of_a_recording(recording, told):
    [row] = csv.DictReader(io.StringIO(of_recording("csv", **recording)))
    assert [row[name] for name in OF_RECORDING] == told


@pytest.mark.parametrize(
    ("recording", "told"),
    [
        ({}, ["1", "", "", ""]),
        ({"recorded": BEGAN, "origin": "guano"}, ["1", "2019-10-27T00:30:05.000+00:00", "guano", ""]),
        (
            {"recorded": BEGAN, "origin": "name", "doubt": "repeated hour", "channel": 2},
            ["2", "2019-10-27T00:30:05.000+00:00", "name", "repeated hour"],
        ),
    ],
)
def test_raven_has_the_channel_and_the_time_of_a_detection(recording, told):
    [row] = receivers.raven(of_recording("raven", **recording))
    assert [row[name] for name in ("Channel", "Time", "Time Origin", "Time Doubt")] == told


def test_a_label_names_the_channel_that_was_chosen():
    assert receivers.audacity(of_recording("audacity", channel=2)) == [(5.0, 15.0, "Parus major 0.88 (channel 2)")]


@pytest.mark.parametrize(("format", "begins"), [("raven", ["5", "5", "25"]), ("audacity", ["5", "5", "25"])])
def test_channels_of_a_file_are_at_the_same_time(format, begins):
    out = io.StringIO()
    writing = writer(format, out, RUN)
    for file, channel in (("/a.wav", 1), ("/a.wav", 2), ("/b.wav", 1), ("/b.wav", 2)):
        writing.begin(Recording(file, 48_000, channel=channel, follows=channel > 1))
        writing.detection(Stretch(5.0, 15.0, TIT, np.zeros(1)))
        if file == "/b.wav" and channel == 1:
            writing.fail(file, "torn")
        else:
            writing.finish(Identification(file, 20.0, 5.0, ()))
    rows = receivers.raven(out.getvalue()) if format == "raven" else receivers.audacity(out.getvalue())
    assert [f"{float(row['Begin Time (s)'] if format == 'raven' else row[0]):g}" for row in rows] == begins


@pytest.mark.parametrize(("format", "head"), [("raven", 1), ("audacity", 0), ("kaleidoscope", 1)])
def test_nothing_heard_is_a_table_without_rows(format, head):
    text = written(format, NIGHT[1:3])
    assert len(receivers.rows(text)) == head
    assert getattr(receivers, format)(text) == []


def nasty(choice):
    return "".join(choice.choice(NASTY) for _ in range(choice.randint(1, 24)))


@pytest.mark.parametrize("format", TABLES)
def test_no_name_breaks_a_row(format):
    for seed in range(200):
        choice = random.Random(seed)
        files = []
        for _ in range(3):
            rank, name, common_name = choice.choice(["species", "genus"]), nasty(choice), nasty(choice)
            detection = Detection(rank, name, common_name, (name,), choice.random(), ())
            files.append(File("/" + nasty(choice), 48_000, 10.0, ((0, 10, detection),)))
        text = written(format, files)
        assert len(getattr(receivers, format)(text)) == 3, seed
        if format == "kaleidoscope":
            assert [len(row) for row in csv.reader(io.StringIO(text))] == [7] * 4


@pytest.mark.parametrize("format", TABLES)
def test_letters_that_end_no_row_are_kept(format):
    name = "/Aufnahmen/Käuzchen 2026 'früh'\xa0鳥🐦.wav"
    owl = Detection("species", "Strix aluco", "Käuzchen (l'été)", ("Strix aluco",), 0.5, ())
    text = written(format, [File(name, 48_000, 10.0, ((0, 10, owl),))])
    assert ("Strix aluco" if format == "audacity" else "Käuzchen (l'été)") in text
    assert format == "audacity" or os.path.basename(name) in text


def test_identify_writes_one_table_of_all_files(run, record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record("one.wav", toy.tone(1000, seconds=12, rate_hz=44_100), 44_100)
    record("noise.wav", toy.noise(7.5))
    torn = np.where(np.arange(240_000) == 200_000, np.nan, toy.tone(1000, seconds=30))
    record("torn.wav", torn, subtype="FLOAT")
    record("two.wav", toy.tone(3000, seconds=8))
    files = ["one.wav", "noise.wav", "torn.wav", "missing.wav", "two.wav"]
    result = run("identify", *files, "--format", "raven", "-q")
    assert result.exit_code == 1 and len(result.stderr.splitlines()) == 2
    found = [
        (one["Begin Path"], float(one["Begin Time (s)"]), float(one["End Time (s)"]), float(one["High Freq (Hz)"]))
        for one in receivers.raven(result.stdout)
    ]
    path, other = str(tmp_path / "one.wav"), str(tmp_path / "two.wav")
    assert found == [(path, 0, 12, 22_050), (other, 19.5, 27.5, 4_000)]  # windows from 0 and 2 s are one detection
    labels = receivers.audacity(run("identify", *files, "-f", "audacity", "-q").stdout)
    assert [label[:2] for label in labels] == [(0, 12), (19.5, 27.5)]
    cells = receivers.kaleidoscope(run("identify", *files, "-f", "kaleidoscope", "-q").stdout)
    assert [(row[2], float(row[3]), float(row[4])) for row in cells] == [
        ("one.wav", 0, 12),
        ("two.wav", 0, 8),
    ]


def test_every_format_is_in_the_help_and_a_wrong_one_names_them(run):
    told = run("identify", "--help").stdout
    with pytest.raises(UsageError) as raised:
        writer("selections", io.StringIO(), RUN)
    assert {"raven", "audacity", "kaleidoscope"} <= set(FORMATS)
    assert all(format in told and format in str(raised.value) for format in FORMATS)
