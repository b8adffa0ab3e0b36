"""The table people read: what was decided, the likeliest species with bars, and what was heard when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgeapp.outputs.words import clock, in_words, printable

if TYPE_CHECKING:
    from edgeapp.recognition.pipeline import Identification, WindowResult, WindowSummary
    from gallery.decision import RankedSpecies

BAR_CELLS = 20  # one cell is 5 %
SPANS_SHOWN = 40  # a day of windows is for ndjson, not for a screen
EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True)
class _Span:
    """Windows one after the other with the same words."""

    start_s: float
    end_s: float
    words: str
    known: bool


class TableWriter:
    """See `edgeapp.outputs.writer.Writer`. Colours only on a terminal."""

    def __init__(self, out: TextIO) -> None:
        # rich assumes 80 columns where there is no terminal; a pipe has no width to wrap at.
        self._console = Console(file=out, highlight=False, width=None if out.isatty() else 120)
        self._plain = "utf" not in (out.encoding or "utf-8").lower()
        self._files = 0
        self._start_timeline()

    def begin(self, file: str, rate_hz: int) -> None:
        """Start a new timeline."""
        self._start_timeline()

    def _start_timeline(self) -> None:
        self._spans: list[_Span] = []
        self._last: _Span | None = None
        self._n_spans = 0

    def window(self, result: WindowResult, summary: WindowSummary) -> None:
        """Lengthen the last span, or start another."""
        words = in_words(result.decision, summary.inside, result.heard)
        if self._last is not None and self._last.words == words:
            self._last = replace(self._last, end_s=summary.end_s)
            return
        self._keep_last()
        self._last = _Span(summary.start_s, summary.end_s, words, result.decision is not None)

    def finish(self, identification: Identification) -> None:
        """Print the file."""
        self._keep_last()
        if self._files:
            self._print(Text())
        self._files += 1
        head = Text(printable(identification.file), style="bold")
        head.append(f"  {clock(identification.duration_s)}", style="dim")
        self._print(head)
        self._print(self._decision(identification))
        if identification.species:
            self._print(self._species(identification.species))
        if self._n_spans > 1:
            self._print(self._timeline())

    def fail(self, file: str, reason: str) -> None:
        """Nothing: the reason is on stderr."""

    def _keep_last(self) -> None:
        if self._last is not None:
            self._n_spans += 1
            if len(self._spans) < SPANS_SHOWN:
                self._spans.append(self._last)

    def _decision(self, identification: Identification) -> Text:
        words = in_words(identification.decision, identification.inside, identification.heard)
        if identification.decision is None:
            return Text(words, style="yellow")
        return Text.assemble((words, "bold green"), f"  {identification.decision.mass:.0%}")

    def _species(self, species: tuple[RankedSpecies, ...]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title, justify in (("", "right"), ("species", "left"), ("scientific name", "left")):
            table.add_column(title, justify=justify)  # type: ignore[arg-type]
        table.add_column("probability", no_wrap=True)
        table.add_column("similarity", justify="right")
        for one in species:
            table.add_row(
                str(one.rank),
                Text(one.common_name or "-"),
                Text(one.scientific_name, style="italic"),
                Text.assemble((self._bar(one.probability), "green"), f" {one.probability:6.1%}"),
                f"{one.similarity:.2f}",
            )
        return table

    def _timeline(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("from", justify="right")
        table.add_column("to", justify="right")
        table.add_column("heard")
        for span in self._spans:
            style = "" if span.known else "dim"
            table.add_row(clock(span.start_s), clock(span.end_s), Text(span.words), style=style)
        if self._n_spans > len(self._spans):
            table.add_row("", "", Text(f"… {self._n_spans - len(self._spans)} more, see --format ndjson", style="dim"))
        return table

    def _bar(self, share: float) -> str:
        cells = max(0.0, min(1.0, float(share))) * BAR_CELLS
        if self._plain:
            return ("#" * round(cells)).ljust(BAR_CELLS)
        full = int(cells)
        part = EIGHTHS[int((cells - full) * 8)] if full < BAR_CELLS else ""
        return ("█" * full + part).ljust(BAR_CELLS)

    def _print(self, what: Text | Table) -> None:
        self._console.print(what, soft_wrap=isinstance(what, Text))
