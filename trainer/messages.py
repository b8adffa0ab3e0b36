"""Messages of a run on standard error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from trainer.ranks import Ranks


def line_printer(console: Console) -> Callable[[str], None]:
    """A function that prints a line on a console, as it is."""
    return lambda line: console.print(line, highlight=False, soft_wrap=True, markup=False)


class Messages:
    """Messages of a session, printed by the first of its processes.

    Attributes
    ----------
    failed : one line for each input that could not be used
    """

    ranks: Ranks
    console: Console
    failed: list[str]

    def tell(self, line: str) -> None:
        """Print a line."""
        if self.ranks.first:
            line_printer(self.console)(line)

    def report(self, lines: Sequence[str]) -> None:
        """Print what could not be used, each line once."""
        new = [line for line in lines if line not in self.failed]
        self.failed += new
        for line in new:
            self.tell(line)
