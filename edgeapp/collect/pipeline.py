"""The way of a collection: sources, names, licences, choice, download, check.

Every run takes the whole way. What was asked is not asked again, what is here is not fetched again, and all decisions
are made anew from what the catalogue has, so that a run with other terms or limits changes the choice and no more.
"""

from __future__ import annotations

import csv
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.client import Client
from edgeapp.collect.curation import curate
from edgeapp.collect.download import download
from edgeapp.collect.estimate import estimated
from edgeapp.collect.gather import gather
from edgeapp.collect.plan import Plan
from edgeapp.collect.progress import Progress
from edgeapp.collect.row import DOWNLOADED, FAILED, LEFT_OUT, OFFERED
from edgeapp.collect.sources import open_source
from edgeapp.collect.sources.kind import Setting
from edgeapp.collect.taxonomy.backbone import Backbone
from edgeapp.errors import CollectError, OutputError, UsageError
from edgeapp.progress_line import Counting
from edgeapp.terminal import complain
from gallery import files, locks
from gallery.licences import spdx

LOCK = "collection.lock"
FAILURES = "failures.csv"
ROUNDS = 5  # of choosing others for what failed for good
LAST = "commons"  # asks for the species that the other sources have
NOT_WANTED = "not among the species that are wanted"
OTHER_MODALITY = "not of the modality that is wanted"

Tell = Callable[[str], None]


