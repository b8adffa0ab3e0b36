"""What programs of sound servers answer, or one line that says why they do not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgeapp.audio.microphones import sound_server
from edgeapp.audio.microphones.sound_server import answer_of
from edgeapp.errors import DeviceError


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_answer_is_what_the_program_prints():
    assert answer_of(python("print('sources')"), "sound server", "") == "sources\n"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["no-such-program"], "no-such-program is missing; install it"),
        (python("import sys; sys.exit('Connection refused')"), "no sound server answers \\(Connection refused\\)"),
        (python("raise SystemExit(1)"), "no sound server answers \\(no answer\\)"),
    ],
)
def test_without_an_answer_it_says_why(command, told):
    with pytest.raises(DeviceError, match=told):
        answer_of(command, "sound server", "install it")


def test_a_server_that_hangs_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(sound_server, "ANSWER_S", 0.1)
    with pytest.raises(DeviceError, match="sound server does not answer .TimeoutExpired.; restart it"):
        answer_of(python("import time; time.sleep(60)"), "sound server", "")


def test_of_a_program_that_may_fail_both_streams_count():
    code = "import sys; print('a'); sys.stdout.flush(); print('b', file=sys.stderr); sys.exit(1)"
    assert answer_of(python(code), "sound server", "", failing=True) == "a\nb\n"
    assert subprocess.run(python(code), capture_output=True).returncode == 1
