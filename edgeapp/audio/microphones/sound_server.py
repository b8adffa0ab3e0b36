"""Questions to the programs of sound servers."""

from __future__ import annotations

import subprocess

from edgeapp.audio.microphones.remedies import OF_A_USER
from edgeapp.errors import DeviceError
from edgeapp.paths import child_environment

ANSWER_S = 10.0


def answer_of(command: list[str], server: str, missing: str, failing: bool = False) -> str:
    """What a program prints on standard output.

    Parameters
    ----------
    command : list of str
    server : str
        What the program asks, in words.
    missing : str
        The remedy where the program is not installed.
    failing : bool
        It may fail; what it prints on standard error is added.

    Raises
    ------
    DeviceError
        The program is missing, does not end in time, or fails.
    """
    try:
        done = subprocess.run(
            command,
            env={**child_environment(), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_S,
        )
    except FileNotFoundError:
        raise DeviceError(f"{command[0]} is missing", missing) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"{server} does not answer ({type(error).__name__})", "restart it") from None
    if failing:
        return (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines() or ["no answer"]
        raise DeviceError(f"no {server} answers ({words[-1]})", OF_A_USER)
    return done.stdout.decode(errors="replace")