@dataclass
class Report:
    """What a run came to.

    Attributes
    ----------
    fetched, bytes, failed : int
        Files of this run.
    silent : set of str
        Hosts that did not answer; their files are left for the next run.
    errors : list of CollectError
        Of sources.
    """

    fetched: int = 0
    bytes: int = 0
    failed: int = 0
    silent: set[str] = field(default_factory=set)
    errors: list[CollectError] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether all that was chosen is here, and every source was asked to its end."""
        return not (self.failed or self.silent or self.errors)


@contextmanager
def opened(plan: Plan, tell: Tell = complain) -> Iterator[Collection]:
    """A collection that no other process changes meanwhile.

    Raises
    ------
    UsageError
        Another process is at work on it.
    OutputError
        The folder or a database in it cannot be written, whatever is done with the collection.
    CollectError
    """
    try:
        plan.output.mkdir(parents=True, exist_ok=True)
        handle = os.open(plan.output / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OutputError(f"{plan.output}: cannot be written ({error.strerror})", "choose another folder") from None
    try:
        if not locks.take_now(handle):
            raise UsageError(f"{plan.output}: another process collects into it", "wait for it, or end it")
        stop = threading.Event()
        with Catalogue.open(plan.output) as catalogue, Client(plan.per_s, stop=stop) as client:
            yield Collection(plan, catalogue, client, tell)
    except sqlite3.Error as error:
        raise OutputError(
            f"{plan.output}: the catalogue cannot be read or written ({error})",
            "check the disk and its free space; the same command goes on",
        ) from None
    finally:
        os.close(handle)


class Collection:
    """The steps of a run, on an open catalogue."""

    def __init__(self, plan: Plan, catalogue: Catalogue, client: Client, tell: Tell = complain) -> None:
        self.plan, self.catalogue, self.client, self._tell = plan, catalogue, client, tell
        self.report = Report()

    def gather(self) -> None:
        """Ask every source of the plan what it has."""
        setting = Setting(
            client=self.client,
            modalities=self.plan.modalities,
            groups=self.plan.groups,
            addresses=self.plan.all_addresses(),
            key=self.plan.key,
            photo_size=self.plan.photo_size,
            enough=self.plan.enough,
            tell=self._tell,
        )
        if self.plan.again:
            self.catalogue.forgive()
        # What cannot be is refused before anything is asked.
        for name, what in self.plan.sources:
            open_source(name, what, replace(setting, species=self.plan.species))
        species = self._asked_for()
        for name, what in sorted(self.plan.sources, key=lambda source: source[0] == LAST):
            if name == LAST and not species:
                self.decide()
                species = tuple(self.catalogue.taxon_names(f"state <> '{LEFT_OUT}'"))
            source = open_source(name, what, replace(setting, species=species))
            gathered = gather(self.catalogue, source, self.plan.again, self._told(name), self.plan.enough)
            self.report.errors += gathered.errors
            for error in gathered.errors:
                self._tell(str(error))
            known = f"; {gathered.known:,} queries were asked before" if gathered.known else ""
            self._tell(f"{name}: {gathered.new:,} new media{known}")

    def decide(self) -> None:
        """Match names, compare licences, and choose, from all that is known."""
        catalogue, plan = self.catalogue, self.plan
        catalogue.reconsider()
        with self._backbone() as backbone, catalogue.transaction():
            wanted = {match.taxon.scientific_name for name in plan.species if (match := backbone.match(name)).taxon}
            wanted |= set(plan.species)
            groups = {name.casefold() for name in plan.groups}
            catalogue.set_fact("backbone", backbone.name)
            for name, ranks, _ in list(catalogue.names()):
                match = backbone.match(name, ranks)
                if match.taxon is None:
                    catalogue.match(name, ranks, "", reason=match.reason)
                    continue
                taxon = match.taxon.scientific_name
                lineage = {one.casefold() for one in match.ranks.values()}
                out = (plan.species and taxon not in wanted) or (groups and not groups & lineage)
                catalogue.match(name, ranks, taxon, match.ranks, match.taxon.common_name, NOT_WANTED if out else "")
        with catalogue.transaction():
            for text in catalogue.licences():
                licence = spdx(text)
                catalogue.license(text, licence, plan.terms.objection(licence))
            for modality in {"audio", "image"} - set(plan.modalities):
                catalogue.leave_out((row.key for row in catalogue.rows(OFFERED, modality)), OTHER_MODALITY)
        curate(catalogue, plan.rules)

    def fetch(self) -> None:
        """Fetch what is chosen; others are chosen for what failed for good."""
        self._check_files()
        for _ in range(ROUNDS):
            files_left, size = self._left()
            if not files_left:
                break
            progress = Progress(files_left, size)
            outcome = download(self.catalogue, self.client, self.plan.limits, self.plan.connections, progress)
            self.report.fetched += outcome.files
            self.report.bytes += outcome.bytes
            self.report.failed += outcome.failed
            self.report.silent |= outcome.silent
            if not outcome.failed or outcome.silent:
                break
            waiting = [row for row in self.catalogue.rows(FAILED) if not row.lasting]
            self.decide()
            self.catalogue.fail_as_before(waiting)
        self._list_failures()

    def _asked_for(self) -> tuple[str, ...]:
        """The names that are asked for: as listed, and as the backbone accepts them.

        Raises
        ------
        UsageError
            The backbone has none of the names, or not a group that is wanted.
        """
        names: dict[str, None] = {}
        unknown = []
        with self._backbone() as backbone:
            for group in self.plan.groups:
                if not backbone.has(group):
                    raise UsageError(
                        f"--only {group!r}: the taxonomy has no such taxon", "write a scientific name, such as Aves"
                    )
            for name in self.plan.species:
                names[name] = None
                taxon = backbone.match(name).taxon
                if taxon is None:
                    unknown.append(name)
                else:
                    names[taxon.scientific_name] = None
        if unknown:
            some = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
            if len(unknown) == len(self.plan.species):
                raise UsageError(f"species list: no name is in the taxonomy: {some}", "write scientific names")
            self._tell(f"species list: {len(unknown):,} names are not in the backbone, and get nothing: {some}")
        return tuple(names)

    def _backbone(self) -> Backbone:
        with Counting("names of the taxonomy") as names:
            return Backbone.open(self.plan.backbone, self.plan.output, names.at)

    def _check_files(self) -> None:
        """What is not there any more, or is not whole, is to be fetched again."""
        gone = 0
        for row in self.catalogue.rows(DOWNLOADED):
            try:
                whole = (self.catalogue.folder / row.path).stat().st_size == row.bytes
            except OSError:
                whole = False
            if not whole:
                self.catalogue.gone(row.key)
                gone += 1
        if gone:
            self._tell(f"{self.catalogue.folder}: {gone:,} files are gone or cut, and are fetched again")

    def _left(self) -> tuple[int, float]:
        """Files that are to be fetched, and their bytes, about; 0 where that is not known of all of them."""
        found = estimated(self.catalogue)
        return sum(found.files.values()), 0.0 if found.unknown else found.bytes

    def _list_failures(self) -> None:
        path = self.catalogue.folder / FAILURES
        [(n, _)] = self.catalogue.counts(where=f"state = '{FAILED}'")
        if not n:
            path.unlink(missing_ok=True)
            return
        with files.replacing(path) as part, part.open("w", encoding="utf-8", newline="") as out:
            table = csv.writer(out)
            table.writerow(("source", "id", "taxon", "modality", "url", "reason", "attempts"))
            for row in self.catalogue.rows(FAILED):
                medium = row.medium
                known = (medium.source, medium.id, row.taxon, medium.modality, medium.url)
                table.writerow((*known, row.reason, row.attempts))
        self._tell(f"{n:,} files could not be fetched; {path} has them with the reasons")

    def _told(self, name: str) -> Callable[[str, int], None]:
        at = [0]

        def told(query: str, n: int) -> None:
            at[0] += 1
            if at[0] % 50 == 0:
                self._tell(f"{name}: {at[0]:,} pages, {n:,} new media so far")

        return told
