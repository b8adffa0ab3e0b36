"""A mirror of all archives with recordings and photos of the starter data, and with what archives have besides.

Beside the records of `mirror.make`, each species has more of Xeno-canto and iNaturalist, records of GBIF's search, and

- GBIF's copy of a recording of Xeno-canto, which is the same encounter,
- an observation that reserves all rights,
- a record that is identified to the genus alone,
- a record under a subspecies with its author.

One species is known to the archives by another name than to the backbone.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from gallery import Taxon, starter_taxa
from tests.edgeapp.collect import mirror as mirrors
from tests.edgeapp.collect.archive_server import Archives
from tests.edgeapp.collect.mirror import CC_BY_NC, Mirror, Species

RECORDINGS, PHOTOS = 7, 4  # of each species that are taken
SPECIES = 15
OTHER_NAMES = {"Accipiter gentilis": "Astur gentilis"}  # as archives call it, and as the backbone does
CC0 = "http://creativecommons.org/publicdomain/zero/1.0/legalcode"


@dataclass
class StarterMirror:
    """The mirror, and what a collection of all of it has.

    Attributes
    ----------
    mirror : Mirror
    species : list of str
        Accepted names.
    authors : set of str
        Of all files that are taken.
    left_out : Counter of str
        Records that are not, by what their reason contains.
    """

    mirror: Mirror
    species: list[str]
    authors: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def records(self) -> int:
        """Recordings and photos that the archives offer."""
        return len(self.species) * (RECORDINGS + PHOTOS) + self.left_out.total()


def make(folder: Path, archives: Archives, starter: Path) -> StarterMirror:
    """Put records of the species with most recordings into all archives.

    Parameters
    ----------
    folder : of the files that are no server's: archives, tables, the backbone, the key
    starter : folder of the starter data
    """
    files: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    known = {taxon.scientific_name: taxon for taxon in starter_taxa()}
    with open(starter / "manifest.csv", encoding="utf-8", newline="") as manifest:
        rows = [row for row in csv.DictReader(manifest) if len(row["scientific_name"].split()) == 2]
    seen: set[str] = set()  # of one recording there are several excerpts, and of one photo copies
    for row in rows:
        if row["sha256"] not in seen:
            seen.add(row["sha256"])
            files[row["scientific_name"], row["modality"]].append(starter / row["path"])
    able = [
        name
        for name in dict.fromkeys(row["scientific_name"] for row in rows)
        if len(files[name, "audio"]) >= RECORDINGS and len(files[name, "image"]) >= PHOTOS and name in known
    ]
    assert set(OTHER_NAMES) <= set(able[:SPECIES])
    chosen = [known[name] for name in able[:SPECIES]]
    next_of = {key: (path.read_bytes() for path in paths) for key, paths in files.items()}

    def content(name: str, modality: str) -> bytes:
        return next(next_of[name, modality])

    mirror = mirrors.make(
        folder,
        archives,
        [Species(taxon.scientific_name, taxon.class_) for taxon in chosen],
        lambda one, n: content(one.name, "audio"),
        lambda one, n: content(one.name, "image"),
        each=1,
    )
    made = StarterMirror(mirror, [OTHER_NAMES.get(taxon.scientific_name, taxon.scientific_name) for taxon in chosen])
    number = iter(range(10**6, 2 * 10**6))
    for taxon in chosen:
        add_to_xeno_canto(made, taxon, next(number), content)
        add_to_inaturalist(made, taxon, [next(number), next(number)], content)
        add_to_gbif(made, taxon, number, content)
    archives.redirects |= {accepted: name for name, accepted in OTHER_NAMES.items()}  # of Wikipedia
    write_backbone(mirror.folder / "taxa.csv", chosen)
    made.authors |= {"A. Museum", "A. Walker", "A. Photographer"}
    return made


def add_to_xeno_canto(made: StarterMirror, taxon: Taxon, known: int, content: Any) -> None:
    """A second recording, of another recordist, day and place."""
    archives = made.mirror.archives
    genus, _, epithet = taxon.scientific_name.partition(" ")
    other = next(one for one in archives.xeno_canto if one["gen"] == genus and one["sp"] == epithet)
    url = archives.serve(f"/xc/{known}/download", content(taxon.scientific_name, "audio"), media_type="audio/mpeg")
    more = {"id": str(known), "rec": f"B. Recordist {known}", "lat": "48.1", "lon": "11.5", "date": "2023-04-12"}
    archives.xeno_canto.append({**other, **more, "url": f"//xeno-canto.org/{known}", "file": url})
    made.authors |= {f"B. Recordist {known}", "Recordist 0"}


def add_to_inaturalist(made: StarterMirror, taxon: Taxon, known: list[int], content: Any) -> None:
    """An observation with a recording and a photo, and one that reserves all rights."""
    archives, name = made.mirror.archives, taxon.scientific_name
    kinds = (("sounds", "audio", "file_url", "m4a"), ("photos", "image", "url", "jpg"))
    for one, licence in zip(known, ("cc-by-nc", None), strict=True):
        media: dict[str, list[dict[str, Any]]] = {}
        for many, modality, address, ending in kinds:
            path = f"/inat-static/{many}/{one}/{'square' if many == 'photos' else 'sound'}.{ending}"
            held = content(name, modality) if licence else b"never asked for"
            archives.serve(path.replace("square", "large"), held)
            if licence and many == "photos":
                archives.serve(path.replace("square", "medium"), smaller(held))
            right = f"(c) User {one}, {'some' if licence else 'all'} rights reserved"
            url = f"{archives.url}{path}"
            media[many] = [{"id": one, address: url, "license_code": licence, "attribution": right}]
        archives.inaturalist.append(
            {
                "id": one,
                "uri": f"https://www.inaturalist.org/observations/{one}",
                "quality_grade": "research",
                "taxon": {"name": name, "iconic_taxon_name": taxon.class_},
                "user": {"login": f"user{one}", "name": ""},
                "observed_on": f"2024-06-{1 + one % 28:02}",
                "location": "50.1,8.7",
                **media,
            }
        )
        if licence:
            made.authors.add(f"User {one}")
    made.left_out["licence all-rights-reserved"] += 2


def add_to_gbif(made: StarterMirror, taxon: Taxon, number: Iterator[int], content: Any) -> None:
    """A recording under a subspecies, a photo, a copy of Xeno-canto's, and a record of the genus."""
    archives, name = made.mirror.archives, taxon.scientific_name
    genus, _, epithet = name.partition(" ")
    ranks = {rank: taxon.at(rank) for rank in ("kingdom", "phylum", "class", "order", "family")}
    here = {"year": 2024, "country": "Germany", "countryCode": "DE", "decimalLatitude": 53.5, "decimalLongitude": 10.0}

    def record(called: str, media: dict[str, str], **more: Any) -> None:
        known = next(number)
        seen = {"recordedBy": f"Observer {known}", "eventDate": f"2024-04-{1 + known % 28:02}"}
        found = {"key": known, "gbifID": str(known), "occurrenceID": f"urn:record:{known}", "datasetKey": "set-1"}
        described = {"scientificName": called, "genus": genus, "media": [media]}
        archives.gbif.append({**found, **ranks, **here, **seen, **described, **more})

    sound = archives.serve(f"/gbif/{genus}_{epithet}.mp3", content(name, "audio"), media_type="audio/mpeg")
    photo = archives.serve(f"/gbif/{genus}_{epithet}.jpg", content(name, "image"), media_type="image/jpeg")
    of_sound = {"type": "Sound", "format": "audio/mpeg", "creator": "G. Sound", "license": CC_BY_NC}
    of_photo = {"type": "StillImage", "format": "image/jpeg", "creator": "G. Photo", "license": CC0}
    record(f"{name} {epithet} (Linnaeus, 1758)", {**of_sound, "identifier": sound})
    record(f"{name} Linnaeus, 1758", {**of_photo, "identifier": photo})
    copied = next(one for one in archives.xeno_canto if one["gen"] == genus and one["sp"] == epithet)
    address = f"https://xeno-canto.org/sounds/uploaded/ABC/XC{copied['id']}-{epithet}.mp3"
    record(name, {**of_sound, "identifier": address}, occurrenceID=f"https://xeno-canto.org/{copied['id']}")
    record(f"{genus} sp.", {**of_sound, "identifier": f"{archives.url}/gbif/{genus}_sp.mp3"})
    made.authors |= {"G. Sound", "G. Photo"}
    made.left_out["another source has this observation"] += 1
    made.left_out["not identified to species"] += 1


def smaller(photo: bytes) -> bytes:
    """A photo as archives give it out in another size."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as image:
        small = image.convert("RGB")
        small.thumbnail((400, 400))
        small.save(out, "JPEG")
    return out.getvalue()


def write_backbone(path: Path, taxa: list[Taxon]) -> None:
    """A species table with ranks and common names, in which some species have other names than in the archives."""
    with open(path, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        columns = ("common_name", "kingdom", "phylum", "class", "order", "family", "genus", "synonyms")
        writer.writerow(("scientific_name", *columns))
        for taxon in taxa:
            accepted = OTHER_NAMES.get(taxon.scientific_name, taxon.scientific_name)
            synonyms = taxon.scientific_name if accepted != taxon.scientific_name else ""
            writer.writerow((accepted, taxon.common_name, *taxon.path("family"), accepted.partition(" ")[0], synonyms))
