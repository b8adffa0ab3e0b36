"""From fetched files to a data set: looked at, divided, with traits, a manifest and a card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeapp.collect.card import Told, write_card
from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.duplicates import leave_out_content
from edgeapp.collect.inspection import inspect
from edgeapp.collect.manifest import Written, write_manifest
from edgeapp.collect.notes import SPEECH
from edgeapp.collect.row import DOWNLOADED
from edgeapp.collect.splits import Division
from edgeapp.collect.taxonomy.backbone import Backbone
from edgeapp.collect.traits.avonet import from_avonet
from edgeapp.collect.traits.elton import from_elton
from edgeapp.collect.traits.joined import JoinedTraits, joined
from edgeapp.collect.traits.schema import TraitTable, read_traits
from edgeapp.errors import UsageError
from edgeapp.progress_line import Counting
from gallery.utc import now_text

TRAITS = "traits.csv"


@dataclass(frozen=True)
class Finish:
    """What becomes of fetched files.

    Attributes
    ----------
    division : Division
    speech : bool
        Listen for speech.
    without : tuple of str
        Of `edgeapp.collect.notes.WORDS`.
    traits : Path or None
        Table of one's own, which is trusted most.
    avonet : Path or None
    elton : tuple of Path
        EltonTraits' tables of birds and mammals.
    settings : sequence of (str, str)
        What was asked for, for the card.
    """

    division: Division = Division()
    speech: bool = True
    without: tuple[str, ...] = ()
    traits: Path | None = None
    avonet: Path | None = None
    elton: tuple[Path, ...] = ()
    settings: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        if SPEECH in self.without and not self.speech:
            raise UsageError("--without speech needs to listen for it", "leave --no-speech out")

    def tables(self) -> list[TraitTable]:
        """The tables of traits, the most trusted first.

        Raises
        ------
        UsageError
            One cannot be read.
        """
        own = [read_traits(self.traits)] if self.traits is not None else []
        avonet = [from_avonet(self.avonet)] if self.avonet is not None else []
        return [*own, *avonet, *map(from_elton, self.elton)]


def finish(
    catalogue: Catalogue,
    backbone: Path | None,
    asked: Finish = Finish(),
    tell: Callable[[str], None] = lambda line: None,
) -> Written:
    """Make a data set of what is here; every file is looked at once, whatever the number of runs.

    Parameters
    ----------
    catalogue : Catalogue
    backbone : Path or None
        As it was collected by.
    asked : Finish
    tell : callable
        Told remarks, one line each.

    Raises
    ------
    UsageError, OutputError, CollectError
    """
    tables = asked.tables()
    same = leave_out_content(catalogue)
    [(here, _)] = catalogue.counts(where=f"state = '{DOWNLOADED}'")
    with Counting("files looked at", here) as looked_at:
        unwanted = inspect(catalogue, asked.speech, asked.without, looked_at.more)
    if same or unwanted:
        tell(
            f"{same:,} files have the content of others, and {unwanted:,} are of no use; the same command draws others"
        )
    traits = _traits(catalogue, backbone, tables) if tables else None
    if traits is not None:
        traits.write(catalogue.folder / TRAITS)
    facts = {"backbone": catalogue.fact("backbone"), **dict(asked.settings)}
    with Counting("rows of the manifest") as rows:
        written = write_manifest(catalogue, asked.division, traits, facts, rows.more)
    told = Told(catalogue.folder.resolve().name, now_text("seconds"), asked.settings, asked.speech)
    write_card(catalogue, written, told, traits)
    return written


def _traits(catalogue: Catalogue, backbone: Path | None, tables: Sequence[TraitTable]) -> JoinedTraits:
    names = catalogue.taxon_names(f"state = '{DOWNLOADED}'")
    with Backbone.open(backbone, catalogue.folder) as opened:
        found = [opened.match(name).taxon for name in names]
    return joined([taxon for taxon in found if taxon is not None], tables)
