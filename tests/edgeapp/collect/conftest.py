"""A server of archives for every module, and media that were made for the tests."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import soundfile
from PIL import Image

from edgeapp.collect import pace
from edgeapp.collect.client import Client
from edgeapp.collect.sources.kind import Setting
from tests.edgeapp.collect.archive_server import KEY, Archives, archive_server

RATE_HZ = 8000


@pytest.fixture(scope="session")
def _server() -> Iterator[Archives]:
    with archive_server() as served:
        yield served


@pytest.fixture
def archives(_server: Archives) -> Archives:
    """The server, with nothing on it."""
    fresh = Archives(url=_server.url)
    vars(_server).update(vars(fresh))
    return _server


@pytest.fixture(scope="session")
def _client() -> Iterator[Client]:
    with Client(timeout_s=10.0) as opened:
        yield opened


@pytest.fixture
def client(_client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client that waits a hundredth of what it should, and remembers no host."""
    monkeypatch.setattr(pace, "LONGEST_PAUSE_S", 0.03)
    monkeypatch.setattr(_client, "pace", pace.Pace(per_s=2000.0, pause_s=0.01))
    return _client


@dataclass
class Told:
    """Remarks of a source."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def setting(archives: Archives, client: Client, told: Told) -> Setting:
    """What sources of the server are told."""
    return Setting(client, addresses=archives.addresses, key=KEY, tell=told)


def sound(number: int = 0, seconds: float = 1.0, format: str = "WAV") -> bytes:
    """A tone of its own pitch."""
    at_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    out = io.BytesIO()
    soundfile.write(out, 0.5 * np.sin(2 * np.pi * (400 + 37 * number) * at_s), RATE_HZ, format=format)
    return out.getvalue()


def photo(number: int = 0, format: str = "JPEG") -> bytes:
    """A picture of its own colours."""
    out = io.BytesIO()
    shades = np.random.default_rng(number).integers(0, 255, (24, 32, 3), np.uint8)
    Image.fromarray(shades).save(out, format)
    return out.getvalue()
