"""Small checklists in the layouts that backbones come in; their names are made up where that does not matter."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

GBIF_COLUMNS = (
    *("taxonID", "parentNameUsageID", "acceptedNameUsageID", "scientificName", "scientificNameAuthorship"),
    *("canonicalName", "taxonRank", "taxonomicStatus", "kingdom", "phylum", "class", "order", "family", "genus"),
)
BIRD = ["Animalia", "Chordata", "Aves", "Passeriformes"]
TIT, CROW = [*BIRD, "Paridae", "Parus"], [*BIRD, "Corvidae", "Corvus"]


def usage(
    id: str,
    name: str,
    rank: str = "species",
    parent: str = "",
    accepted: str = "",
    author: str = "",
    *,
    status: str = "",
    above: Sequence[str] = (),
) -> list[str]:
    """A row of a Darwin Core taxon table."""
    full = f"{name} {author}".strip()
    status = status or ("synonym" if accepted else "accepted")
    return [id, parent, accepted, full, author, name, rank, status, *above, *[""] * (6 - len(above))]


TAXA = [
    usage("1", "Animalia", "kingdom"),
    usage("2", "Chordata", "phylum", "1"),
    usage("3", "Aves", "class", "2"),
    usage("4", "Passeriformes", "order", "3"),
    usage("5", "Paridae", "family", "4"),
    usage("6", "Parus", "genus", "5", author="Linnaeus, 1758"),
    usage("7", "Parus major", "species", "6", author="Linnaeus, 1758"),
    usage("8", "Parus major major", "subspecies", "7"),
    usage("9", "Parus fringillago", "species", "6", "7", "Pallas, 1811"),
    usage("10", "Corvidae", "family", "4"),
    usage("11", "Corvus", "genus", "10"),
    usage("12", "Corvus cornix", "species", "11", author="Linnaeus, 1758"),
    usage("13", "Corvus corone", "species", "11", author="Linnaeus, 1758"),
    usage("14", "Corvus corone cornix", "subspecies", "13", "12"),
    usage("15", "Poecile montanus", "species", "5"),
    usage("16", "Plantae", "kingdom"),
    usage("17", "Prunella", "genus", "16"),
    usage("18", "Prunella vulgaris", "species", "17", author="L."),
    usage("19", "Insecta", "class", "1"),
    usage("20", "Aus bus", "species", "19", author="Smith, 1900"),
    usage("21", "Aus bus", "species", "3", author="Jones, 1910"),
    usage("22", "Round one", "species", "", "23"),
    usage("23", "Round two", "species", "", "22"),
    usage("24", "Lost cause", "species", "999"),
    usage("25", "Nowhere synonymus", "species", "", "998"),
    usage("26", "Gallus gallus", "species", "3"),
    usage("27", "Canis lupus", "species", "2"),
    usage("28", "Canis familiaris", "species", "2"),
    usage("29", "Canis lupus familiaris", "subspecies", "27", "28"),
    usage("30", "Snake eater", "family", "31"),
    usage("31", "Tail biter", "order", "30"),
    usage("32", "Ouro boros", "species", "30"),
    usage("33", "Sylvia twins", "species", "4"),
    usage("34", "Sylvia twins", "species", "4", "7", status="misapplied"),
]  # fmt: skip
COMMON_NAMES = [
    ["7", "Great tit", "eng", "false"],
    ["7", "Great Tit", "en", "true"],
    ["7", "Kohlmeise", "deu", ""],
    ["12", "Nebelkrähe", "German", ""],
]


def tabbed(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in [columns, *rows])


def meta(core: str, columns: Sequence[str], common: str = "", delimiter: str = "\\t") -> str:
    """A meta.xml of a taxon core, and common names beside it."""
    term = "http://rs.tdwg.org/dwc/terms"
    fields = "".join(f'<field index="{at}" term="{term}/{name}"/>' for at, name in enumerate(columns))
    head = f'encoding="UTF-8" fieldsTerminatedBy="{delimiter}" fieldsEnclosedBy="" ignoreHeaderLines="1"'
    extension = (
        f'<extension {head} rowType="http://rs.gbif.org/terms/1.0/VernacularName"><files><location>{common}</location>'
        '</files><coreid index="0"/><field index="1" term="http://rs.tdwg.org/dwc/terms/vernacularName"/>'
        '<field index="2" term="http://purl.org/dc/terms/language"/>'
        '<field index="3" term="http://rs.gbif.org/terms/1.0/isPreferredName"/></extension>'
    )
    return (
        f'<?xml version="1.0"?><archive xmlns="http://rs.tdwg.org/dwc/text/"><core {head} '
        f'rowType="{term}/Taxon"><files><location>{core}</location></files><id index="0"/>{fields}'
        f"</core>{extension if common else ''}</archive>"
    )


def written(path: Path, files: Mapping[str, str]) -> Path:
    """A folder, or a ZIP if the path says so, with text files."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return path
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text, encoding="utf-8")
    return path


def darwin_core(path: Path, rows: Sequence[Sequence[str]] = TAXA) -> Path:
    return written(
        path,
        {
            "meta.xml": meta("Taxon.tsv", GBIF_COLUMNS, "VernacularName.tsv"),
            "Taxon.tsv": tabbed(GBIF_COLUMNS, rows),
            "VernacularName.tsv": tabbed(["taxonID", "vernacularName", "language", "isPreferredName"], COMMON_NAMES),
        },
    )


def coldp(path: Path) -> Path:
    """The same names as one NameUsage table, as Catalogue of Life gives them."""
    columns = [f"col:{name}" for name in ("ID", "parentID", "status", "scientificName", "authorship", "rank")]
    rows = [
        [row[0], row[2] or row[1], row[7], row[5], row[4], row[6]] for row in TAXA if row[0] not in ("22", "23")
    ]  # fmt: skip
    common = [[usage, language, name] for usage, name, language, _ in COMMON_NAMES]
    return written(
        path,
        {
            "metadata.yaml": "title: made up\n",
            "NameUsage.tsv": tabbed(columns, rows),
            "VernacularName.tsv": tabbed(["col:taxonID", "col:language", "col:name"], common),
        },
    )


def coldp_apart(path: Path) -> Path:
    """The same names as ColDP with three tables, comma-separated."""
    accepted = [row for row in TAXA if not row[2]]
    synonyms = [row for row in TAXA if row[2] and row[0] not in ("22", "23")]
    names = [[f"n{row[0]}", row[5], row[4], row[6]] for row in TAXA]
    files = {
        "name.csv": [["ID", "scientificName", "authorship", "rank"], *names],
        "taxon.csv": [["ID", "parentID", "nameID"], *([row[0], row[1], f"n{row[0]}"] for row in accepted)],
        "synonym.csv": [["taxonID", "nameID", "status"], *([row[2], f"n{row[0]}", row[7]] for row in synonyms)],
        "vernacular-name.csv": [["taxonID", "name", "language"], *(row[:3] for row in COMMON_NAMES)],
    }
    text = {
        name: "".join(",".join(f'"{value}"' for value in row) + "\n" for row in rows) for name, rows in files.items()
    }
    return written(path, text)
