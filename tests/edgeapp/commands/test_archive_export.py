"""`archive export`: what `identify` writes of the same recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.edgeapp import toy_pack as toy
from tests.edgeapp.archive.heard import heard

FORMATS = ("json", "ndjson", "csv", "raven", "audacity", "kaleidoscope")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> list[str]:
    """Two sites: tits and a toad, a cuckoo at night, nothing, and a file that is no sound."""
    import soundfile

    folder = tmp_path_factory.mktemp("recordings")
    both = np.concatenate([toy.tone(1000), np.zeros(160_000, np.float32), toy.tone(1000, 500), toy.noise()])
    sounds = {
        "pond/20260501_040000Z.wav": both,
        "pond/20260501_220000Z.wav": toy.tone(3000, seconds=23.7),
        "wood/notime.wav": toy.tone(2000),
        "wood/20260502_043000Z.wav": np.zeros(160_000, np.float32),
    }
    for name, samples in sounds.items():
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / name, samples, toy.RATE_HZ)
    (folder / "wood" / "broken.wav").write_bytes(b"RIFF")
    return [str(folder / name) for name in (*sounds, "wood/broken.wav")]


@pytest.fixture(scope="module")
def results(recordings, recogniser, tmp_path_factory) -> Path:
    return heard(tmp_path_factory.mktemp("archive") / "results", recordings, recogniser).folder


@pytest.mark.parametrize("format", FORMATS)
def test_a_format_is_that_of_identify_to_the_letter(run, results, recordings, format):
    one = run("identify", *recordings, "--format", format, "--hop", 5)
    exported = run("archive", "export", results, "--format", format)
    assert (one.exit_code, exported.exit_code) == (1, 0)
    lines = [done.stdout.splitlines() for done in (exported, one)]
    if format == "ndjson":  # a detection comes after the window that shows its end
        lines = [sorted(those) for those in lines]
    assert lines[0] == lines[1]
    assert len(lines[0]) > 4
