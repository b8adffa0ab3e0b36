"""Media for tests: every field may be given, the rest is as simple as it can be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.medium import Medium, Source


def medium(id: object = 1, source: str = "xeno-canto", modality: str = "audio", **told: Any) -> Medium:
    ending = "mp3" if modality == "audio" else "jpg"
    defaults = {
        "observation": f"record {source} {id}",
        "url": f"https://archive.example/{source}/{id}.{ending}",
        "scientific_name": "Parus major",
    }
    return Medium(source=source, id=str(id), modality=modality, **{**defaults, **told})


def resolve(catalogue: Catalogue) -> None:
    """Take every name as it is written for the accepted one."""
    for name, ranks, _ in list(catalogue.names()):
        genus = name.partition(" ")[0]
        catalogue.match(name, ranks, name, {"class": "Aves", "family": f"{genus}idae", "genus": genus, **ranks})
    for text in catalogue.licences():
        catalogue.license(text, text.replace(" ", "-"))


def media_of(source: Source) -> Iterator[Medium]:
    """All that a source offers."""
    for query in source.queries():
        for page in source.pages(query):
            yield from page.media
