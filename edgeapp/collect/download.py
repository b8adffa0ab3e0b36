"""Fetching all chosen files: several at once, no host faster than it bears, each result kept as soon as it is there."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from edgeapp import interruption
from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.client import LONGEST_WAIT_S, Client, FetchError, host_of
from edgeapp.collect.defaults import CONNECTIONS
from edgeapp.collect.pace import Stopped
from edgeapp.collect.progress import Progress
from edgeapp.collect.row import CHOSEN, Row
from edgeapp.collect.transfer import UNFINISHED, Fetched, Limits, Wanted, check_room, fetch
from edgeapp.errors import OutputError
from edgeapp.terminal import complain

LOCAL = "folder"  # the one source whose files lie here
WINDOW = 200  # rows of a source that are looked at to find a host that has time
SOON_S = 2.0  # hosts that want a longer pause take no thread
STEP_S = 0.5  # between two looks at what is done
SILENT = 3  # files in a row that a host does not answer for, before it is left alone in this run
TOLD = 20  # failures that are told one by one


@dataclass
class Outcome:
    """What a download came to.

    Attributes
    ----------
    files, bytes : int
        That were fetched.
    failed : int
    silent : set of str
        Hosts that did not answer; their files are left for the next run.
    """

    files: int = 0
    bytes: int = 0
    failed: int = 0
    silent: set[str] = field(default_factory=set)


def download(
    catalogue: Catalogue,
    client: Client,
    limits: Limits = Limits(),
    connections: int = CONNECTIONS,
    progress: Progress | None = None,
) -> Outcome:
    """Fetch every chosen row of a catalogue; a file that fails does not end the others.

    Parameters
    ----------
    catalogue : Catalogue
        Written by the calling thread alone.
    client : Client
        Its `stop` ends the run: what is being fetched stays where it is, for the next.
    connections : int
        Files at once, over all hosts.
    progress : Progress, optional

    Raises
    ------
    OutputError
        Nothing more can be written.
    KeyboardInterrupt
        All threads have ended.
    """
    run = _Run(catalogue, client, limits, connections, progress or Progress(0))
    try:
        with ThreadPoolExecutor(connections, thread_name_prefix="fetch") as pool:
            try:
                run.all(pool)
            except BaseException:
                client.pace.stop.set()
                raise
    finally:
        run.keep()
    return run.outcome


class _Run:
    """One call of `download`."""

    def __init__(
        self, catalogue: Catalogue, client: Client, limits: Limits, connections: int, progress: Progress
    ) -> None:
        self._catalogue, self._client, self._limits = catalogue, client, limits
        self._connections, self._progress = connections, progress
        self._unfinished = catalogue.folder / UNFINISHED
        self._lanes = [
            _Lane(catalogue.rows(CHOSEN, modality, source=source))
            for source, modality, *_ in catalogue.counts("source", "modality", where=f"state = '{CHOSEN}'")
        ]
        self._busy: Counter[str] = Counter()
        self._unanswered: Counter[str] = Counter()
        self._unreached: list[int] = []  # keys of files whose hosts did not answer
        self._reached = False  # whether any host answered: else it is the line
        self._going: dict[Future[Fetched], tuple[Row, str]] = {}
        self.outcome = Outcome()

    def all(self, pool: ThreadPoolExecutor) -> None:
        try:
            self._unfinished.mkdir(parents=True, exist_ok=True)
            check_room(self._unfinished, self._limits, 0)
            while self._submit(pool) or self._going or any(lane.waiting for lane in self._lanes):
                done, _ = wait(self._going, STEP_S, FIRST_COMPLETED) if self._going else (set(), None)
                if not self._going:
                    self._client.pace.stop.wait(STEP_S / 10)  # every host that is left wants a pause
                for future in done:
                    with interruption.held():
                        self._finish(future)
                self._progress.tell()
        except OSError as error:
            raise OutputError(
                f"{self._catalogue.folder}: cannot be written ({error.strerror or error})",
                "check the folder and the free space; the same command goes on",
            ) from None
        finally:
            self._progress.clear()

    def keep(self) -> None:
        """Note what came while the run was ended by something else, and count what hosts did not answer for."""
        for future in list(self._going):
            if future.done() and not future.cancelled() and future.exception() is None:
                self._came(*self._going[future], future.result())
        if self._reached:
            self._catalogue.attempted(self._unreached)

    def _submit(self, pool: ThreadPoolExecutor) -> bool:
        """Begin what can begin now; whether there was anything."""
        begun = False
        for lane in self._lanes:
            lane.fill()
            while len(self._going) < self._connections and (row := lane.take(self._may_begin)) is not None:
                host = _host(row)
                if host in self.outcome.silent:
                    continue
                self._busy[host] += 1
                self._going[pool.submit(self._fetch, row)] = row, host
                begun = True
        return begun

    def _may_begin(self, row: Row) -> bool:
        host = _host(row)
        if not host or host in self.outcome.silent:
            return True
        pace = self._client.pace
        return self._busy[host] < pace.manners(host).connections and pace.delay_s(host) < SOON_S

    def _fetch(self, row: Row) -> Fetched:
        medium = row.medium
        name = file_name(row)
        wanted = Wanted(
            url=medium.url,
            target=self._catalogue.folder / medium.modality / _folder(row.taxon) / name,
            unfinished=self._unfinished / name,
            modality=medium.modality,
            size=medium.size,
            checksum=medium.checksum,
            local=medium.source == LOCAL,
        )
        return fetch(self._client, wanted, self._limits, self._progress.came)

    def _finish(self, future: Future[Fetched]) -> None:
        row, host = self._going.pop(future)
        self._busy[host] -= 1
        try:
            fetched = future.result()
        except Stopped:
            return
        except FetchError as error:
            self._fail(row, host, error)
            return
        self._came(row, host, fetched)
        self._progress.finished()

    def _came(self, row: Row, host: str, fetched: Fetched) -> None:
        self._unanswered[host] = 0
        self._reached |= host != ""
        path = fetched.path.relative_to(self._catalogue.folder).as_posix()
        self._catalogue.downloaded(row.key, path, fetched.sha256, fetched.n_bytes)
        self.outcome.files += 1
        self.outcome.bytes += fetched.n_bytes

    def _fail(self, row: Row, host: str, error: FetchError) -> None:
        self._unanswered[host] = self._unanswered[host] + 1 if error.unreachable else 0
        if self._unanswered[host] >= SILENT and host not in self.outcome.silent:
            self.outcome.silent.add(host)
            self._tell(f"{host} does not answer; its other files are left for the next run")
        if host not in self.outcome.silent and self._client.pace.pause_left_s(host) > LONGEST_WAIT_S:
            self.outcome.silent.add(host)
            self._tell(f"{host} asks for a long pause; its other files are left for the next run")
        if error.unreachable:
            self._unreached.append(row.key)
        else:
            self._reached |= host != ""
        self._catalogue.failed(row.key, error.what, error.lasting, counts=not (error.unreachable or error.paused))
        self.outcome.failed += 1
        self._progress.finished(failed=True)
        if self.outcome.failed <= TOLD:
            self._tell(f"{self._client.shown(row.medium.url)}: {error.what}")

    def _tell(self, line: str) -> None:
        self._progress.clear()
        complain(line)


class _Lane:
    """The chosen rows of one source and modality, of which a few are looked ahead at."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.waiting: deque[Row] = deque()

    def fill(self) -> None:
        while len(self.waiting) < WINDOW and (row := next(self._rows, None)) is not None:
            self.waiting.append(row)

    def take(self, may_begin: Callable[[Row], bool]) -> Row | None:
        """The first row that may begin."""
        for n, row in enumerate(self.waiting):
            if may_begin(row):
                del self.waiting[n]
                return row
        return None


def file_name(row: Row) -> str:
    """Name of a row's file without its extension: ``xeno-canto_254462``, its own on every file system.

    Identifiers with capitals get the row's number, since some file systems do not tell ``A`` from ``a``.
    """
    medium = row.medium
    words = re.sub(r"[^A-Za-z0-9.-]+", "_", medium.id).strip("._")
    if words == medium.id == medium.id.lower() and len(words) <= 80:
        return f"{medium.source}_{words}"
    return f"{medium.source}_{words[:60].strip('._')}_{row.key}"


def _folder(taxon: str) -> str:
    return re.sub(r"[^\w-]+", "_", taxon).strip("_")[:120] or "unnamed"


def _host(row: Row) -> str:
    return "" if row.medium.source == LOCAL else host_of(row.medium.url)
