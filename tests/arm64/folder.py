"""Build a folder in which a device install runs on aarch64 under QEMU.

    python -m tests.arm64.folder .arm64 [onnxruntime==1.21.0 ...]

All of it lies below that folder, and the machine's own packages never learn of a second architecture:

    apt/         an apt's own lists and packages, from the sources that the machine is configured for
    root/        those packages, unpacked; the emulated process finds absolute paths here first (QEMU's -L)
    bin/python   a shell script that runs root's Python under QEMU
    lib/         the aarch64 wheels of a device install and of its tests
    pyvenv.cfg   makes a virtual environment of bin/ and lib/
    ready        written last

A shell script in place of the interpreter makes child processes work: `sys.executable` is the script, which the kernel
can run, where it could not run an aarch64 program without an entry in binfmt_misc.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).resolve().parents[2]
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")  # Debian 12 and older; Debian 13
CPU = "cortex-a72"  # of a Raspberry Pi 4: what its instruction set lacks ends with an illegal instruction here too
DEBIAN = ("python3", "libstdc++6", "libportaudio2")
FOR_TESTS = ("onnx", "pytest", "pytest-timeout")
PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_26", "manylinux_2_27", "manylinux_2_28")

# QEMU before 8.2 shows the /proc/cpuinfo of the machine it runs on, in which ONNX Runtime finds no Arm core.
CPUINFO = """\
processor\t: {index}
model name\t: ARMv8 Processor rev 3 (v8l)
BogoMIPS\t: 100.00
Features\t: fp asimd aes pmull sha1 sha2 crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""


class Missing(Exception):
    """Something the folder is made with is not here, or has failed."""


def emulator() -> str:
    """Path of QEMU's user emulation of aarch64."""
    found = next(filter(None, map(shutil.which, EMULATORS)), None)
    if found is None:
        raise Missing("qemu-aarch64-static is missing: install it with apt-get install qemu-user-static")
    return found


def requirements() -> list[str]:
    """What a device install with ONNX Runtime asks for, and what its tests need besides."""
    with open(PROJECT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["cpu"], *FOR_TESTS]


def build(folder: Path, others: Sequence[str] = ()) -> None:
    """Build the folder from nothing.

    Parameters
    ----------
    folder
        Where; what is there is deleted.
    others
        Requirements on top of those of `requirements`, such as an older ONNX Runtime.

    Raises
    ------
    Missing
        A tool is not here, or what it was asked for could not be had.
    """
    qemu = emulator()
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Missing(f"{tool} is missing: the folder is made of Debian's packages, on Debian or Ubuntu")
    folder = folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    root = folder / "root"
    unpack(download(folder / "apt"), root)
    version = (root / "usr/bin/python3").readlink().name  # python3.11
    install([*requirements(), *others], version.removeprefix("python"), folder / "lib" / version / "site-packages")
    script = folder / "bin" / "python"
    script.parent.mkdir()
    command = [qemu, "-cpu", CPU, "-L", str(root), "-0", str(script), str(root / "usr/bin" / version)]
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    settings = f"home = {root / 'usr/bin'}\ninclude-system-site-packages = false\n"
    (folder / "pyvenv.cfg").write_text(settings, encoding="utf-8")
    (folder / "ready").touch()


def download(folder: Path) -> list[Path]:
    """Download Debian's packages for arm64 and all that they depend on, from where the machine gets its own."""
    for name in ("lists", "state", "cache"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()  # nothing is installed
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # the user apt changes to could not reach this folder
        "Debug::NoLocking": "true",
        "Dir::Cache": folder / "cache",
        "Dir::State": folder / "state",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
    }
    apt = ["apt-get", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]
    # A source that has nothing for arm64 fails, and the others may be enough: the second command knows.
    subprocess.run([*apt, "update"], capture_output=True, check=False)
    run([*apt, "install", "--yes", "--download-only", *DEBIAN])
    return sorted((folder / "cache" / "archives").glob("*.deb"))


def unpack(packages: Sequence[Path], root: Path) -> None:
    """Unpack packages; none of their scripts is run."""
    for package in packages:
        run(["dpkg-deb", "--extract", str(package), str(root)])
    for name in ("bin", "lib", "sbin"):
        if not (root / name).exists():  # from Debian 13 on, packages have /usr/lib alone
            (root / name).symlink_to(f"usr/{name}")
    (root / "proc").mkdir()
    cores = "".join(CPUINFO.format(index=index) for index in range(os.cpu_count() or 1))
    (root / "proc/cpuinfo").write_text(cores, encoding="utf-8")


def install(wanted: Sequence[str], version: str, target: Path) -> None:
    """Install aarch64 wheels for a version of Python; nothing is built."""
    platforms = [f"--platform={platform}_aarch64" for platform in PLATFORMS]
    options = ["--quiet", "--only-binary=:all:", "--implementation=cp", f"--python-version={version}", *platforms]
    run([sys.executable, "-m", "pip", "install", *options, "--no-warn-conflicts", f"--target={target}", *wanted])


def run(command: Sequence[str]) -> None:
    """Run a command; its output is for when it fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    if done.returncode != 0:
        raise Missing(f"{shlex.join(command)} has failed:\n{done.stdout.strip()}")


def main() -> None:
    folder, *others = sys.argv[1:]
    start = time.monotonic()
    try:
        build(Path(folder), others)
    except Missing as missing:
        sys.exit(f"arm64: {missing}")
    print(f"{folder}: aarch64 Python and a device install, built in {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
