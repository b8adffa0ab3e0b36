"""Darwin Core Archives for tests: invented records in the forms that GBIF and publishers write."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

OCCURRENCE = "http://rs.tdwg.org/dwc/terms/Occurrence"
MULTIMEDIA = "http://rs.gbif.org/terms/1.0/Multimedia"
AUDUBON = "http://rs.tdwg.org/ac/terms/Multimedia"
CORE = (
    *("gbifID", "accessRights", "occurrenceID", "recordedBy", "eventDate", "decimalLatitude", "decimalLongitude"),
    *("countryCode", "scientificName", "kingdom", "phylum", "class", "order", "family", "genus", "datasetKey"),
    *("mediaType", "license", "behavior"),
)
MEDIA = ("gbifID", "type", "format", "identifier", "references", "created", "creator", "license", "rightsHolder")


def term(name: str) -> str:
    """A term's address, by the vocabulary that it is really in."""
    if name in ("gbifID", "datasetKey", "mediaType"):
        return f"http://rs.gbif.org/terms/1.0/{name}"
    if name in ("type", "format", "identifier", "references", "created", "creator", "license", "rightsHolder"):
        return f"http://purl.org/dc/terms/{name}"
    if name in ("accessURI", "furtherInformationURL"):
        return f"http://rs.tdwg.org/ac/terms/{name}"
    return f"http://rs.tdwg.org/dwc/terms/{name}"


def table_of(
    kind: str,
    row_type: str,
    location: str,
    columns: Sequence[str],
    attributes: Mapping[str, str],
    defaults: Mapping[str, str],
    id_index: int = 0,
) -> str:
    """One table of a meta.xml."""
    given = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items())
    fields = [f'<field index="{n}" term="{term(name)}"/>' for n, name in enumerate(columns) if name]
    fields += [f'<field default={quoteattr(value)} term="{term(name)}"/>' for name, value in defaults.items()]
    key = "id" if kind == "core" else "coreid"
    return (
        f'<{kind} {given} rowType="{row_type}"><files><location>{location}</location></files>'
        f'<{key} index="{id_index}"/>{"".join(fields)}</{kind}>'
    )


def write_archive(
    path: Path,
    core: Iterable[Sequence[str]],
    media: Iterable[Sequence[str]] | None,
    *,
    core_columns: Sequence[str] = CORE,
    media_columns: Sequence[str] = MEDIA,
    separator: str = "\t",
    quote: str = "",
    encoding: str = "UTF-8",
    header: bool = True,
    counted: bool = True,
    end: str = "\n",
    defaults: Mapping[str, str] | None = None,
    row_type: str = MULTIMEDIA,
    rubbish: bool = False,
    inner: str = "",
) -> Path:
    """Write an archive: a ZIP file, or a folder where `path` has no extension.

    Parameters
    ----------
    quote : str
        Encloses every field.
    header, counted : bool
        Whether the tables have a line with their columns, and whether meta.xml counts it.
    defaults : mapping
        Of the core.
    rubbish : bool
        What macOS puts into ZIP files is in it as well.
    inner : str
        Folder inside the ZIP file.
    """
    spelled = {"\t": "\\t", "\n": "\\n", "\r\n": "\\r\\n"}
    attributes = {
        "encoding": encoding,
        "fieldsTerminatedBy": spelled.get(separator, separator),
        "linesTerminatedBy": spelled.get(end, end),
        "fieldsEnclosedBy": quote,
        "ignoreHeaderLines": str(int(header and counted)),
    }

    def lines(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
        whole = [columns, *rows] if header else rows
        return "".join(separator.join(_enclosed(cell, quote) for cell in row) + end for row in whole).encode(encoding)

    tables = [table_of("core", OCCURRENCE, "occurrence.txt", core_columns, attributes, defaults or {})]
    files = {"occurrence.txt": lines(core_columns, core)}
    if media is not None:
        tables.append(table_of("extension", row_type, "multimedia.txt", media_columns, attributes, {}))
        files["multimedia.txt"] = lines(media_columns, media)
    files["meta.xml"] = f'<archive xmlns="http://rs.tdwg.org/dwc/text/">{"".join(tables)}</archive>'.encode()
    if path.suffix != ".zip":
        path.mkdir(parents=True)
        for name, content in files.items():
            (path / name).write_bytes(content)
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if rubbish:
            archive.writestr("__MACOSX/._meta.xml", b"\0\5\26\7")
            archive.writestr("__MACOSX/meta.xml", b"\0\5\26\7")
        for name, content in files.items():
            archive.writestr(f"{inner}{name}", content)
    return path


def _enclosed(cell: str, quote: str) -> str:
    return f"{quote}{cell.replace(quote, quote * 2)}{quote}" if quote else cell


def occurrence(number: int, name: str = "Parus major Linnaeus, 1758", **more: str) -> list[str]:
    """A row of the core."""
    values = {
        "gbifID": str(number),
        "occurrenceID": f"https://records.example/{number}",
        "recordedBy": f"Observer {number % 5}",
        "eventDate": f"2024-05-{1 + number % 28:02}T06:30:00",
        "decimalLatitude": "52.5",
        "decimalLongitude": "13.4",
        "countryCode": "DE",
        "scientificName": name,
        "kingdom": "Animalia",
        "phylum": "Chordata",
        "class": "Aves",
        "genus": name.partition(" ")[0],
        "datasetKey": "00000000-aaaa-bbbb-cccc-000000000001",
        "mediaType": "Sound",
        **more,
    }
    return [values.get(column, "") for column in CORE]


def multimedia(number: int, url: str, **more: str) -> list[str]:
    """A row of the extension."""
    values = {
        "gbifID": str(number),
        "type": "Sound",
        "format": "audio/mpeg",
        "identifier": url,
        "references": f"https://records.example/{number}/media",
        "creator": "A. Recordist",
        "license": "http://creativecommons.org/licenses/by-nc-sa/4.0/",
        "rightsHolder": "A Museum",
        **more,
    }
    return [values.get(column, "") for column in MEDIA]


def changed(folder: Path, *pairs: tuple[str, str]) -> Path:
    """An archive with other words in its meta.xml."""
    meta = (folder / "meta.xml").read_text()
    for old, new in pairs:
        assert old in meta
        meta = meta.replace(old, new)
    (folder / "meta.xml").write_text(meta)
    return folder
