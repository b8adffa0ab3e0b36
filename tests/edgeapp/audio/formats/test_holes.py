"""Damage in what ffmpeg and PyAV decode: what lies before and after is heard at its time, and the hole is told."""

from __future__ import annotations

import random
import re
import subprocess

import numpy as np
import pytest

from edgeapp.audio.formats import foreign, mp4
from edgeapp.audio.formats.decoder import Hole
from edgeapp.audio.formats.timed import in_time
from tests.edgeapp.audio.formats.sounds import encoded, heard, whole

HZ, SECONDS = 16_000, 16
PIECE = HZ // 10  # each has a tone of its own, so that its place is known
FORMATS = {
    "fragments.mp4": ("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "500000"),
    "dash.mp4": ("-c:a", "aac", "-movflags", "+dash+frag_keyframe+default_base_moof", "-frag_duration", "500000"),
    "alac.mp4": ("-c:a", "alac", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "500000"),
    "plain.m4a": ("-c:a", "aac"),
    "web.m4a": ("-c:a", "aac", "-movflags", "faststart"),
    "alac.m4a": ("-c:a", "alac"),
    "alac.caf": ("-c:a", "alac"),
    "camera.avi": ("-c:a", "mp3"),
    "phone.wma": ("-c:a", "wmav2"),
    "web.webm": ("-c:a", "libopus", "-cluster_time_limit", "4000"),
    "one.webm": ("-c:a", "libopus", "-cluster_time_limit", "32000", "-cluster_size_limit", "100000000"),
    "live.mka": ("-c:a", "flac", "-live", "1"),
    "phone.aac": ("-c:a", "aac"),
    "pack.wv": ("-c:a", "wavpack", "-frame_size", "4096"),
    "tv.ts": ("-c:a", "aac"),
}
UNTIMED = ("phone.aac",)  # nothing in it says when its packets are
DECODERS = {"zeros": "no-such-program", "random": "ffmpeg", "removed": "no-such-program", "added": "no-such-program"}
FRAGMENT_S = 1.0  # of what a hole may cost beyond itself


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, bytes]:
    rng = np.random.default_rng(7)
    time = np.arange(PIECE) / HZ
    tones = [np.sin(2 * np.pi * rng.uniform(500, 5_000) * time) * np.hanning(PIECE) for _ in range(SECONDS * 10)]
    sound = 0.4 * np.concatenate(tones) + rng.normal(0, 0.002, SECONDS * HZ)
    folder = tmp_path_factory.mktemp("holes")
    (folder / "sound.wav").write_bytes(encoded((sound * 32_767).astype(np.int16), "WAV", HZ))
    command = ["ffmpeg", "-v", "error", "-i", folder / "sound.wav"]
    for name, options in FORMATS.items():
        command += [*options, folder / name]
    subprocess.run(command, check=True)
    return {name: (folder / name).read_bytes() for name in FORMATS}


def with_hole(data: bytes, kind: str, at: int, size: int) -> bytes:
    inside = {"zeros": bytes(size), "removed": b""}.get(kind, random.Random(3).randbytes(size))
    return data[:at] + inside + data[at if kind == "added" else at + size :]


