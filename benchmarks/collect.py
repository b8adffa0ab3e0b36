"""How long it takes to read what archives offer, and how much memory: python benchmarks/collect.py

Writes a Darwin Core Archive of so many occurrences (100,000 if not given) with a recording each, core and extension in
different orders, and takes it through the catalogue: read, match names, compare licences, choose, and describe by a
manifest and a card as if the files were here. Nothing is fetched.
Each step is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeapp.collect.catalogue import Catalogue

STEPS = ("gather", "decide", "decide again", "describe")


def main() -> None:
    """Print seconds, processor seconds and peak memory of each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps(measured(given.step, given.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), given.rows)
        print(f"{given.rows:,} occurrences, archive of {(Path(folder) / 'a.zip').stat().st_size / 1e6:.0f} MB")
        print(f"{'step':14}{'seconds':>9}{'processor':>11}{'peak MB':>9}")
        for step in STEPS:
            done = subprocess.run(
                [sys.executable, __file__, "--step", step, "--folder", folder],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
            )
            found = json.loads(done.stdout)
            print(f"{step:14}{found['s']:9.1f}{found['processor_s']:11.1f}{found['peak_mb']:9.0f}")


def write(folder: Path, rows: int) -> None:
    """An archive with the 241 columns of a GBIF download, and species that the program knows."""
    import zipfile

    from gallery import starter_taxa

    names = [taxon.scientific_name for taxon in starter_taxa()]
    terms = ["gbifID", "occurrenceID", "scientificName", "class", "recordedBy", "eventDate", "decimalLatitude"]
    terms += ["decimalLongitude", "countryCode", "mediaType"]
    terms += [f"unused{n}" for n in range(241 - len(terms))]
    media = ["gbifID", "type", "format", "identifier", "creator", "license"]
    draw = random.Random(0)

    def meta(kind: str, row_type: str, file: str, columns: list[str]) -> str:
        fields = "".join(f'<field index="{n}" term="http://x/{name}"/>' for n, name in enumerate(columns))
        key = "id" if kind == "core" else "coreid"
        return (
            f'<{kind} encoding="UTF-8" fieldsTerminatedBy="\\t" linesTerminatedBy="\\n" fieldsEnclosedBy="" '
            f'ignoreHeaderLines="1" rowType="http://x/{row_type}"><files><location>{file}</location></files>'
            f'<{key} index="0"/>{fields}</{kind}>'
        )

    order = list(range(rows))
    draw.shuffle(order)
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        core, extension = (
            meta("core", "Occurrence", "occurrence.txt", terms),
            meta("extension", "Multimedia", "multimedia.txt", media),
        )
        archive.writestr("meta.xml", f"<archive>{core}{extension}</archive>")
        with archive.open("occurrence.txt", "w", force_zip64=True) as out:
            out.write(("\t".join(terms) + "\n").encode())
            for n in range(rows):
                known = [str(n), f"https://records.example/{n}", f"{names[n % len(names)]} (Linnaeus, 1758)", "Aves"]
                known += [
                    f"Observer {n % 997}",
                    f"2024-05-{1 + n % 28:02}",
                    f"{n % 90}.5",
                    f"{n % 180}.25",
                    "DE",
                    "Sound",
                ]
                out.write(("\t".join([*known, *[""] * (len(terms) - len(known))]) + "\n").encode())
        with archive.open("multimedia.txt", "w", force_zip64=True) as out:
            out.write(("\t".join(media) + "\n").encode())
            for n in order:
                licence = "http://creativecommons.org/licenses/by/4.0/"
                row = [str(n), "Sound", "audio/mpeg", f"https://sounds.example/{n}.mp3", f"Author {n % 997}", licence]
                out.write(("\t".join(row) + "\n").encode())


def measured(step: str, folder: Path) -> dict[str, float]:
    """Seconds, processor seconds and peak memory of one step in this process."""
    from edgeapp.collect.card import Told, write_card
    from edgeapp.collect.curation import Rules
    from edgeapp.collect.manifest import write_manifest
    from edgeapp.collect.pipeline import opened
    from edgeapp.collect.plan import Plan
    from edgeapp.collect.splits import Division
    from gallery.utc import now_text

    plan = Plan(folder / "set", (("gbif-archive", str(folder / "a.zip")),), rules=Rules())
    with opened(plan, lambda line: None) as collection:
        if step == "describe":
            pretend(collection.catalogue)
        began_s, began_processor_s = time.monotonic(), time.process_time()
        if step == "gather":
            collection.gather()
        elif step == "describe":
            written = write_manifest(collection.catalogue, Division())
            write_card(collection.catalogue, written, Told("benchmark", now_text("seconds"), speech=False))
        else:
            collection.decide()
    return {
        "s": time.monotonic() - began_s,
        "processor_s": time.process_time() - began_processor_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


def pretend(catalogue: Catalogue) -> None:
    """As if every chosen file had been fetched."""
    with catalogue.transaction():
        for row in catalogue.rows("chosen"):
            catalogue.downloaded(row.key, f"audio/{row.key}.mp3", f"{row.key:064x}", 100_000)


if __name__ == "__main__":
    main()
