"""GUANO metadata as the specification has it, and as foreign recorders write it."""

from __future__ import annotations

import io
import struct
import time
import wave
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
import soundfile

from edgeapp.audio.file import FileSource
from edgeapp.audio.metadata import guano
from edgeapp.clock.system import Moment
from edgeapp.errors import AudioError

START = Moment(datetime(2024, 6, 7, 16, 59, 29, 250_000, timezone.utc), 100.0)
SOUND = np.arange(-500, 500, dtype=np.int16)


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def wav(samples=SOUND, rate_hz=48_000, subtype="PCM_16") -> bytes:
    made = io.BytesIO()
    soundfile.write(made, samples, rate_hz, subtype=subtype, format="WAV")
    return made.getvalue()


def chunks(raw: bytes) -> list[tuple[bytes, bytes]]:
    """An independent walk over a RIFF file that accepts nothing but a correct one."""
    assert raw[:4] == b"RIFF" and raw[8:12] == b"WAVE"
    assert struct.unpack("<I", raw[4:8])[0] == len(raw) - 8
    found, at = [], 12
    while at < len(raw):
        name, size = struct.unpack_from("<4sI", raw, at)
        body = raw[at + 8 : at + 8 + size]
        assert len(body) == size
        found.append((name, body))
        at += 8 + size + size % 2
    assert at == len(raw)
    return found


def about(**changes) -> dict[str, str]:
    recorder = guano.Recorder("0.1.0", "starter 1.0", 52.5, -13.25)
    given = dict(
        recorder=recorder,
        start=START,
        rate_hz=48_000,
        samples=1000,
        taxon="Turdus merula",
        confidence=0.98,
        file_name="a.wav",
    )
    return guano.fields(**{**given, **changes})


def test_the_fields_of_a_clip(berlin):
    assert about() == {
        "GUANO|Version": "1.0",
        "Timestamp": "2024-06-07T18:59:29.250+02:00",
        "Make": "BioVITA",
        "Model": "biovita-edge 0.1.0",
        "Samplerate": "48000",
        "Length": "0.020833",
        "Species Auto ID": "Turdus merula",
        "Original Filename": "a.wav",
        "Loc Position": "52.5000000 -13.2500000",
        "BiovitaEdge|Pack": "starter 1.0",
        "BiovitaEdge|Confidence": "0.9800",
        "BiovitaEdge|Clock Set": "yes",
    }


def test_a_station_without_a_place_gives_none_and_a_wrong_clock_is_told():
    found = about(recorder=guano.Recorder(), start=Moment(START.utc, 1.0, clock_set=False))
    assert "Loc Position" not in found
    assert "BiovitaEdge|Pack" not in found
    assert found["BiovitaEdge|Clock Set"] == "no"


def test_the_chunk_is_whole_even_and_begins_with_the_version(tmp_path):
    for note in ("x", "xy"):
        text = guano.as_text({**about(), "Note": note})
        raw = guano.into_wav(wav(), text)
        walked = chunks(raw)
        assert walked[-1][0] == b"guan"
        body = walked[-1][1]
        assert len(body) % 2 == 0
        assert body.startswith(b"GUANO|Version: 1.0\n")
        assert b"\r" not in body and b"\0" not in body
        lines = dict(line.split(": ", 1) for line in body.decode("utf-8").split("\n") if line)
        assert lines == {**about(), "Note": note}


def test_others_still_read_the_sound(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(guano.into_wav(wav(), guano.as_text(about())))
    samples, rate_hz = soundfile.read(path, dtype="int16")
    np.testing.assert_array_equal(samples, SOUND)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnframes()) == (48_000, len(SOUND))
        assert file.readframes(9999) == SOUND.tobytes()
    source = FileSource(path)
    heard = np.concatenate([block.samples for block in source.blocks()])
    np.testing.assert_array_equal(heard * 32_768, SOUND)
    assert source.fault is None


def test_an_odd_data_chunk_is_padded_before_ours():
    odd = wav(np.zeros(3, np.int16), subtype="PCM_U8")
    assert len(odd) % 2 == 0  # libsndfile has padded it; others leave the last byte out
    for given in (odd, odd[:-1]):
        walked = chunks(guano.into_wav(given, guano.as_text(about())))
        assert [name for name, _ in walked] == [b"fmt ", b"data", b"guan"]


def test_every_letter_and_line_survives(tmp_path):
    found = {**about(), "Note": "Amsel:\nsingt | früh 🐦", "Species Auto ID": "Turdus\nmerula"}
    path = tmp_path / "a.wav"
    path.write_bytes(guano.into_wav(wav(), guano.as_text(found)))
    read = guano.read(path)
    assert read["Note"] == "Amsel:\nsingt | früh 🐦"
    assert read["Species Auto ID"] == "Turdus\\nmerula"  # only a note has lines
    assert guano.start_time(read) == START.utc


