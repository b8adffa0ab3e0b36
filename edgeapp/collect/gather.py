"""Asking sources what they have, once: what was asked to its end is remembered, and what was cut goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.client import FetchError
from edgeapp.collect.medium import Source
from edgeapp.errors import CollectError
from gallery.utc import now_text

ASKED, ENDED = "asked", "ended"  # how the memory of a query begins, and what it has at the query's end
PAUSED = "paused"  # what it has where enough came, with that number and where the query goes on
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
        Media of a query that are wanted; it is not asked for more pages then.
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
        left = enough
        if begin.startswith(PAUSED):
            _, had, begin = begin.split(" ", 2)
            if enough is not None and enough <= int(had) and not again:
                gathered.known += 1
                continue
            if again:
                begin = ""
            elif enough is not None:
                left = enough - int(had)
        gathered.queries += 1
        before = catalogue.count() - gathered.new
        try:
            for page in source.pages(query, begin):
                media = page.media if left is None else list(page.media)
                gathered.new += catalogue.offer(media)
                if left is not None and isinstance(media, list):
                    left -= len(media)
                full = left is not None and left <= 0 and bool(page.then)
                then = f"{PAUSED} {enough} {page.then}" if full else page.then
                catalogue.set_fact(name, then or f"{ENDED} {now_text('seconds')}")
                told(query, gathered.new)
                if full:
                    break
            silent = 0
        except CollectError as error:
            gathered.new = catalogue.count() - before  # with those of the page that it broke off
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
