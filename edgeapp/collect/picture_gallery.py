"""Photos from public archives for the species of a gallery, with their authors and licences.

The gallery's own species are the taxonomy of the collection, so that every photo finds its species by the name or the
synonyms that the gallery knows. What was asked, what is here and what is in the gallery already is not done again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from edgeapp.collect.curation import Rules
from edgeapp.collect.licences import Terms
from edgeapp.collect.pipeline import Report, opened
from edgeapp.collect.plan import Plan
from edgeapp.collect.row import DOWNLOADED, Row
from edgeapp.pack.names import names_table, shipped_species
from edgeapp.recognition.material import Material
from edgeapp.recognition.photos import plain_credit
from gallery import files
from gallery.licences import may_be_shown
from gallery.taxon import HIGHER_RANKS, SYNONYM_SEPARATOR, Taxon

if TYPE_CHECKING:
    from edgeapp.recognition.gallery_build import Filler

TAXA = "taxa.csv"
SHOWN = "CC0|PDM|public domain|CC BY*|CC BY-NC*|CC BY-ND*|CC BY-NC-ND*"  # what may be shown with its credits
EACH = 10  # media asked for, for each photo that is wanted: some have no licence, or are of a burst
AT_ONCE = 100  # photos in one transaction
RESEARCH = "quality_grade=research"


@dataclass(frozen=True)
class Filled:
    """What was done.

    Attributes
    ----------
    report : Report
        Of the collection.
    added : int
        Photos that came into the gallery in this run.
    with_photos, species : int
        Species that have a photo of the collection, and that were asked for.
    """

    report: Report
    added: int
    with_photos: int
    species: int


def plan_of(
    folder: Path,
    taxa: Sequence[Taxon],
    species: Sequence[str],
    per_species: int,
    sources: Sequence[str],
    language: str,
    terms: Terms | None = None,
) -> Plan:
    """How photos of species are collected; the table of `taxa` is written into the folder, as its taxonomy.

    Parameters
    ----------
    folder : Path
        Of the collection.
    taxa : sequence of Taxon
        All species of the gallery.
    species : sequence of str
        Accepted names of those that are asked for.
    per_species : int
    sources : sequence of str
        Of ``"commons"``, ``"inaturalist"`` and ``"gbif"``; the first is drawn from before the others.
    language : str
        Of the Wikipedia whose articles are asked for their pictures.
    terms : Terms, optional
        What may be shown, if not given.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = _table(taxa)
    path = folder / TAXA
    if not path.is_file() or path.read_text(encoding="utf-8") != text:  # another time of writing would make it anew
        files.write_text(path, text)
    asked = {"commons": language, "inaturalist": RESEARCH, "gbif": "all"}
    return Plan(
        output=folder,
        sources=tuple((name, asked[name]) for name in sources),
        modalities=("image",),
        species=tuple(species),
        backbone=path,
        terms=terms or Terms.of(SHOWN),
        rules=Rules(recordings=0, photos=per_species, burst=1, first=tuple(sources)),
        photo_size="medium",
        enough=EACH * per_species,
    )


def fill(plan: Plan, filler: Filler, tell: Callable[[str], None]) -> Filled:
    """Collect photos and put them into an open gallery; photos that it has already are passed over.

    Parameters
    ----------
    plan : Plan
        Of `plan_of`.
    filler : Filler
        Of the gallery, open for writing.
    tell : callable
        Told remarks, one line each.

    Raises
    ------
    UsageError, CollectError, OutputError, GalleryError
    """
    before = filler.report.entries["image"]
    with opened(plan, tell) as collection:
        collection.gather()
        collection.decide()
        collection.fetch()
        rows = collection.catalogue.rows(DOWNLOADED, "image")
        new = (material_of(row, plan.output) for row in rows if _is_new(row, filler))
        while batch := list(islice(new, AT_ONCE)):
            with filler.gallery.transaction():
                filler.add(batch)
        with_photos = len(collection.catalogue.taxon_names(f"state = '{DOWNLOADED}'"))
    return Filled(collection.report, filler.report.entries["image"] - before, with_photos, len(plan.species))


def material_of(row: Row, folder: Path) -> Material:
    """A file of a collection as material of a gallery, with its credits."""
    medium = row.medium
    return Material(
        path=folder / row.path,
        scientific_name=row.taxon,
        modality=medium.modality,
        author=plain_credit(medium.author),
        licence=row.licence_spdx,
        source=medium.page or medium.url,
        sha256=row.sha256,
        note=medium.kind,
    )


def _is_new(row: Row, filler: Filler) -> bool:
    if not may_be_shown(row.licence_spdx):
        return False
    return not any(True for _ in filler.gallery.entries("image", row.taxon, row.sha256))


def _table(taxa: Iterable[Taxon]) -> str:
    """A species table with the synonyms of every list that the program has."""
    also: dict[str, set[str]] = {}
    for shipped in shipped_species():
        also.setdefault(shipped.scientific_name, set()).update(shipped.synonyms)
    names = names_table()
    for name, row in names.rows.items():
        also.setdefault(names.scientific_names[row], set()).add(name)
    for accepted, synonyms in list(also.items()):
        for synonym in synonyms:
            also.setdefault(synonym, set()).add(accepted)
    taxa = list(taxa)
    own = {taxon.scientific_name for taxon in taxa}
    out = io.StringIO(newline="")
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("scientific_name", "common_name", *HIGHER_RANKS, "synonyms"))
    for taxon in taxa:
        known = sorted({*taxon.synonyms, *also.get(taxon.scientific_name, ())} - own)
        line = (taxon.scientific_name, taxon.common_name, *taxon.path("genus"))
        table.writerow((*line, SYNONYM_SEPARATOR.join(known)))
    return out.getvalue()
