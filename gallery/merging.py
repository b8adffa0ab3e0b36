"""Putting what one gallery has into another: taxa under their accepted names, each file once, licences kept to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from gallery.entries import each
from gallery.entry import Counterexample, Entry, Rejection
from gallery.errors import TaxonError
from gallery.licences import may_be_shown
from gallery.store import Gallery
from gallery.taxon import Names, Taxon, are_namesakes

AT_ONCE = 4096  # entries in memory
SAME = 1.0 - 1e-4  # cosine from which two vectors are of one sound: float16 rounds by a hundredth of it


@dataclass
class Merged:
    """What came of putting entries into a gallery.

    Attributes
    ----------
    taxa : int
        New ones.
    entries : Counter of str
        New ones by modality.
    known : int
        Entries and counterexamples that were there already.
    counterexamples : int
        New ones.
    renamed : dict of str
        Scientific names of the source that are synonyms here, to the accepted name they were added under.
    differing : list of str
        Taxa that have other names or ranks here, which were kept.
    not_shown : Counter of str
        Licences of photos that may not be shown, of which only the vectors were taken.
    rejected : list of Rejection
        What could not be taken.
    """

    taxa: int = 0
    entries: Counter[str] = field(default_factory=Counter)
    known: int = 0
    counterexamples: int = 0
    renamed: dict[str, str] = field(default_factory=dict)
    differing: list[str] = field(default_factory=list)
    not_shown: Counter[str] = field(default_factory=Counter)
    rejected: list[Rejection] = field(default_factory=list)


def merge(gallery: Gallery, source: Gallery, licensed: Callable[[str], bool] = lambda licence: True) -> Merged:
    """Put the taxa, entries and counterexamples of one gallery into another, in one transaction.

    Parameters
    ----------
    gallery : Gallery
        Open for writing.
    source : Gallery
        Of the same space.
    licensed : callable
        Whether photos and recordings of a licence are taken.

    Raises
    ------
    GalleryError
        One cannot be read or written; nothing was changed.
    """
    return take(gallery, source.taxa(), (entry for _, entry in source.each(each)), source.counterexamples(), licensed)


def take(
    gallery: Gallery,
    taxa: Iterable[Taxon],
    entries: Iterable[Entry],
    examples: Iterable[Counterexample],
    licensed: Callable[[str], bool] = lambda licence: True,
) -> Merged:
    """Put taxa, entries and counterexamples into a gallery, in one transaction; see `merge`.

    A taxon that has the name of one of another kingdom is rejected, with all that it has.
    A file or prompt that a taxon has already is the same entry. Recordings without a file, as those learnt from
    reviews, are the same where their vectors are; another one of the same label is given a label of its own.
    """
    merged = Merged()
    with gallery.transaction():
        names = _add_taxa(gallery, taxa, merged)
        wanted = (
            _allowed(replace(entry, scientific_name=name), merged)
            for entry in entries
            if (name := names.get(entry.scientific_name, entry.scientific_name)) is not None
            and (entry.modality == "text" or licensed(entry.licence))
        )
        while some := list(islice(wanted, AT_ONCE)):
            _add_all(gallery, [one for one in some if not _is_known_by_its_label(one)], merged)
            for one in filter(_is_known_by_its_label, some):
                _add(gallery, one, merged)
        there: dict[tuple[str, str], list[Counterexample]] = {}
        for known in gallery.counterexamples():
            there.setdefault((known.taxon_rank, known.scientific_name), []).append(known)
        for example in examples:
            name = names.get(example.scientific_name, example.scientific_name)
            if name is not None and licensed(example.licence):
                of_taxon = there.setdefault((example.taxon_rank, name), [])
                _add_counterexample(gallery, replace(example, scientific_name=name), of_taxon, merged)
    return merged


def _add_taxa(gallery: Gallery, taxa: Iterable[Taxon], merged: Merged) -> dict[str, str | None]:
    """Add taxa that are new; the accepted name in the gallery of each, None for a namesake."""
    names = Names(gallery.taxa())
    accepted: dict[str, str | None] = {}
    for taxon in taxa:
        name = taxon.scientific_name
        known = gallery.taxon(name) or _by_synonym(names, taxon)
        if known is not None and are_namesakes(known, taxon):
            reason = f"of {taxon.kingdom} is left out: the gallery has a taxon of {known.kingdom} under this name"
            merged.rejected.append(Rejection(name, reason))
            accepted[name] = None
            continue
        if known is None:
            merged.taxa += gallery.add_taxa([taxon]).added
        elif known.scientific_name != name:
            merged.renamed[name] = known.scientific_name
        elif known != taxon:
            merged.differing.append(name)
        accepted[name] = known.scientific_name if known else name
    return accepted


def _by_synonym(names: Names, taxon: Taxon) -> Taxon | None:
    """The taxon whose synonym a name is, or that is known here by one of its synonyms; None where that is not sure."""
    found = set()
    for name in (taxon.scientific_name, *taxon.synonyms):
        try:
            found.add(names.find(name, suggest=False))
        except TaxonError:
            continue
    own = {taxon.scientific_name, *taxon.synonyms}
    found = {one for one in found if own & {one.scientific_name, *one.synonyms}}
    return found.pop() if len(found) == 1 else None


def _allowed(entry: Entry, merged: Merged) -> Entry:
    """The entry without its thumbnail where its licence does not let it be shown."""
    if entry.thumbnail is None or may_be_shown(entry.licence):
        return entry
    merged.not_shown[entry.licence] += 1
    return replace(entry, thumbnail=None)


def _is_known_by_its_label(entry: Entry) -> bool:
    """Whether nothing but its label tells the file of an entry from others, as of a recording learnt from reviews."""
    return not (entry.sha256 or entry.modality == "text" or entry.vector is None or entry.logit_scale is not None)


def _add_all(gallery: Gallery, entries: list[Entry], merged: Merged) -> None:
    for modality in dict.fromkeys(one.modality for one in entries):  # one that is none is rejected
        some = [one for one in entries if one.modality == modality]
        added = gallery.add_entries(some, reject_known=False)
        merged.entries[modality] += added.added
        merged.rejected += added.rejected
        merged.known += len(some) - added.added - len(added.rejected)


def _add(gallery: Gallery, entry: Entry, merged: Merged) -> None:
    for one in _labelled(entry):
        added = gallery.add_entries([one], reject_known=False)
        if added.added:
            merged.entries[one.modality] += 1
        elif added.rejected:
            merged.rejected += added.rejected
        elif _is_another(gallery, one):
            continue
        else:
            merged.known += 1
        return


def _labelled(entry: Entry) -> Iterator[Entry]:
    """The entry, then the entry under labels that no other has."""
    yield entry
    number = 2
    while True:
        yield replace(entry, label=f"{entry.label} ({number})")
        number += 1


def _is_another(gallery: Gallery, entry: Entry) -> bool:
    """Whether what a taxon has under a label is another recording or photo."""
    if entry.vector is None:
        return False
    there = gallery.entries(entry.modality, entry.scientific_name, "")
    return all(one.vector is None or float(one.vector @ entry.vector) < SAME for one in there)


def _add_counterexample(gallery: Gallery, example: Counterexample, there: list[Counterexample], merged: Merged) -> None:
    """Add one to those that its taxon has, unless it is among them."""
    if any(float(one.vector @ example.vector) >= SAME for one in there if np.shape(one.vector) == example.vector.shape):
        merged.known += 1
        return
    labels, number, label = {one.label for one in there}, 2, example.label
    while label in labels:
        label, number = f"{example.label} ({number})", number + 1
    labelled = replace(example, label=label)
    added = gallery.add_counterexamples([labelled])
    if added.added:
        there.append(labelled)
    merged.counterexamples += added.added
    merged.rejected += added.rejected
