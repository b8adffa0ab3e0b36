"""How long a gallery of 6,500 species waits for its pictures on a slow line: python benchmarks/slow_line.py

Runs `biovita-edge gallery photos add` for a part of the species against a server of iNaturalist's interface on this
machine, whose files share a line of so many bytes a second and which is busy now and then (429). The command is killed
twice and goes on. Printed are what was asked and fetched and how long it took, and the hours for 6,500 species: one
request a second to iNaturalist's interface, as its rules ask, and the photos over the line.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gallery.taxon import Taxon
    from tests.edgeapp.collect.archive_server import Archives

PROJECT = Path(__file__).resolve().parent.parent
ALL = 6500
API_PER_S = 1.0  # of api.inaturalist.org; see edgeapp/collect/pace.py
EACH = 3
PIXELS, GRAIN = (500, 375), 60  # of a photo: about 60 kB


def main() -> None:
    """Run the command three times and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--species", type=int, default=200)
    parser.add_argument("--bytes-per-s", type=float, default=250_000.0)
    parser.add_argument("--busy-every", type=int, default=40)
    given = parser.parse_args()
    from edgeapp.pack.format import Pack
    from edgeapp.paths import STARTER_PACK
    from gallery.store import Gallery
    from tests.edgeapp.collect.archive_server import archive_server

    with tempfile.TemporaryDirectory() as folder, archive_server() as archives:
        with Gallery.open(Pack.load(STARTER_PACK).gallery_path()) as gallery:
            taxa = gallery.taxa()[: given.species]
        names = [taxon.scientific_name for taxon in taxa]
        size = fill(archives, taxa)
        archives.line_bytes_per_s, archives.busy_every = given.bytes_per_s, given.busy_every
        out = Path(folder) / "my.sqlite"
        (Path(folder) / "list.txt").write_text("\n".join(names))
        addresses = [word for name, url in archives.addresses.items() for word in ("--address", f"{name}={url}")]
        words = ["gallery", "photos", "add", str(out), "--pack", str(STARTER_PACK), "--source", "inaturalist"]
        words += ["--species-list", str(Path(folder) / "list.txt"), "--keep-free", "0", *addresses]
        total = len(names) * EACH
        began_s = time.monotonic()
        ended = [run(words, out, killed_at) for killed_at in (total // 3, 2 * total // 3, None)]
        took_s = time.monotonic() - began_s
        with Gallery.open(out) as gallery:
            photos = gallery.entries("image")
        questions, files = archives.questions("/inat"), [path for path in archives.asked if path in archives.files]
        fetched = size * total
        print(f"{len(names)} species, {total} photos of {size / 1000:.0f} kB on average, exit codes {ended}")
        print(f"{len(photos)} photos in the gallery, {len({one.sha256 for one in photos})} of them different")
        print(f"{len(questions)} questions, {len(files)} requests for files, {len(set(files))} of them different")
        print(f"{took_s:.0f} s in three runs, {fetched / took_s / 1000:.0f} kB/s of {given.bytes_per_s / 1000:.0f}")
    api_h = ALL * len(questions) / len(names) / API_PER_S / 3600
    line_h = ALL * EACH * size / given.bytes_per_s / 3600
    print(f"{ALL:,} species: {api_h:.1f} h of questions, {line_h:.1f} h of photos, {api_h + line_h:.1f} h in all")


def run(words: list[str], gallery: Path, killed_at: int | None) -> int:
    """Run the command; it is killed once so many photos are here."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen([sys.executable, "-m", "edgeapp", *words], env=environment) as process:
        while process.poll() is None:
            time.sleep(0.2)
            here = len(list(Path(f"{gallery}.photos").glob("image/*/*")))
            if killed_at is not None and here >= killed_at:
                process.send_signal(signal.SIGKILL)
                break
    return process.returncode


def fill(archives: Archives, taxa: list[Taxon]) -> float:
    """Photos of every species on the server; their mean size in bytes."""
    import numpy as np
    from PIL import Image

    rng, sizes = np.random.default_rng(0), []
    for n, taxon in enumerate(taxa):
        for known in range(10 * n + 1, 10 * n + 1 + EACH):
            coarse = rng.integers(0, 255, (GRAIN, GRAIN, 3), np.uint8)
            picture = Image.fromarray(coarse).resize(PIXELS, Image.Resampling.BICUBIC)
            noise = Image.effect_noise(PIXELS, 25).convert("RGB")
            out = io.BytesIO()
            Image.blend(picture, noise, 0.3).save(out, "JPEG", quality=85)
            sizes.append(len(out.getvalue()))
            url = archives.serve(f"/photos/{known}/medium.jpg", out.getvalue(), media_type="image/jpeg")
            archives.inaturalist.append(
                {
                    "id": known,
                    "quality_grade": "research",
                    "taxon": {"name": taxon.scientific_name, "iconic_taxon_name": taxon.class_},
                    "user": {"login": f"user{known}"},
                    "photos": [{"id": known, "url": url, "license_code": "cc-by", "attribution": f"(c) {known}"}],
                }
            )
    return sum(sizes) / len(sizes)


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    main()
