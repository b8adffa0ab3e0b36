"""How much is to be fetched: files, species and bytes, as far as sizes are known, and about for the rest."""

from __future__ import annotations

from dataclasses import dataclass

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.client import Again, Client, FetchError
from edgeapp.collect.row import CHOSEN, DOWNLOADED

ASKED = 8  # files of a source and modality whose server is asked for their size


@dataclass(frozen=True)
class Estimate:
    """What a run would fetch.

    Attributes
    ----------
    files : dict of str to int
        By modality.
    species : int
    bytes : float
        Of all of them.
    guessed : int
        Files whose size is that of others.
    unknown : int
        Files of which not even that is known; `bytes` is without them.
    here, here_bytes : int
        Files that are chosen and here already.
    """

    files: dict[str, int]
    species: int
    bytes: float
    guessed: int
    unknown: int
    here: int
    here_bytes: int


def estimated(catalogue: Catalogue, client: Client | None = None) -> Estimate:
    """What is chosen and not here; with a client, servers are asked for the sizes of a few files."""
    chosen = {(source, modality): n for source, modality, n, _ in catalogue.counts(*_BY, where=f"state = '{CHOSEN}'")}
    sized = {(source, modality): (n, size) for source, modality, n, size in catalogue.counts(*_BY, where=_SIZED)}
    known = {
        (source, modality): size / n
        for source, modality, n, size in catalogue.counts(*_BY, where="bytes IS NOT NULL AND bytes > 0")
    }
    total, guessed, unknown = 0.0, 0, 0
    files: dict[str, int] = {}
    for lane, n in chosen.items():
        files[lane[1]] = files.get(lane[1], 0) + n
        n_sized, size = sized.get(lane, (0, 0))
        total += size
        rest = n - n_sized
        if not rest:
            continue
        mean = known.get(lane) or (size / n_sized if n_sized else 0.0)
        mean = mean or (_mean_size(catalogue, client, *lane, rest) if client is not None else 0.0)
        if mean:
            total += rest * mean
            guessed += rest
        else:
            unknown += rest
    [(here, here_bytes)] = catalogue.counts(where=f"state = '{DOWNLOADED}'")
    species = catalogue.taxa(f"state = '{CHOSEN}'")
    return Estimate(files, species, total, guessed, unknown, here, here_bytes)


_BY = ("source", "modality")
_SIZED = f"state = '{CHOSEN}' AND size IS NOT NULL"


def _mean_size(catalogue: Catalogue, client: Client, source: str, modality: str, n: int) -> float:
    """Mean size of a few of the n files of a source, in bytes, as their servers tell it; 0 where they tell none."""
    step = max(1, n // ASKED)
    sizes: list[int] = []
    for at, row in enumerate(catalogue.rows(CHOSEN, modality, source, where="size IS NULL")):
        if at % step:
            continue
        if len(sizes) >= ASKED or at >= step * ASKED:
            break
        try:
            with client.open(row.medium.url, verb="HEAD") as answer:
                length = answer.headers.get("Content-Length", "")
        except (Again, FetchError):
            continue
        if length.isdigit() and int(length):
            sizes.append(int(length))
    return sum(sizes) / len(sizes) if sizes else 0.0
