"""The parts of a report about taxa: their best stretches and their pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath

from edgeapp.web.report.figures import figure
from edgeapp.web.report.model import COLOURS, Figure, Heard, Shown, Sound, TaxonPart
from edgeapp.web.report.name import Name
from edgeapp.web.report.stretches import Detail
from edgeapp.web.report.tally import TaxonTally

Pictures = Callable[[Heard], Sequence[Shown]]


def taxon_parts(
    taxa: Sequence[TaxonTally],
    colours: Mapping[Name, int],
    details: Sequence[Detail],
    heard: Mapping[str, Sequence[Heard]],
    sounds: Mapping[str, list[Sound]],
    pictures: Pictures,
    caption: Callable[[Detail], str],
) -> list[TaxonPart]:
    """What is shown of each taxon.

    Parameters
    ----------
    taxa : sequence of TaxonTally
    colours : Mapping
        Taxon to the number of its colour.
    details : sequence of Detail
        Stretches in detail.
    heard : Mapping
        Key of a recording to the detections in it.
    sounds : Mapping
        Key of a recording to its sounds; those of the details are added.
    pictures : callable
        Detection to pictures of its taxon.
    caption : callable
        What stands below a detail.
    """
    for detail in details:
        if detail.sound is not None and not detail.repeated:
            sounds[detail.sound.recording].append(detail.sound)
    figures: dict[Name, list[Figure]] = {}
    for detail in details:
        one = detail.heard
        own = None if detail.repeated else detail.sound
        others = [other for other in heard[one.recording] if (other.name, other.start_s) != (one.name, one.start_s)]
        made = figure(
            detail.shown,
            detail.attachment,
            one.recording,
            PurePath(one.file).name,
            [*others, one],
            colours,
            sounds[one.recording],
            own,
            caption(detail),
        )
        figures.setdefault(one.name, []).append(made)
    return [
        TaxonPart(
            name=taxon.name,
            count=taxon.count,
            confidence=taxon.confidence,
            seconds=taxon.seconds,
            first=taxon.first,
            last=taxon.last,
            recordings=len(taxon.recordings) + taxon.elsewhere,
            colour=number % COLOURS,
            figures=tuple(figures.get(taxon.name, ())),
            pictures=tuple(pictures(taxon.best[0])),
        )
        for number, taxon in enumerate(taxa)
    ]
