"""The data card: what a collection has, what was left out and why, and whose work it is.

`CARD.md` is for people, with pictures beside it in `card/`; `attribution.csv` names author, licence and page of every
file.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.charts import bars, curves
from edgeapp.collect.licences import MEANING
from edgeapp.collect.manifest import Written
from edgeapp.collect.notes import WORDS
from edgeapp.collect.row import DOWNLOADED
from edgeapp.collect.splits import SPLITS
from edgeapp.collect.traits.joined import JoinedTraits
from edgeapp.errors import OutputError
from edgeapp.terminal import size as bytes_in_words
from gallery import files
from gallery.licences import elements

CARD, PICTURES, ATTRIBUTION = "CARD.md", "card", "attribution.csv"
ATTRIBUTION_COLUMNS = ("path", "scientific_name", "author", "licence", "licence_as_written", "source", "page")
MODALITIES = ("audio", "image")
HERE = f"state = '{DOWNLOADED}'"
NOT_HERE = f"state <> '{DOWNLOADED}'"
AUTHORS = 20  # in the card
UNSEEN = 40  # names in the card
BARS = 20
DURATIONS_S = (0, 1, 3, 5, 10, 20, 30, 60, 120, 300, 600)


@dataclass(frozen=True)
class Told:
    """What a card says besides what the catalogue has.

    Attributes
    ----------
    name : str
    made : str
        UTC.
    settings : sequence of (str, str)
        What was asked for.
    speech : bool
        Whether speech was listened for.
    """

    name: str
    made: str
    settings: Sequence[tuple[str, str]] = ()
    speech: bool = True


def write_card(catalogue: Catalogue, written: Written, told: Told, traits: JoinedTraits | None = None) -> None:
    """Write the card, its pictures and the table of credits.

    Raises
    ------
    OutputError
        They cannot be written.
    """
    try:
        authors, noted = _attribute(catalogue)
        durations = _durations(written)
        _draw(catalogue, durations)
        sections = [
            _head(catalogue, written, told),
            _by_class(catalogue),
            _by(catalogue, "source", "Sources"),
            _licences(catalogue),
            _splits(written),
            _distributions(durations, noted, told.speech),
            _left_out(catalogue),
            _traits(traits),
            _authors(authors),
        ]
        files.write_text(catalogue.folder / CARD, "\n\n".join(filter(None, sections)) + "\n")
    except OSError as error:
        raise OutputError(
            f"{catalogue.folder}: the card cannot be written ({error.strerror or error})", "check the free space"
        ) from None


def _attribute(catalogue: Catalogue) -> tuple[Counter[str], Counter[str]]:
    """Write the credits of every file; files by author, and by what is noted about them."""
    authors: Counter[str] = Counter()
    noted: Counter[str] = Counter()
    path = catalogue.folder / ATTRIBUTION
    with files.replacing(path) as part, part.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(ATTRIBUTION_COLUMNS)
        for row in catalogue.rows(DOWNLOADED):
            medium = row.medium
            page = medium.page or medium.url
            written = (row.licence_spdx, medium.licence)
            table.writerow((row.path, row.taxon, medium.author, *written, medium.source, page))
            authors[medium.author] += 1
            noted.update(word for word in WORDS if word in row.notes)
    return authors, noted


def _durations(written: Written) -> np.ndarray:
    """Seconds of recordings [n], of those that are known."""
    import pyarrow.parquet as pq

    column = pq.read_table(written.path, columns=["duration_s"]).column(0).drop_null()
    return column.to_numpy()


def _draw(catalogue: Catalogue, durations: np.ndarray) -> None:
    folder = catalogue.folder / PICTURES
    of_species = catalogue.counts("modality", "taxon", where=HERE)
    lines = [
        (name, np.array([n for one, _, n, _ in of_species if one == modality], np.int64))
        for modality, name in zip(MODALITIES, ("recordings", "photos"))
    ]
    curves(folder / "species.png", "Files of a species", "rank of the species", "files", lines)
    for by, title in (("class", "Files by class"), ("source", "Files by source"), ("licence_spdx", "Files by licence")):
        counts = sorted(((name, n) for name, n, _ in catalogue.counts(by, where=HERE)), key=lambda pair: -pair[1])
        bars(folder / f"{by.partition('_')[0]}.png", title, counts[:BARS], logarithmic=True)
    edges = np.array([*DURATIONS_S, np.inf])
    binned = np.histogram(durations, edges)[0].tolist()
    names = [f"{low} to {high} s" for low, high in zip(DURATIONS_S, DURATIONS_S[1:])] + [f"over {DURATIONS_S[-1]} s"]
    bars(folder / "durations.png", "Length of recordings", list(zip(names, binned)))


def _head(catalogue: Catalogue, written: Written, told: Told) -> str:
    species = catalogue.taxa(HERE)
    here = {modality: (n, size) for modality, n, size in catalogue.counts("modality", where=HERE)}
    recordings, photos = (here.get(modality, (0, 0)) for modality in MODALITIES)
    lines = [
        f"# {told.name}",
        "",
        f"{recordings[0]:,} recordings and {photos[0]:,} photos of {species:,} species, "
        f"{bytes_in_words(recordings[1] + photos[1])}. Taxonomy: {catalogue.fact('backbone', 'not given')}. "
        f"Written {told.made}.",
        "",
        f"`{written.path.name}` has one row for each file, `{ATTRIBUTION}` its credits.",
    ]
    if told.settings:
        lines += ["", _table(("asked for", ""), told.settings)]
    return "\n".join(lines)


def _by_class(catalogue: Catalogue) -> str:
    files_of = {(name, modality): n for name, modality, n, _ in catalogue.counts("class", "modality", where=HERE)}
    species = Counter(name for name, _, _, _ in catalogue.counts("class", "taxon", where=HERE))
    rows = [
        (name or "not given", species[name], *(files_of.get((name, modality), 0) for modality in MODALITIES))
        for name in sorted(species, key=lambda name: -sum(files_of.get((name, one), 0) for one in MODALITIES))
    ]
    return f"## Classes\n\n{_table(('class', 'species', 'recordings', 'photos'), rows)}\n\n" + _pictures(
        "species", "class", "source", "licence", "durations"
    )


def _by(catalogue: Catalogue, column: str, title: str) -> str:
    found: dict[str, dict[str, int]] = {}
    for name, modality, n, _ in catalogue.counts(column, "modality", where=HERE):
        found.setdefault(name, {})[modality] = n
    rows = [(name or "not given", *(counts.get(one, 0) for one in MODALITIES)) for name, counts in found.items()]
    return f"## {title}\n\n{_table((column, 'recordings', 'photos'), rows)}"


def _licences(catalogue: Catalogue) -> str:
    found: dict[str, dict[str, int]] = {}
    for name, modality, n, _ in catalogue.counts("licence_spdx", "modality", where=HERE):
        found.setdefault(name, {})[modality] = n
    rows = [
        (
            name or "not given",
            ", ".join(MEANING[one] for one in sorted(elements(name))),
            *(counts.get(one, 0) for one in MODALITIES),
        )
        for name, counts in found.items()
    ]
    return (
        f"## Licences\n\n{_table(('licence', 'conditions beyond credits', 'recordings', 'photos'), rows)}\n\n"
        f"Every file keeps the licence of its author. Whoever passes files on names them as `{ATTRIBUTION}` does."
    )


def _splits(written: Written) -> str:
    rows = [
        (split, written.species[split], *(written.files[split, modality] for modality in MODALITIES))
        for split in SPLITS
    ]
    text = f"## Splits\n\n{_table(('split', 'species', 'recordings', 'photos'), rows)}"
    text += "\n\nFiles of one observer, day and place are on one side. All files of unseen species are held out."
    if written.unseen:
        more = f" and {len(written.unseen) - UNSEEN:,} more" if len(written.unseen) > UNSEEN else ""
        text += f"\n\nUnseen: {', '.join(f'*{name}*' for name in written.unseen[:UNSEEN])}{more}."
    return text


def _distributions(durations: np.ndarray, noted: Counter[str], speech: bool) -> str:
    lines = ["## What is noted"]
    if len(durations):
        low, middle, high = np.percentile(durations, (5, 50, 95))
        lines.append(
            f"Recordings are {durations.mean():.1f} s long on average, 90 % of them {low:.1f} to {high:.1f} s, the "
            f"median {middle:.1f} s; {durations.sum() / 3600:,.1f} h in all."
        )
    rows = [(word, noted[word]) for word in WORDS if word != "speech" or speech]
    lines.append(_table(("noted", "files"), rows))
    if not speech:
        lines.append("Speech was not listened for.")
    return "\n\n".join(lines)


def _left_out(catalogue: Catalogue) -> str:
    found: dict[str, dict[str, int]] = {}
    for state, reason, modality, n, _ in catalogue.counts("state", "reason", "modality", where=NOT_HERE):
        counts = found.setdefault(reason or state.replace("_", " "), {})
        counts[modality] = counts.get(modality, 0) + n
    rows = [
        (reason, *(counts.get(one, 0) for one in MODALITIES))
        for reason, counts in sorted(found.items(), key=lambda pair: -sum(pair[1].values()))
    ]
    if not rows:
        return "## Left out\n\nNothing that the sources offer."
    left_out = sum(sum(counts.values()) for counts in found.values())
    told = f"Of {catalogue.count():,} media that the sources offer, {left_out:,} are left out."
    return f"## Left out\n\n{told}\n\n{_table(('reason', 'recordings', 'photos'), rows)}"


def _traits(traits: JoinedTraits | None) -> str:
    if traits is None or not traits.species:
        return ""
    rows = [
        (one.label, one.group, one.known, f"{one.known / len(traits.species):.1%}", one.yes) for one in traits.coverage
    ]
    answered = sum(1 for one in traits.coverage if one.known)
    return (
        f"## Traits\n\n{answered} of {len(traits.coverage)} labels are known for some of {len(traits.species):,} "
        "species."
        f"\n\n{_table(('label', 'group', 'species known', 'share', 'yes'), rows)}"
    )


def _authors(authors: Mapping[str, int]) -> str:
    most = Counter(authors).most_common(AUTHORS)
    if not most:
        return ""
    rows = [(name or "not given", n) for name, n in most]
    return f"## Authors\n\n{len(authors):,} authors; those with most files:\n\n{_table(('author', 'files'), rows)}"


def _pictures(*names: str) -> str:
    return "\n".join(f"![{name}]({PICTURES}/{name}.png)" for name in names)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    def cell(value: object) -> str:
        text = f"{value:,}" if isinstance(value, int) else str(value)
        return " ".join(text.replace("|", "\\|").split())

    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(cell, row))} |" for row in rows)])
