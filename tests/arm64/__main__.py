"""Identify the same recordings here and on aarch64 under emulation, compare, and let the emulated doctor look around.

    python -m tests.arm64 .arm64

Exit code 1: something differs or has failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.arm64.compare import TOLERANCE, compare
from tests.arm64.folder import PROJECT

EXAMPLE = PROJECT / "edgeapp/examples/example.flac"
N_RECORDINGS = 4  # of the data beside the project, if it is there
MOST_SHOWN = 20


def packs() -> list[Path]:
    """Every pack of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*pack.json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [PROJECT / name for name in map(os.path.dirname, listed.stdout.splitlines())]


def recordings() -> list[Path]:
    """The bundled example, and some of the recordings beside the project, from all over the list."""
    shared = Path(os.environ.get("BIOVITA_SHARED") or PROJECT.parent / "shared")
    real = sorted(path for path in (shared / "starter/audio").glob("*/*") if path.is_file())
    return [EXAMPLE, *real[:: max(1, len(real) // N_RECORDINGS)][:N_RECORDINGS]]


def edgeapp(python: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program as nobody's: without the settings, journals and caches of whoever runs this."""
    with tempfile.TemporaryDirectory() as home:
        folders = {f"XDG_{name}_HOME": f"{home}/{name}" for name in ("CONFIG", "DATA", "CACHE", "STATE")}
        kept = {key: value for key, value in os.environ.items() if not key.startswith("BIOVITA_")}
        env = {**kept, **folders, "HOME": home, "PYTHONPATH": str(PROJECT)}
        command = [python, "-m", "edgeapp", *words]
        return subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, encoding="utf-8")


def identify(python: str, pack: Path, clips: Sequence[Path]) -> list[dict[str, Any]]:
    """Documents of recordings, in their order."""
    done = edgeapp(python, "identify", "--format", "json", "--pack", str(pack), *map(str, clips))
    if done.returncode != 0:
        sys.exit(f"arm64: identify by {python} ended with {done.returncode}:\n{done.stderr.strip()}")
    documents, rest = [], done.stdout.lstrip()
    while rest:
        document, end = json.JSONDecoder().raw_decode(rest)
        documents.append(document)
        rest = rest[end:].lstrip()
    return documents


def compare_pack(python: str, pack: Path, clips: Sequence[Path]) -> bool:
    """Identify with a pack here and there, tell how far apart they are, and whether that is near enough."""
    here = identify(sys.executable, pack, clips)
    start = time.monotonic()
    there = identify(python, pack, clips)
    took_s = time.monotonic() - start
    found = compare(here, there)
    name = pack.relative_to(PROJECT)
    counts = f"{len(here)} recordings, {found.n_windows} windows, {found.n_confidences} confidences"
    print(f"{name}: {counts}, {took_s:.0f} s on arm64")
    print(f"  largest difference from x86-64, of {TOLERANCE} allowed: {found.largest}")
    for one in found.wrong[:MOST_SHOWN]:
        print(f"  WRONG {one}")
    if len(found.wrong) > MOST_SHOWN:
        print(f"  and {len(found.wrong) - MOST_SHOWN} more")
    print(f"  {'agrees' if found.agrees else 'DOES NOT AGREE'}", flush=True)
    return found.agrees


def doctor(python: str) -> bool:
    """Let the doctor look around on aarch64, and tell what is not well there."""
    start = time.monotonic()
    done = edgeapp(python, "doctor", "--json", "--no-microphone")
    print(f"doctor --json --no-microphone: exit code {done.returncode}, {time.monotonic() - start:.0f} s")
    if done.returncode not in (0, 1):  # 1: warnings, such as a clock that nobody sets
        print(f"{done.stdout}{done.stderr}  DOES NOT WORK")
        return False
    findings = json.loads(done.stdout)["findings"]
    for finding in findings:
        if finding["name"] == "versions" or finding["state"] not in ("ok", "skipped"):
            print(f"  {finding['state']} {finding['name']}: {finding['what']}")
    emulated = any("aarch64" in finding["what"] for finding in findings)
    if not emulated:
        print("  DID NOT RUN on aarch64")
    sys.stdout.flush()
    return emulated


def main() -> None:
    python = str(Path(sys.argv[1]).resolve() / "bin" / "python")
    clips = recordings()
    well = [compare_pack(python, pack, clips) for pack in packs()]
    if not well:
        sys.exit("arm64: no pack in the repository")
    sys.exit(0 if all([*well, doctor(python)]) else 1)


if __name__ == "__main__":
    main()
