"""The table people read: what was detected and when, and the likeliest species with bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgeapp.detections.pictures import pictures_of
from edgeapp.file_names import printable
from edgeapp.outputs.pictures import show
from edgeapp.outputs.words import NOTHING_HEARD, NOTHING_KNOWN, clock, in_words
from edgeapp.outputs.writer import Recording, Run
from edgeapp.terminal import complain

if TYPE_CHECKING:
    from edgeapp.recognition.results import Identification, Stretch, WindowResult
    from gallery.recognition import Candidate
    from gallery.store import Gallery

BAR_CELLS = 20  # one cell is 5 %
SHOWN = 40  # detections; a day of them is for ndjson, not for a screen
EIGHTHS = " ▏▎▍▌▋▊▉"


class _Console(Console):
    """One that leaves it to the command line what follows when its reader has left."""

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled."""
        raise


class TableWriter:
    """See `edgeapp.outputs.writer.Writer`. Colours only on a terminal."""

    def __init__(self, out: TextIO, run: Run) -> None:
        # rich assumes 80 columns where there is no terminal; a pipe has no width to wrap at.
        self._console = _Console(file=out, highlight=False, width=None if out.isatty() else 120)
        self._plain = "utf" not in (out.encoding or "utf-8").lower()
        self._gallery = run.gallery
        self._files = 0
        self._channel: int | None = None
        self._stretches: list[Stretch] = []
        self._surest: dict[tuple[str, ...], Stretch] = {}  # of each taxon, for its pictures
        self._detected = 0

    def begin(self, recording: Recording) -> None:
        """Forget the detections of a file that failed half way."""
        self._channel = recording.channel
        self._stretches, self._surest, self._detected = [], {}, 0

    def window(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """Nothing: rows are of detections."""

    def detection(self, stretch: Stretch) -> None:
        """Keep the first of them."""
        self._detected += 1
        if len(self._stretches) < SHOWN:
            self._stretches.append(stretch)
        if self._gallery is not None:
            path = stretch.detection.path
            before = self._surest.get(path)
            if before is None or stretch.detection.confidence > before.detection.confidence:
                self._surest[path] = stretch

    def finish(self, identification: Identification) -> None:
        """Print the file."""
        if self._files:
            self._print(Text())
        self._files += 1
        head = Text(printable(identification.file), style="bold")
        channel = "" if self._channel is None else f"  channel {self._channel}"
        head.append(f"{channel}  {clock(identification.duration_s)}", style="dim")
        self._print(head)
        if self._detected:
            self._print(self._detections())
        else:
            self._print(Text(NOTHING_KNOWN if identification.heard else NOTHING_HEARD, style="yellow"))
        if identification.species:
            self._print(self._species(identification.species))
        if self._gallery is not None and self._surest:
            self._pictures(self._gallery)

    def fail(self, file: str, reason: str) -> None:
        """Nothing: the reason is on stderr."""

    def _detections(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("from", justify="right")
        table.add_column("to", justify="right")
        table.add_column("detected")
        table.add_column("confidence", justify="right")
        for stretch in self._stretches:
            table.add_row(
                clock(stretch.start_s),
                clock(stretch.end_s),
                Text(printable(in_words(stretch.detection)), style="bold green"),
                f"{stretch.detection.confidence:.0%}",
            )
        if self._detected > len(self._stretches):
            more = f"… {self._detected - len(self._stretches)} more, see --format ndjson"
            table.add_row("", "", Text(more, style="dim"), "")
        return table

    def _pictures(self, gallery: Gallery) -> None:
        """The pictures of each detected taxon, the surest taxon first."""
        for stretch in sorted(self._surest.values(), key=lambda one: -one.detection.confidence):
            self._print(Text())
            self._print(Text(printable(in_words(stretch.detection)), style="bold green"))
            shown = pictures_of(gallery, stretch.detection, stretch.vector)
            if shown:
                show(self._console, gallery, shown, complain)
            else:
                self._print(Text("no pictures in the gallery", style="dim"))

    def _species(self, species: Sequence[Candidate]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title, justify in (("", "right"), ("likeliest species", "left"), ("scientific name", "left")):
            table.add_column(title, justify=justify)  # type: ignore[arg-type]
        table.add_column("confidence", no_wrap=True)
        table.add_column("similarity", justify="right")
        for place, one in enumerate(species, start=1):
            table.add_row(
                str(place),
                Text(printable(one.common_name) or "-"),
                Text(printable(one.scientific_name), style="italic"),
                Text.assemble((self._bar(one.confidence), "green"), f" {one.confidence:6.1%}"),
                f"{one.similarity:.2f}",
            )
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
