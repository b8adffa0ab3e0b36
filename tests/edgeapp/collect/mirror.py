"""A small mirror of all archives, with recordings and photos behind every record."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.edgeapp.collect.archive_server import KEY, Archives
from tests.edgeapp.collect.darwin_core_archives import multimedia, occurrence, write_archive

CC_BY, CC_BY_NC = "http://creativecommons.org/licenses/by/4.0/", "http://creativecommons.org/licenses/by-nc/4.0/"


@dataclass(frozen=True)
class Species:
    """A species of the mirror, with its class."""

    name: str
    class_: str


@dataclass
class Mirror:
    """Where the mirror is.

    Attributes
    ----------
    options : list of str
        Of `collect`: every source, its addresses, the key.
    """

    folder: Path
    archives: Archives
    options: list[str]
    recordings: int = 0
    photos: int = 0


def make(
    folder: Path,
    archives: Archives,
    species: list[Species],
    recording: Callable[[Species, int], bytes],
    photo: Callable[[Species, int], bytes],
    each: int = 2,
) -> Mirror:
    """Put records of every species into every archive.

    Parameters
    ----------
    recording, photo : callable
        Content of the next recording or photo of a species.
    each : int
        Recordings, and photos, of a species in each archive that has them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mirror = Mirror(folder, archives, [])
    number = iter(range(1000, 10**6))

    def sound(one: Species, path: str) -> str:
        mirror.recordings += 1
        return archives.serve(path, recording(one, mirror.recordings), media_type="audio/mpeg")

    def picture(one: Species, path: str) -> str:
        mirror.photos += 1
        return archives.serve(path, photo(one, mirror.photos), media_type="image/jpeg")

    core: list[list[str]] = []
    media: list[list[str]] = []
    bio: list[dict[str, str]] = []
    tables: dict[str, list[list[str]]] = {
        "taxa": [["taxon_id", "ancestry", "rank_level", "rank", "name", "active"]],
        "observers": [["observer_id", "login", "name"], ["1", "walker", "A. Walker"]],
        "observations": [
            ["observation_uuid", "observer_id", "latitude", "longitude", "taxon_id", "quality_grade", "observed_on"]
        ],
        "photos": [["photo_uuid", "photo_id", "observation_uuid", "observer_id", "extension", "license"]],
    }
    classes = {name: str(n + 1) for n, name in enumerate(sorted({one.class_ for one in species}))}
    tables["taxa"] += [[key, "", "50", "class", name, "true"] for name, key in classes.items()]
    for one in species:
        genus, _, epithet = one.name.partition(" ")
        taxon = str(next(number))
        tables["taxa"].append([taxon, classes[one.class_], "10", "species", one.name, "true"])
        for n in range(each):
            known = next(number)
            core.append(occurrence(known, f"{one.name} (Linnaeus, 1758)", **{"class": one.class_}))
            media.append(
                multimedia(known, sound(one, f"/museum/{known}_short.mp3"), creator="A. Museum", license=CC_BY)
            )
            known = next(number)
            archives.xeno_canto.append(
                {
                    "id": str(known),
                    "gen": genus,
                    "sp": epithet,
                    "ssp": "",
                    "grp": {"Aves": "birds", "Amphibia": "frogs"}.get(one.class_, ""),
                    "en": "",
                    "rec": f"Recordist {n}",
                    "cnt": "Germany",
                    "lat": "52.5",
                    "lon": "13.4",
                    "type": "song",
                    "url": f"//xeno-canto.org/{known}",
                    "file": sound(one, f"/xc/{known}/download"),
                    "lic": "//creativecommons.org/licenses/by-nc-sa/4.0/",
                    "q": "AB"[n % 2],
                    "length": "0:08",
                    "time": "05:30",
                    "date": f"2024-05-{1 + known % 28:02}",
                    "also": [],
                }
            )
            known = next(number)
            archives.inaturalist.append(
                {
                    "id": known,
                    "uri": f"https://www.inaturalist.org/observations/{known}",
                    "quality_grade": "research",
                    "taxon": {"name": one.name, "iconic_taxon_name": one.class_},
                    "user": {"login": f"user{known}", "name": ""},
                    "observed_on": "2024-05-01",
                    "location": "52.5,13.4",
                    "sounds": [
                        {
                            "id": known,
                            "file_url": sound(one, f"/inat-static/sounds/{known}.m4a"),
                            "license_code": "cc-by-nc",
                            "attribution": f"(c) User {known}, some rights reserved (CC BY-NC)",
                        }
                    ],
                    "photos": [],
                }
            )
            known = next(number)
            tables["observations"].append([f"uuid-{known}", "1", "52.5", "13.4", taxon, "research", "2024-05-01"])
            tables["photos"].append(["", str(known), f"uuid-{known}", "1", "jpg", "CC-BY"])
            picture(one, f"/open-data/photos/{known}/large.jpg")
            known = next(number)
            bio.append(
                {
                    "file_name": "",
                    "download_url": sound(one, f"/bio/{known}.ogg"),
                    "source": "asa",
                    "recording_id": str(known),
                    "scientific_name": one.name,
                    "accepted_name": one.name,
                    "class": one.class_,
                    "license": "CC0",
                }
            )
        title = f"{one.name}.jpg"
        archives.wikipedia[one.name] = title
        archives.commons[f"File:{title}"] = {
            "url": picture(one, f"/upload/{one.name.replace(' ', '_')}.jpg"),
            "descriptionurl": f"https://commons.example/wiki/File:{title}",
            "mime": "image/jpeg",
            "width": 640,
            "height": 480,
            "extmetadata": {"LicenseShortName": {"value": "CC BY-SA 4.0"}, "Artist": {"value": "A. Photographer"}},
        }
    write_archive(folder / "museum.zip", core, media)
    for name, rows in tables.items():
        (folder / "open-data").mkdir(exist_ok=True)
        with gzip.open(folder / "open-data" / f"{name}.csv.gz", "wt", encoding="utf-8") as out:
            out.writelines("\t".join(row) + "\n" for row in rows)
    (folder / "biovita").mkdir(exist_ok=True)
    with open(folder / "biovita" / "metadata.csv", "w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(bio[0]))
        writer.writeheader()
        writer.writerows(bio)
    with open(folder / "taxa.csv", "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("scientific_name", "common_name", "kingdom", "phylum", "class", "order", "family", "genus"))
        writer.writerows(
            (one.name, "", "Animalia", "Chordata", one.class_, "", "", one.name.partition(" ")[0]) for one in species
        )
    (folder / "key").write_text(f"{KEY}\n")
    mirror.options = [
        *("--gbif-archive", str(folder / "museum.zip"), "--xeno-canto", "cnt:germany"),
        *("--inaturalist", "place_id=7207", "--inaturalist-files", str(folder / "open-data")),
        *("--biovita", str(folder / "biovita"), "--commons", "en", "--xeno-canto-key-file", str(folder / "key")),
        *(word for name, url in archives.addresses.items() for word in ("--address", f"{name}={url}")),
        *("--taxonomy", str(folder / "taxa.csv"), "--rate", "2000", "--keep-free", "0"),
    ]
    return mirror
