"""Where media come from: one module a source, and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from edgeapp.collect.medium import Source
from edgeapp.collect.sources.kind import Kind, Setting

# fmt: off
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (
    Kind("gbif-archive", "FILE", "Darwin Core Archive, of GBIF or a publisher: a ZIP file, or its folder.",
         "edgeapp.collect.sources.gbif_archive:GbifArchive"),
    Kind("gbif", "TEXT", "Occurrence search of GBIF, such as `country=DE&classKey=212`.",
         "edgeapp.collect.sources.gbif_search:GbifSearch", "https://api.gbif.org/v1"),
    Kind("xeno-canto", "TEXT", "Recordings of Xeno-canto, such as `cnt:germany q:A`; needs a key.",
         "edgeapp.collect.sources.xeno_canto:XenoCanto", "https://xeno-canto.org/api/3"),
    Kind("inaturalist-files", "FOLDER", "Photos of iNaturalist's open data: its four tables, as they are or unpacked.",
         "edgeapp.collect.sources.inaturalist_files:INaturalistFiles",
         "https://inaturalist-open-data.s3.amazonaws.com"),
    Kind("inaturalist", "TEXT", "Observations of iNaturalist, such as `place_id=7207&quality_grade=research`.",
         "edgeapp.collect.sources.inaturalist:INaturalist", "https://api.inaturalist.org/v1"),
    Kind("biovita", "FOLDER", "The published tables of BioVITA: metadata.csv and image_urls.csv.",
         "edgeapp.collect.sources.biovita:BioVita"),
    Kind("commons", "TEXT", "A good photo of each species from Wikimedia Commons; takes the language of Wikipedia, "
         "such as `en`.",
         "edgeapp.collect.sources.wikimedia:Commons", "https://commons.wikimedia.org/w/api.php"),
    Kind("folder", "FOLDER", "Recordings and photos of one's own, with a table or JSON files beside them.",
         "edgeapp.collect.sources.folder:Folder"),
)}
# fmt: on


def open_source(name: str, what: str, setting: Setting) -> Source:
    """A source by its name.

    Parameters
    ----------
    name : str
        Of `KINDS`.
    what : str
        The file, folder or query.
    setting : Setting

    Raises
    ------
    edgeapp.errors.CollectError, edgeapp.errors.UsageError
        It cannot be read or asked like that.
    """
    module, _, attribute = KINDS[name].made_by.partition(":")
    return getattr(importlib.import_module(module), attribute)(what, setting)