def test_only_a_wav_can_take_the_chunk():
    with pytest.raises(ValueError, match="RIFF"):
        guano.into_wav(b"fLaC" + bytes(40), "GUANO|Version: 1.0\n")


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body


FMT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 48_000, 96_000, 2, 16))
AUDIOMOTH = b"GUANO|Version:1.0\nMake:Open Acoustic Devices\nTimestamp:2024-05-14T05:30:00-04:00\nOAD|Gain:\x00"
DS64 = chunk(b"ds64", struct.pack("<QQQI", 0, 6, 3, 0))
FOREIGN = {
    "before the sound": b"RIFF\0\0\0\0WAVE" + FMT + chunk(b"guan", AUDIOMOTH) + chunk(b"data", bytes(6)),
    "an odd chunk before it": b"RIFF\0\0\0\0WAVE" + FMT + chunk(b"data", bytes(3)) + b"\0" + chunk(b"guan", AUDIOMOTH),
    "its padding left out": b"RIFF\0\0\0\0WAVE" + FMT + chunk(b"data", bytes(3)) + chunk(b"guan", AUDIOMOTH),
    "RF64": b"RF64\xff\xff\xff\xffWAVE" + DS64 + FMT + chunk(b"data", bytes(6), 0xFFFFFFFF) + chunk(b"guan", AUDIOMOTH),
    "cut inside its last line": b"RIFF\0\0\0\0WAVE" + FMT + chunk(b"guan", AUDIOMOTH, 9999),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_read(tmp_path, name):
    path = tmp_path / "foreign.wav"
    path.write_bytes(FOREIGN[name])
    found = guano.read(path)
    assert found["Make"] == "Open Acoustic Devices"
    assert found["OAD|Gain"] == ""
    assert guano.start_time(found) == datetime(2024, 5, 14, 9, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"RIFF",
        b"not sound at all, but long enough for a header",
        b"RIFF\0\0\0\0WAVE" + FMT + chunk(b"data", bytes(6)),
        b"RIFF\0\0\0\0WAVE" + FMT + chunk(b"data", bytes(6), 0xFFFFFFFF),
        b"RIFF\0\0\0\0WAVEgua",
        b"fLaC" + bytes(60),
    ],
)
def test_a_file_without_metadata_has_none(tmp_path, raw):
    path = tmp_path / "plain.wav"
    path.write_bytes(raw)
    assert guano.read(path) == {}


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(AudioError, match="gone.wav"):
        guano.read(tmp_path / "gone.wav")


def test_a_comment_that_is_not_guano_is_not_taken_for_it(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 48_000, 1) as file:
        file.comment = "Recorded at: 05:30"
        file.write(SOUND)
    assert guano.read(tmp_path / "a.flac") == {}


def test_odd_lines_are_passed_over():
    found = guano.parse("\ufeffGUANO|Version: 1.0\r\n\n   \nno colon\n : no key\nA:1\nA:2\nLoc Position : 1 2 \0\0")
    assert found == {"GUANO|Version": "1.0", "A": "1", "Loc Position": "1 2"}


def test_latin_1_is_read_as_such(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF\0\0\0\0WAVE" + chunk(b"guan", "GUANO|Version: 1.0\nNote: Käuzchen".encode("latin-1")))
    assert guano.read(path)["Note"] == "Käuzchen"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2015-12-31T23:59:59Z", datetime(2015, 12, 31, 23, 59, 59, tzinfo=timezone.utc)),
        ("2015-12-31T23:59:59.123456+04:00", (2015, 12, 31, 23, 59, 59, 123_456, 4.0)),
        ("2015-12-31T23:59:59.1-02:30", (2015, 12, 31, 23, 59, 59, 100_000, -2.5)),
        ("2015-12-31 23:59:59+0100", (2015, 12, 31, 23, 59, 59, 0, 1.0)),
        ("2015-12-31T23:59", datetime(2015, 12, 31, 23, 59)),
        ("2015-12-31T23:59:59", datetime(2015, 12, 31, 23, 59, 59)),
        ("2015-13-31T23:59:59", None),
        ("2015-12-31T23:59:59+99:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_every_form_of_time(text, expected):
    if isinstance(expected, tuple):
        *parts, hours = expected
        expected = datetime(*parts, tzinfo=timezone(timedelta(hours=hours)))
    assert guano.start_time({"Timestamp": text}) == expected


def test_the_reference_implementation_agrees(tmp_path):
    import guano as reference  # the package of the makers of the format

    path = tmp_path / "a.wav"
    path.write_bytes(guano.into_wav(wav(), guano.as_text({**about(), "Note": "two\nlines"})))
    found = reference.GuanoFile(str(path))
    assert found["Loc Position"] == (52.5, -13.25)
    assert found["Timestamp"] == START.utc
    assert found["Samplerate"] == 48_000
    assert found["Note"] == "two\nlines"
    assert float(found["BiovitaEdge|Confidence"]) == 0.98
