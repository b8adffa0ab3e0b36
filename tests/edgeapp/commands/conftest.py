"""Recordings of two sites, and the results of an archive of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.edgeapp import toy_pack as toy
from tests.edgeapp.archive.heard import heard


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Tits, a toad and a cuckoo at the pond; Parus minor, silence and what is no sound in the wood."""
    folder = tmp_path_factory.mktemp("recordings")
    pause = np.zeros(20 * toy.RATE_HZ, np.float32)
    sounds = {
        "pond/20260501_040000Z.wav": np.concatenate([toy.tone(1000), pause, toy.tone(1000, 500), toy.noise()]),
        "pond/20260501_220000Z.wav": toy.tone(3000, seconds=23.7),
        "wood/notime.wav": toy.tone(2000),
        "wood/20260502_043000Z.wav": pause,
    }
    for name, samples in sounds.items():
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / name, samples, toy.RATE_HZ)
    (folder / "wood" / "broken.wav").write_bytes(b"RIFF")
    return [str(folder / name) for name in (*sounds, "wood/broken.wav")]


@pytest.fixture(scope="session")
def two_sites(recordings: list[str], toy_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the recordings, with all tables."""
    return heard(tmp_path_factory.mktemp("archive") / "results", recordings, toy_pack).folder
