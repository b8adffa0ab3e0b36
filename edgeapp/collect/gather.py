"""Asking sources what they have, once: what was asked to its end is remembered, and what was cut goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.client import FetchError
from edgeapp.collect.medium import Source
from edgeapp.errors import CollectError
from gallery.utc import now_text

ASKED, ENDED = "asked", "ended"  # how the memory of a query begins, and what it has at the query's end
SILENT = 3  # queries in a row without an answer, or refused alike, after which a source is left in this run


@dataclass
class Gathered:
    """What sources offered.

    Attributes
    ----------
    new : int
        Media that were not known.
    queries, known : int
        That were asked in this run, and that were asked to their end in an earlier one.
    errors : list of CollectError
        Of queries that could not be asked to their end; what came before is kept.
    """

    new: int = 0
    queries: int = 0
    known: int = 0
    errors: list[CollectError] = field(default_factory=list)


def gather(
    catalogue: Catalogue,
    source: Source,
    again: bool = False,
    told: Callable[[str, int], None] = lambda query, n: None,
    enough: int | None = None,
) -> Gathered:
    """Put into a catalogue what a source offers; a query that fails does not end the others.

    Parameters
    ----------
    again : bool
        Ask what was asked to its end as well.
    told : callable
        Told the query and the number of new media after each page.
    enough : int, optional
        Media of a query that are wanted; it is not asked further then.
    """
    gathered, silent = Gathered(), 0
    for query in source.queries():
        name = f"{ASKED} {source.name} {query}"
        begin = catalogue.fact(name)
        if begin.startswith(ENDED):
            if not again:
                gathered.known += 1
                continue
            begin = ""
        gathered.queries += 1
        try:
            left = enough
            for page in source.pages(query, begin):
                media = list(islice(page.media, left)) if left is not None else page.media
                gathered.new += catalogue.offer(media)
                left = left - len(media) if left is not None and isinstance(media, list) else None
                then = page.then if left is None or left > 0 else ""
                catalogue.set_fact(name, then or f"{ENDED} {now_text('seconds')}")
                told(query, gathered.new)
                if not then:
                    break
            silent = 0
        except CollectError as error:
            # A key that is refused is refused for every query; a name that is unknown is not.
            alike = bool(gathered.errors) and gathered.errors[-1].what == error.what
            passing = isinstance(error, FetchError) and not error.lasting
            silent = silent + 1 if alike or passing else 1
            gathered.errors.append(error)
            if silent == SILENT:
                gathered.errors.append(
                    CollectError(f"{source.name}: its other queries are left for the next run", "repeat the command")
                )
                break
    return gathered
