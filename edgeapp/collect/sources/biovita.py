"""The published tables of BioVITA: addresses of recordings (train/metadata.csv) and photos (train/image_urls.csv)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from edgeapp.collect.medium import Medium, Page
from edgeapp.collect.sources.csv_rows import first, header, rows
from edgeapp.collect.sources.kind import Setting
from edgeapp.collect.sources.words import short_hash
from edgeapp.errors import CollectError
from gallery.taxon import HIGHER_RANKS

SOUNDS, PHOTOS = "metadata.csv", "image_urls.csv"
NAMES = ("accepted_name", "scientific_name", "species", "taxon")
ADDRESSES = ("download_url", "image_url", "url", "identifier", "source_url")
LICENCES = ("licence", "license", "lic")
AUTHORS = ("author", "rights_holder", "recordist", "creator")


class BioVita:
    """Recordings and photos of a folder with one or both of the tables, there or in ``train/``."""

    name = "biovita"

    def __init__(self, what: str, setting: Setting) -> None:
        self._setting = setting
        folder = Path(what)
        found = {
            modality: next((path for place in (folder, folder / "train") if (path := place / name).is_file()), None)
            for modality, name in (("audio", SOUNDS), ("image", PHOTOS))
        }
        self._paths = {modality: path for modality, path in found.items() if path is not None}
        if not self._paths:
            raise CollectError(f"{folder}: neither {SOUNDS} nor {PHOTOS}", "name the folder of BioVITA's tables")
        for path in self._paths.values():
            columns = header(path)
            for needed in (NAMES, ADDRESSES):
                if not set(needed) & set(columns):
                    raise CollectError(
                        f"{path}: no column {' or '.join(needed)}", f"its columns are {', '.join(columns) or 'none'}"
                    )

    def queries(self) -> Iterable[str]:
        """One for each table, known again by its size and time."""
        return [
            f"{modality} {path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}"
            for modality, path in self._paths.items()
            if modality in self._setting.modalities
        ]

    def pages(self, query: str, begin: str = "") -> Iterator[Page]:
        """All of a table."""
        yield Page(self._media(query.partition(" ")[0]))

    def _media(self, modality: str) -> Iterator[Medium]:
        path, without = self._paths[modality], 0
        for row in rows(path):
            url = first(row, ADDRESSES)
            if "://" not in url:
                without += 1
                continue
            archive, number = row.get("source", ""), row.get("recording_id", "")
            known = f"{archive}_{number}" if modality == "audio" and number else ""
            yield Medium(
                source=self.name,
                id=known or short_hash(url),
                observation=f"https://xeno-canto.org/{number}" if archive == "xc" and number else known or url,
                modality=modality,
                url=url,
                scientific_name=first(row, NAMES),
                ranks={rank: row[rank] for rank in HIGHER_RANKS if row.get(rank)},
                common_name=first(row, ("com", "common_name")),
                licence=first(row, LICENCES),
                author=first(row, AUTHORS),
                dataset=archive,
            )
        if without:
            self._setting.tell(f"{path}: {without:,} rows have no address, and are left out")
