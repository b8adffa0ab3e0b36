"""What a run says on standard error."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from trainer.ranks import Ranks


class Messages:
    """Lines for a person, said once for all processes of a run.

    Attributes
    ----------
    failed : what could not be used so far
    """

    ranks: Ranks
    console: Console
    failed: list[str]

    def tell(self, line: str) -> None:
        """Say a line on stderr, once for all processes."""
        if self.ranks.first:
            self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def report(self, lines: Sequence[str]) -> None:
        """Say on stderr what could not be used, once."""
        new = [line for line in lines if line not in self.failed]
        self.failed += new
        for line in new:
            self.tell(line)
