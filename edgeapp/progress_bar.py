"""A progress bar on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")


def each(what: str, items: Sequence[T]) -> Iterator[T]:
    """The items, with a progress bar over them."""
    with progress(what, len(items)) as done:
        for item in items:
            yield item
            done(1)


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar where standard error is a terminal; yields the function to call with the items just done.

    The bar has a file descriptor of its own: standard error is captured while audio is decoded, because of the messages
    of decoders.
    """
    own = os.fdopen(os.dup(2), "w") if sys.stderr.isatty() else None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    more = () if total is None else (TimeRemainingColumn(),)
    console = Console(file=own or sys.stderr)
    with (
        own or nullcontext(),
        Progress(*columns, *more, console=console, transient=True, disable=own is None) as bar,
    ):
        task = bar.add_task(what, total=total)
        yield lambda items: bar.advance(task, items)
