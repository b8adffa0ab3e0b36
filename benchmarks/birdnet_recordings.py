"""Recognition of a pack made of BirdNET: recordings, mixtures, noise, and species with a few recordings alone.

    python benchmarks/birdnet_recordings.py PACK

Recordings are those of the starter data (or --data). Each is identified among all taxa of the pack, without its own
source in the gallery, in a space fitted without its fold; mixtures are two such recordings at -3 to 3 dB over field
noise. The weight of recordings (seven decision parameters of the pack) was fitted on the same recordings, with other
mixtures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from edgeapp.audio.file import FileSource
from edgeapp.pack.installed import load_pack
from edgeapp.paths import BIRDNET_TOWERS
from edgeapp.recognition.recogniser import Recogniser
from trainer.data.manifest import default_manifest, read_manifest, shared_folder
from trainer.heard import field_noise
from trainer.trunk.fusion import measure
from trainer.trunk.held_out import Query, queries, queries_of_few
from trainer.trunk.space import SPACE, Whitening
from trainer.trunk.study import REPORTED, TOPS, study

FEW = (1, 3, 5)
SOUNDSCAPE = "birdnet_soundscape_120s.flac"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", help="name or folder of a pack made of BirdNET")
    parser.add_argument("--data", type=Path, default=None, help="manifest; default: the starter data")
    parser.add_argument("--towers", type=Path, default=BIRDNET_TOWERS, help="folder of the towers in the pack")
    parser.add_argument("--mixtures", type=int, default=500)
    parser.add_argument("--keep", type=Path, help="cache file of the sound vectors")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    pack, shared = load_pack(asked.pack), shared_folder()
    manifest = read_manifest(asked.data or default_manifest())
    space = Whitening.load(asked.towers) if (asked.towers / SPACE).is_file() else None
    field = field_noise(shared / "field_recordings" if shared else None, pack.audio.rate_hz)
    studied = study(
        pack, manifest, space, field, REPORTED, asked.threads, lambda lines: None, asked.mixtures, asked.keep
    )
    classes, embedded = studied.classes, studied.embedded
    sets = {name: list(queries(embedded, classes, name)) for name in TOPS}
    sets["frogs"] = [query for query in sets["single"] if "Amphibia" in query.index.taxa[query.taxa[0]].path()]
    with_class = {classes.taxa[row].scientific_name for row in classes.rows.tolist()}
    sets["frogs, with a class"] = [query for query in sets["frogs"] if names(query) <= with_class]
    sets["frogs, without"] = [query for query in sets["frogs"] if not names(query) <= with_class]
    sets["mixture, both with a class"] = [query for query in sets["mixture"] if names(query) <= with_class]
    for name, found in sets.items():
        show(name, len(found), measure(found, pack.decision, TOPS.get(name.split(",")[0], TOPS["single"])))
    for count in FEW:
        found = list(queries_of_few(embedded, classes, count))
        show(f"{count} recordings, no class vector", len(found), measure(found, pack.decision, TOPS["single"]))
    if shared:
        soundscape(asked.pack, shared / "field_recordings" / SOUNDSCAPE)


def names(query: Query) -> set[str]:
    """Scientific names of the taxa in the sound."""
    return {query.index.taxa[row].scientific_name for row in query.taxa}


def show(name: str, count: int, metrics: dict[str, object]) -> None:
    print(f"{name} ({count}): {json.dumps(metrics)}", flush=True)


def soundscape(pack: str, path: Path) -> None:
    """Print the species that the pack detects in a recording."""
    recogniser = Recogniser(load_pack(pack), threads=1)
    windows = list(recogniser.windows(FileSource(path)))
    told = sorted({d.scientific_name for w in windows for d in w.detections if d.taxon_rank == "species"})
    print(f"{path.name}: {len(told)} species: {', '.join(told)}")


if __name__ == "__main__":
    main()