def at_their_time(whole: np.ndarray, given: np.ndarray, rate_hz: int, within_s: float = 0.02) -> np.ndarray:
    """Which pieces of a sound stand in another one where they belong."""
    n, slack = rate_hz // 10, round(within_s * rate_hz)
    energy = np.concatenate([[0], np.cumsum(np.square(given, dtype=np.float64))])
    found = []
    for at in range(0, len(whole) - n, n):
        first, last = max(0, at - slack), min(len(given), at + n + slack)
        if last - first < n:
            found.append(False)
            continue
        piece, levels = whole[at : at + n], np.sqrt(energy[first + n : last + 1] - energy[first : last + 1 - n] + 1e-9)
        likeness = given[at : at + n] @ piece / (np.linalg.norm(piece) * levels[at - first]) if at + n <= last else 0
        if likeness <= 0.8:  # not at the very place, as most are
            likeness = (np.correlate(given[first:last], piece, "valid") / (np.linalg.norm(piece) * levels)).max()
        found.append(bool(likeness > 0.8))
    return np.array(found)


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("name", FORMATS)
def test_what_follows_a_hole_is_heard_at_its_time(made, monkeypatch, name, kind):
    monkeypatch.setattr(foreign, "FFMPEG", DECODERS[kind])
    if name in UNTIMED and kind in ("removed", "added"):
        pytest.skip("how long the hole is cannot be known")
    data = made[name]
    sound = whole(data)
    size = len(data) // 30
    damaged = with_hole(data, kind, len(data) * 2 // 5, size)
    given, source = heard(damaged)
    assert source.fault is not None and source.fault.startswith("is damaged")
    right = at_their_time(sound, given, source.rate_hz, 0.08 if name in UNTIMED else 0.02)
    lost_s = (~right).sum() / 10
    assert lost_s <= (0 if kind == "added" else SECONDS / 30) + FRAGMENT_S
    assert right[: int(10 * SECONDS * 2 / 5) - 6].all() and right[-60:].all()


@pytest.mark.parametrize("name", ["fragments.mp4", "web.webm", "phone.aac"])
def test_holes_at_several_places_cost_what_they_hit(made, name):
    data = made[name]
    damaged = bytearray(data)
    for share in (0.2, 0.45, 0.7):
        at = int(share * len(data))
        damaged[at : at + 600] = bytes(600)
    sound, given = whole(data), heard(bytes(damaged))
    right = at_their_time(sound, given[0], given[1].rate_hz, 0.3 if name in UNTIMED else 0.02)
    assert given[1].fault is not None and (~right).sum() / 10 < 3 * FRAGMENT_S


@pytest.mark.parametrize("box", [b"moof", b"mdat", b"mfra", b"traf", b"trun"])
@pytest.mark.parametrize("name", ["fragments.mp4", "dash.mp4"])
def test_a_damaged_box_costs_its_fragment(made, name, box):
    data = made[name]
    places = [found.start() for found in re.finditer(re.escape(box), data)]
    if not places:
        pytest.skip("it has none")
    at = places[len(places) // 2] - 4
    sound, (given, source) = whole(data), heard(data[:at] + bytes(16) + data[at + 16 :])
    assert (~at_their_time(sound, given, source.rate_hz)).sum() / 10 <= (0 if box == b"mfra" else FRAGMENT_S)
    assert source.fault is not None


def test_a_damaged_head_of_a_cluster_moves_nothing(made):
    data = made["web.webm"]
    at = [found.start() for found in re.finditer(re.escape(b"\x1f\x43\xb6\x75"), data)][2]
    sound, (given, source) = whole(data), heard(data[: at - 40] + bytes(100) + data[at + 60 :])
    assert (~at_their_time(sound, given, source.rate_hz)).sum() <= 3
    assert source.fault is not None and "is damaged from " in source.fault


def test_an_index_that_has_moved_is_found(made, tmp_path):
    """Bytes that are missing shift what follows: what lies before them is heard."""
    (tmp_path / "a.wav").write_bytes(
        encoded(np.random.default_rng(1).normal(0, 3_000, 8 * HZ).astype(np.int16), "WAV", HZ)
    )
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", "-c:a", "aac", tmp_path / "a.m4a"], check=True)
    data = (tmp_path / "a.m4a").read_bytes()
    sound = whole(data)
    given, source = heard(with_hole(data, "removed", len(data) // 2, 1_000))
    n = len(sound) * 2 // 5
    np.testing.assert_allclose(given[:n], sound[:n], atol=1e-3)
    assert source.fault is not None


def test_boxes_that_are_whole_are_left_alone(made, tmp_path):
    for name in ("fragments.mp4", "dash.mp4"):
        (tmp_path / name).write_bytes(made[name])
        with open(tmp_path / name, "rb") as file:
            assert mp4.repaired(file) is None and mp4.has_index(file)


def test_times_that_drift_are_followed_without_a_word():
    piece = np.ones((160, 1), np.float32)
    holes: list[Hole] = []
    pieces = [(0.01 * n * 1.01, piece) for n in range(2_000)]  # 1 % slow
    total = sum(map(len, in_time(pieces, 16_000, 100, holes)))
    assert holes == [] and total == pytest.approx(320_000 * 1.01, abs=900)


def test_a_gap_between_times_is_a_hole_and_a_leap_back_is_none():
    piece = np.ones((160, 1), np.float32)
    holes: list[Hole] = []
    pieces = [(0.0, piece), (0.01, piece), (1.0, piece), (0.0, piece), (0.01, piece), (10.0**9, piece)]
    frames = np.concatenate(list(in_time(pieces, 16_000, 100, holes)))
    assert holes == [Hole(320, 16_000)] and len(frames) == 16_160 + 3 * 160
    assert not frames[320:16_000].any() and frames[16_000:].all()


def test_samples_that_no_recording_has_are_a_hole_of_what_was_decoded():
    holes: list[Hole] = []
    pieces = [(0.0, np.ones((160, 1), np.float32)), (0.01, np.full((160, 1), 1e9, np.float32))]
    frames = np.concatenate(list(in_time(pieces, 16_000, 100, holes)))
    assert holes == [Hole(160, 320)] and np.abs(frames).max() == 1


@pytest.mark.parametrize("kind", ["zeros", "random"])
@pytest.mark.parametrize(("magic", "type", "size"), [(b"#!AMR\n", b"\x3c", 31), (b"#!AMR-WB\n", b"\x44", 60)])
def test_frames_of_a_phone_are_found_again(kind, magic, type, size):
    rng = random.Random(1)
    data = magic + b"".join(type + rng.randbytes(size) for _ in range(500))
    sound, (given, source) = whole(data), heard(with_hole(data, kind, len(data) * 2 // 5, 1_500))
    assert len(sound) == len(given) == 10 * source.rate_hz and source.fault is not None
    right = at_their_time(sound, given, source.rate_hz)
    assert right[:39].all() and right[-45:].all()
