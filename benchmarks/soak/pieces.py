"""A run in several pieces: what one leaves in its folder for the next, so that one account tells of all of them.

Between two pieces the station is off, as it is without power; its journal, its clips and the broker's sessions stay.
"""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.soak.accelerated import Soak

FILE = "pieces.pickle"


@dataclass
class Left:
    """What an accelerated run left, in `FILE`.

    Attributes
    ----------
    ports : list of int
        Of radio, web address and broker: the journal knows them as parts of names.
    """

    done: Any
    programmes: list[Any]
    position_s: float
    random_state: Any
    ports: list[int]
    received: list[Counter[str]]


def left_by(folder: Path) -> Left | None:
    """What the pieces before left in a folder; None in a new one."""
    path = folder / FILE
    if not path.exists():
        return None
    left = pickle.loads(path.read_bytes())
    assert isinstance(left, Left)
    return left


def keep(soak: Soak) -> None:
    """Leave what the next piece needs. The station has ended."""
    ids = [soak.webhook.ids, *([soak.broker.ids] if soak.broker is not None else [])]
    left = Left(
        soak.done,
        [source.programme for source in soak.sources],
        soak.position_s,
        soak.random.getstate(),
        soak.ports,
        ids,
    )
    new = soak.folder / f"{FILE}.new"
    new.write_bytes(pickle.dumps(left))
    new.replace(soak.folder / FILE)
