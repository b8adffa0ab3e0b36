"""Every command in a locale without UTF-8: what it writes is what it writes in any other."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import soundfile

from edgeapp.cli import COMMANDS
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.forks import ARCHIVE, Forks

LOCALES = {"utf-8": {"LC_ALL": "C.UTF-8"}, "C": {"LC_ALL": "C"}, "POSIX": {"LC_ALL": "POSIX", "LANG": "POSIX"}}
BARE = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
SONG, JOURNAL, RESULTS = "Grünfink 鳥.wav", "Tagebuch é.sqlite", "Ergebnisse ß"
DONE = {
    "identify": ["identify", SONG, "--pack", "TOY", "--format", "csv", "--language", "ja"],
    "archive": ["archive", SONG, "--output", RESULTS, "--pack", "TOY", "--workers", "1", "--partition", "folder"],
    "archive summary": ["archive", "summary", RESULTS, "--zone", "UTC"],
    "archive export": ["archive", "export", RESULTS, "--format", "csv"],
    "collect": ["collect", "--help"],
    "devices": ["devices", "--help"],
    "species": ["species", "--pack", "TOY", "--language", "ja"],
    "gallery list": ["gallery", "list", "--pack", "TOY", "--language", "uk"],
    "gallery search": ["gallery", "search", "Kohlmeise", "--pack", "TOY"],
    "pack info": ["pack", "info", "TOY"],
    "listen": ["listen", "-", "--pcm-rate", "8000", "--pack", "TOY", "--journal", JOURNAL, "--language", "ja"],
    "journal list": ["journal", "list", "--journal", JOURNAL, "--language", "ja"],
    "journal export": ["journal", "export", "--journal", JOURNAL, "--format", "csv"],
    "serve": ["serve", "--journal", "ü is no journal"],
    "web": ["web", "--help"],
    "bench": ["bench", "--pack", "no pack ü"],
    "config show": ["config", "show", "--config", "Einstellungen ä.toml"],
    "service": ["service", "--help"],
    "doctor": ["doctor", "--config", "Einstellungen ä.toml", "--no-microphone"],
}


def done_in(locale: str, folder: Path, toy_pack: Path, forks: Forks) -> dict[str, tuple[int, str, str]]:
    """Every command: its exit code, and what it wrote to standard output and error."""
    folder.mkdir()
    soundfile.write(folder / SONG, toy.tone(1000), toy.RATE_HZ)
    (folder / "Einstellungen ä.toml").write_text(f'[station]\nname = "Vogelhaus 鳥"\npack = "{toy_pack}"\n', "utf-8")
    sound = (toy.tone(1000) * 32_767).astype("<i2").tobytes()
    home = {name: str(folder / "home") for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    environment = {**plain, **home, **LOCALES[locale], **BARE, "PYTHONPATH": str(PROJECT)}
    found = {}
    for name, words in DONE.items():
        given = tuple((str(toy_pack) if word == "TOY" else word).encode() for word in words)  # as a shell gives them
        done = forks.run(given, folder, environment, sound, ARCHIVE)
        found[name] = done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    return found


@pytest.fixture(scope="module")
def in_utf8(tmp_path_factory, toy_pack, forks):
    folder = tmp_path_factory.mktemp("utf8") / "here"
    return done_in("utf-8", folder, toy_pack, forks), folder


def timeless(text: str, folder: Path) -> str:
    """Without what another run has otherwise: where it was, hashes, and numbers."""
    return re.sub(r"\b[0-9a-f]{12,}\b|[\d.,:]*\d", "#", text.replace(str(folder), "HERE"))


@pytest.mark.parametrize("locale", ["C", pytest.param("POSIX", marks=pytest.mark.slow)])
def test_a_locale_without_letters_changes_nothing(locale, in_utf8, tmp_path, toy_pack, forks):
    wanted, there = in_utf8
    assert {name.split()[0] for name in DONE} == set(COMMANDS)
    assert [name for name, (code, *_) in wanted.items() if code not in (0, 1)] == ["species", "serve", "bench"]
    assert all(word in wanted["identify"][1] for word in (SONG, "シジュウカラ"))
    found = done_in(locale, tmp_path / "here", toy_pack, forks)
    for name, (code, out, err) in wanted.items():
        assert (name, found[name][0], "Traceback" in found[name][2]) == (name, code, False)
        assert timeless(found[name][1], tmp_path / "here") == timeless(out, there), name
        # Two threads of `listen` tell something when it starts.
        told, wanted_told = (
            sorted(timeless(text, place).splitlines())
            for text, place in ((found[name][2], tmp_path / "here"), (err, there))
        )
        assert told == wanted_told, name
