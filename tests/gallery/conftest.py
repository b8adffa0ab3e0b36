"""A small tree of taxa with its traps, and galleries made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gallery import DecisionParameters, EncoderIdentity, Entry, Gallery, Taxon, Thumbnail, build

DIM = 8
THUMBNAIL = Thumbnail(b"\xff\xd8small", b"\xff\xd8large", 480, 320)


def make_taxon(path: str, common: str = "", synonyms: tuple[str, ...] = (), **languages: str) -> Taxon:
    """Taxon of a path of blank-separated ranks, ``-`` for an unknown one, that ends with genus and epithet."""
    *ranks, genus, epithet = path.split()
    names = [("" if name == "-" else name) for name in [*ranks, genus]]
    common_names = {"en": common, **languages} if common else dict(languages)
    return Taxon(f"{genus} {epithet}", *names, common_names=common_names, synonyms=synonyms)


@pytest.fixture
def taxa() -> list[Taxon]:
    birds = "Animalia Chordata Aves Passeriformes"
    return [
        make_taxon(f"{birds} Paridae Parus major", "Great Tit", de="Kohlmeise"),
        make_taxon(f"{birds} Paridae Parus minor", "Japanese Tit", synonyms=("Parus major minor",)),
        make_taxon(f"{birds} Muscicapidae Erithacus rubecula", "European Robin"),
        make_taxon(f"{birds} Sulidae Morus bassanus", "Northern Gannet"),
        make_taxon("Plantae Tracheophyta Magnoliopsida Rosales Moraceae Morus alba", "White Mulberry"),
        make_taxon("Animalia Chordata - Cypriniformes Cyprinidae Carassius auratus", "Goldfish"),
    ]


@pytest.fixture
def identity() -> EncoderIdentity:
    return EncoderIdentity(space="test-space", dim=DIM, pack="test 1")


@pytest.fixture
def parameters() -> DecisionParameters:
    return DecisionParameters(
        scale={"text": 20.0, "image": 20.0},
        bias={"text": 0.0, "image": 1.0},
        weight={"text": 1.0, "image": 3.0},
        null_logit=8.0,
        slope=1.0,
        offset=0.0,
        threshold=0.5,
        floor=0.6,
        evidence=0.0,
        silence_dbfs=-70.0,
        pool_windows=2,
    )


@pytest.fixture
def unit() -> Callable[[int], np.ndarray]:
    """Unit vector along one axis."""
    return lambda axis: np.eye(DIM, dtype=np.float32)[axis]


@pytest.fixture
def random_unit() -> Callable[[], np.ndarray]:
    """A new random unit vector at every call."""
    rng = np.random.default_rng(7)

    def draw() -> np.ndarray:
        vector = rng.standard_normal(DIM).astype(np.float32)
        return vector / np.linalg.norm(vector)

    return draw


@pytest.fixture
def filled(tmp_path: Path, taxa: list[Taxon], identity: EncoderIdentity, unit) -> Iterator[Path]:
    """A built gallery: every taxon has a text entry along its own axis, the first one two photos as well."""
    path = tmp_path / "filled.sqlite"
    with build(path, identity) as gallery:
        gallery.add_taxa(taxa)
        gallery.add_entries(Entry(t.scientific_name, "text", unit(row), "common") for row, t in enumerate(taxa))
        for axis, name in ((0, "a.jpg"), (6, "b.jpg")):
            photo = Entry("Parus major", "image", unit(axis), name, "An Author", "CC0", "a source", name, THUMBNAIL)
            gallery.add_entries([photo])
    yield path


@pytest.fixture
def opened(filled: Path) -> Iterator[Gallery]:
    with Gallery.open(filled) as gallery:
        yield gallery
