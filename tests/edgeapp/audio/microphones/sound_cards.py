"""Machines with sound cards: the part of /sys and /proc that tells of them, laid out in a folder."""

from __future__ import annotations

import json
from pathlib import Path

MACHINES = Path(__file__).parent / "sound_cards"


def lay_out(machine: str, root: Path) -> Path:
    """Write the files and links of a machine (raspberry_pi, jetson, laptop) below a folder."""
    tree = json.loads((MACHINES / f"{machine}.json").read_text())
    for name, text in tree["files"].items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, target in tree["links"].items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        assert path.exists(), f"{name} leads nowhere"
    return root
