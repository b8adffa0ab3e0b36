"""Species of an archive by site, month, day and hour, with the effort: how long was listened there and then.

Detections are counted where and when they began, sound where and when it was recorded: a recording that goes on into
another hour counts in both. Tables are read a piece at a time; what stays in memory is a line of the summary each.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo
from typing import TYPE_CHECKING

import numpy as np

from edgeapp.archive.queries.calendar import PERIODS, Calendar, quarters_of, spread, times_ms
from edgeapp.archive.queries.selection import Selection
from edgeapp.archive.results.dataset import DETECTIONS, FILES, WINDOWS, DataSet

if TYPE_CHECKING:
    import pyarrow as pa

SITE = "site"
KEYS = (SITE, *PERIODS)
COLUMNS_OF_DETECTIONS = (
    "file_id",
    "source_file",
    "time",
    "clock",
    "start_s",
    "end_s",
    "taxon_rank",
    "taxon_scientific_name",
    "taxon_common_name",
    "confidence",
)

Key = tuple[str, ...]


@dataclass(frozen=True, order=True)
class TaxonName:
    """A taxon of an archive; species come before groups."""

    rank: str
    scientific_name: str
    common_name: str = field(default="", compare=False)


@dataclass
class Effort:
    """What was listened to.

    Attributes
    ----------
    seconds : float
        Of sound.
    recordings, silent, failed : int
        Recordings that began there and then; of these, how many were never above the level of silence; and how many
        could not be read besides.
    windows, silent_windows : int
        Zero where the archive has no windows.
    """

    seconds: float = 0.0
    recordings: int = 0
    silent: int = 0
    failed: int = 0
    windows: int = 0
    silent_windows: int = 0

    @property
    def hours(self) -> float:
        """Of sound."""
        return self.seconds / 3600


@dataclass
class Count:
    """Detections of one taxon.

    Attributes
    ----------
    detections, recordings : int
    confidence : float
        Of the most confident one.
    confidences : float
        Sum of all.
    seconds : float
        Of all.
    first_ms, last_ms : int or None
        Time of the first and the last one, since 1970; None where that is not known of any.
    """

    detections: int = 0
    recordings: int = 0
    confidence: float = 0.0
    confidences: float = 0.0
    seconds: float = 0.0
    first_ms: int | None = None
    last_ms: int | None = None


@dataclass(frozen=True)
class Summary:
    """What an archive has.

    Attributes
    ----------
    keys : tuple of str
        By what it is broken down, of `KEYS`.
    counts : dict of (key, TaxonName) to Count
    effort : dict of key to Effort
    """

    keys: tuple[str, ...]
    counts: dict[tuple[Key, TaxonName], Count]
    effort: dict[Key, Effort]

    @property
    def detections(self) -> int:
        """Of all taxa."""
        return sum(one.detections for one in self.counts.values())

    @property
    def total(self) -> Effort:
        """Over all keys."""
        found = Effort()
        for one in self.effort.values():
            found.seconds += one.seconds
            for name in ("recordings", "silent", "failed", "windows", "silent_windows"):
                setattr(found, name, getattr(found, name) + getattr(one, name))
        return found

    def lines(self) -> Iterator[tuple[Key, TaxonName | None, Count, Effort]]:
        """One for each key and taxon, the most frequent first; one without a taxon where nothing was detected."""
        by_key: dict[Key, list[tuple[TaxonName, Count]]] = {key: [] for key in self.effort}
        for (key, name), count in self.counts.items():
            by_key.setdefault(key, []).append((name, count))
        for key in sorted(by_key):
            effort = self.effort.get(key, Effort())
            found = sorted(by_key[key], key=lambda one: (-one[1].detections, one[0]))
            for name, count in found:
                yield key, name, count, effort
            if not found:
                yield key, None, Count(), effort


class Sites:
    """Sites of recordings: the folders that they lie in, from that which all lie in.

    Parameters
    ----------
    data : DataSet
    depth : int or None
        How many folders of the path, all when None.

    Attributes
    ----------
    common : str
        The folder that all recordings lie in, as the archive has it.
    """

    def __init__(self, data: DataSet, depth: int | None = None) -> None:
        folders: set[str] = set()
        for batch in data.batches(FILES, ["file"]):
            folders.update(os.path.dirname(file) for file in batch["file"].unique().to_pylist())
        try:
            self.common = os.path.commonpath(sorted(folders)) if folders else ""
        except ValueError:  # relative ones and absolute ones, or of several drives
            self.common = ""
        self._depth = depth

    def of(self, file: str) -> str:
        """That of a recording; ``.`` for the folder that all lie in."""
        folder = os.path.dirname(file)
        inner = os.path.relpath(folder, self.common) if self.common else folder or os.curdir
        if self._depth is not None:
            inner = os.sep.join(inner.split(os.sep)[: self._depth])
        return inner


def summary(
    data: DataSet,
    keys: Sequence[str] = (),
    selection: Selection | None = None,
    zone: tzinfo | None = timezone.utc,
    sites: Sites | None = None,
) -> Summary:
    """Sum an archive up.

    Parameters
    ----------
    data : DataSet
    keys : sequence of str
        By what, of `KEYS`.
    selection : Selection, optional
        Folder and time select the effort as well.
    zone : tzinfo or None
        Of months, days and hours; the machine's own for None.
    sites : Sites, optional
        Those of `data` if not given; not needed without ``site`` among the keys.
    """
    chosen = selection or Selection()
    counting = _Counting(tuple(keys), zone, sites or (Sites(data) if SITE in keys else None))
    for batch in data.batches(DETECTIONS, COLUMNS_OF_DETECTIONS, chosen.detections()):
        counting.add_detections(batch)
    columns = ["file_id", "file", "recorded_at", "clock", "duration_s", "heard", "error"]
    for number in data.numbers:
        files = data.part(FILES, number, columns, chosen.recordings(FILES))
        counting.add_files(files, chosen)
        if data.has(WINDOWS):
            windows = ["file_id", "start_s", "heard"]
            counting.add_windows(data.part(WINDOWS, number, windows, chosen.recordings(WINDOWS)), files, chosen)
    return Summary(tuple(keys), counting.counts(), counting.effort)


class _Counting:
    """A summary while tables are read."""

    def __init__(self, keys: tuple[str, ...], zone: tzinfo | None, sites: Sites | None) -> None:
        self._keys, self._sites = keys, sites
        self._calendar = Calendar(tuple(key for key in keys if key != SITE), zone)
        self._names: dict[str, int] = {}  # site to its number
        self._taxa: dict[tuple[str, str], tuple[int, TaxonName]] = {}
        self._counts: dict[tuple[int, int, int], Count] = {}
        self._last_file: dict[tuple[int, int, int], int] = {}  # rows of a recording come together
        self.effort: dict[Key, Effort] = {}

    def counts(self) -> dict[tuple[Key, TaxonName], Count]:
        sites, taxa = list(self._names), [name for _, name in self._taxa.values()]
        return {
            (self._key(sites, site, period), taxa[taxon]): one for (site, period, taxon), one in self._counts.items()
        }

    def _key(self, sites: list[str], site: int, period: int) -> Key:
        rest = iter(self._calendar.labels[period])
        return tuple(sites[site] if key == SITE else next(rest) for key in self._keys)

    def _site_numbers(self, files: pa.Array) -> np.ndarray:
        if SITE not in self._keys or self._sites is None:
            self._names.setdefault("", 0)
            return np.zeros(len(files), np.int64)
        encoded = files.dictionary_encode()
        names = [self._sites.of(file) for file in encoded.dictionary.to_pylist()]
        numbers = np.array([self._names.setdefault(name, len(self._names)) for name in names], np.int64)
        return numbers[encoded.indices.to_numpy()]

    def _taxon_numbers(self, batch: pa.RecordBatch) -> np.ndarray:
        ranks, names = (batch[name].dictionary_encode() for name in ("taxon_rank", "taxon_scientific_name"))
        n_ranks = len(ranks.dictionary)
        pairs = names.indices.to_numpy().astype(np.int64) * n_ranks + ranks.indices.to_numpy()
        distinct, first, places = np.unique(pairs, return_index=True, return_inverse=True)
        numbers = []
        for pair, row in zip(distinct.tolist(), first.tolist(), strict=True):
            rank, name = ranks.dictionary[pair % n_ranks].as_py(), names.dictionary[pair // n_ranks].as_py()
            common = batch["taxon_common_name"][row].as_py() or ""
            number, _ = self._taxa.setdefault((rank, name), (len(self._taxa), TaxonName(rank, name, common)))
            numbers.append(number)
        return np.array(numbers, np.int64)[places]

    def add_detections(self, batch: pa.RecordBatch) -> None:
        ms, known = times_ms(batch["time"], batch["clock"])
        columns = (
            self._site_numbers(batch["source_file"]),
            self._calendar.numbers(quarters_of(ms, known)),
            self._taxon_numbers(batch),
        )
        group = np.stack(columns, axis=1)
        order = np.lexsort(columns[::-1])
        group = group[order]
        begins = np.flatnonzero(np.r_[True, (group[1:] != group[:-1]).any(axis=1)])
        ends = np.r_[begins[1:], len(group)]
        confidence = batch["confidence"].to_numpy()[order]
        length = (batch["end_s"].to_numpy() - batch["start_s"].to_numpy())[order]
        file_ids, ms, known = batch["file_id"].to_numpy()[order], ms[order], known[order]
        another = np.r_[False, file_ids[1:] != file_ids[:-1]]
        another[begins] = True
        sums = {
            "highest": np.maximum.reduceat(confidence, begins),
            "confidences": np.add.reduceat(confidence, begins),
            "seconds": np.add.reduceat(length, begins),
            "recordings": np.add.reduceat(another.astype(np.int64), begins),
            "first": np.minimum.reduceat(np.where(known, ms, np.iinfo(np.int64).max), begins),
            "last": np.maximum.reduceat(np.where(known, ms, -1), begins),
        }
        for at, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
            key = (int(group[begin, 0]), int(group[begin, 1]), int(group[begin, 2]))
            one = self._counts.setdefault(key, Count())
            one.detections += end - begin
            one.recordings += int(sums["recordings"][at]) - (self._last_file.get(key) == int(file_ids[begin]))
            self._last_file[key] = int(file_ids[end - 1])
            one.confidence = max(one.confidence, float(sums["highest"][at]))
            one.confidences += float(sums["confidences"][at])
            one.seconds += float(sums["seconds"][at])
            first, last = int(sums["first"][at]), int(sums["last"][at])
            if last >= 0:
                one.first_ms = first if one.first_ms is None else min(one.first_ms, first)
                one.last_ms = last if one.last_ms is None else max(one.last_ms, last)

    def add_files(self, files: pa.Table, selection: Selection) -> None:
        if not len(files):
            return
        files = files.combine_chunks()
        ms, known = times_ms(files["recorded_at"].combine_chunks(), files["clock"].combine_chunks())
        if selection.timed:
            files, ms, known = files.filter(known), ms[known], known[known]
            if not len(files):
                return
        sites = self._site_numbers(files["file"].combine_chunks())
        done = files["duration_s"].is_valid().to_numpy()
        failed = ~done & files["error"].is_valid().to_numpy()  # the others were passed over
        length_ms = np.round(np.nan_to_num(files["duration_s"].to_numpy()) * 1000).astype(np.int64)
        heard = files["heard"].fill_null(False).to_numpy()
        begin, end = ms.copy(), ms + length_ms
        if selection.since is not None:
            begin = np.maximum(begin, _ms(selection.since))
        if selection.until is not None:
            end = np.minimum(end, _ms(selection.until))
        inside = (ms == begin) & (end > ms) | ~done if selection.timed else np.ones(len(ms), bool)
        begun = quarters_of(ms, known)
        for name, which in (
            ("recordings", done & inside),
            ("silent", done & inside & ~heard),
            ("failed", failed & inside),
        ):
            self._add_effort(name, sites[which], begun[which], np.ones(int(which.sum())))
        timed = done & known & (end > begin)
        rows, quarters, pieces = spread(begin[timed], end[timed])
        self._add_effort("seconds", sites[timed][rows], quarters, pieces / 1000)
        rest = done & ~known
        self._add_effort("seconds", sites[rest], begun[rest], length_ms[rest] / 1000)

    def add_windows(self, windows: pa.Table, files: pa.Table, selection: Selection) -> None:
        if not len(windows) or not len(files):
            return
        ids = files["file_id"].to_numpy()
        order = np.argsort(ids)
        place = order[np.searchsorted(ids[order], windows["file_id"].to_numpy())]
        ms, known = times_ms(files["recorded_at"].combine_chunks(), files["clock"].combine_chunks())
        at = ms[place] + np.round(windows["start_s"].to_numpy() * 1000).astype(np.int64)
        known = known[place]
        sites = self._site_numbers(files["file"].combine_chunks())[place]
        inside = np.ones(len(at), bool)
        if selection.timed:
            inside &= known
            inside &= at >= _ms(selection.since) if selection.since is not None else True
            inside &= at < _ms(selection.until) if selection.until is not None else True
        quarters = quarters_of(at, known)
        silent = inside & ~windows["heard"].fill_null(False).to_numpy()
        for name, which in (("windows", inside), ("silent_windows", silent)):
            self._add_effort(name, sites[which], quarters[which], np.ones(int(which.sum())))

    def _add_effort(self, name: str, sites: np.ndarray, quarters: np.ndarray, amounts: np.ndarray) -> None:
        if not len(sites):
            return
        periods = self._calendar.numbers(quarters)
        cells = sites * len(self._calendar.labels) + periods
        distinct, places = np.unique(cells, return_inverse=True)
        sums, names = np.bincount(places, weights=amounts), list(self._names)
        for cell, amount in zip(distinct.tolist(), sums.tolist(), strict=True):
            site, period = divmod(cell, len(self._calendar.labels))
            one = self.effort.setdefault(self._key(names, site, period), Effort())
            before = getattr(one, name)
            setattr(one, name, before + (amount if isinstance(before, float) else round(amount)))


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def taxa_totals(found: Summary) -> Mapping[TaxonName, int]:
    """Detections of each taxon over all keys."""
    totals: Counter[TaxonName] = Counter()
    for (_, name), one in found.counts.items():
        totals[name] += one.detections
    return totals
