from pathlib import Path

import numpy as np
import pytest

from gallery import Entry, GalleryError, Index, Taxon, TaxonError, build


@pytest.fixture
def entries(taxa: list[Taxon], random_unit) -> list[Entry]:
    """Several entries of every taxon but the last, of two modalities."""
    return [
        Entry(taxon.scientific_name, modality, random_unit(), f"{modality} {number}")
        for number in range(4)
        for taxon in taxa[:-1]
        for modality in ("text", "image")
    ]


@pytest.fixture(params=["file", "memory"])
def index(request, tmp_path: Path, taxa: list[Taxon], identity, entries: list[Entry]) -> Index:
    """The same index from a gallery file and from memory: every test holds for both."""
    if request.param == "memory":
        return Index.of_entries(taxa, entries)
    with build(tmp_path / "g.sqlite", identity) as gallery:
        gallery.add_taxa(taxa)
        assert gallery.add_entries(entries).rejected == ()
        return Index.of(gallery)


def test_a_centroid_is_the_unit_mean_of_a_taxon_s_entries(index: Index, taxa, entries: list[Entry]):
    assert (index.modalities, index.dim) == (("text", "image"), 8)
    for row, taxon in enumerate(taxa[:-1]):
        vectors = [e.vector for e in entries if e.modality == "image" and e.scientific_name == taxon.scientific_name]
        mean = np.mean(vectors, axis=0)
        np.testing.assert_allclose(index.centroids["image"][row], mean / np.linalg.norm(mean), atol=1e-6)


def test_a_taxon_without_entries_is_absent_with_a_zero_row(index: Index):
    assert index.present["text"].tolist() == [True] * 5 + [False]
    assert not index.centroids["text"][5].any()


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["aves"], [0, 1, 2, 3]),
        (["Parus"], [0, 1]),
        (["Great Tit", "Plantae"], [0, 4]),
        (["Parus", "Parus major"], [0, 1]),
    ],
)
def test_only_keeps_the_taxa_at_or_below_a_name(index: Index, taxa: list[Taxon], names, rows):
    kept = index.only(names)
    assert kept.taxa == [taxa[row] for row in rows]
    np.testing.assert_allclose(kept.centroids["text"], index.centroids["text"][rows], atol=1e-6)


def test_only_refuses_an_unknown_name_and_a_taxon_without_vectors(index: Index):
    with pytest.raises(TaxonError, match="did you mean Parus"):
        index.only(["Parusz"])
    with pytest.raises(GalleryError, match="no vectors of Goldfish; add photos or recordings"):
        index.only(["Goldfish"])


def test_vectors_that_cancel_out_leave_the_taxon_absent(taxa: list[Taxon], unit):
    both = [Entry("Parus major", "text", sign * unit(0), f"{sign}") for sign in (1, -1)]
    index = Index.of_entries(taxa, [*both, Entry("Parus minor", "text", unit(1), "x")])
    assert index.present["text"][:2].tolist() == [False, True]


def test_photos_without_vectors_are_not_compared(index: Index, taxa: list[Taxon], entries: list[Entry]):
    photo = Entry("Carassius auratus", "image", None, "a.jpg")
    np.testing.assert_array_equal(
        Index.of_entries(taxa, [photo, *entries]).centroids["image"], Index.of_entries(taxa, entries).centroids["image"]
    )


def test_a_gallery_without_vectors_has_nothing_to_search(tmp_path: Path, identity, taxa: list[Taxon]):
    with build(tmp_path / "g.sqlite", identity) as gallery:
        gallery.add_taxa(taxa)
        with pytest.raises(GalleryError, match="has no vectors; add a species"):
            Index.of(gallery)


def test_arrays_that_do_not_fit_the_taxa_are_refused(taxa: list[Taxon]):
    with pytest.raises(GalleryError, match=r"shape \[3, 8\] do not fit 6 taxa"):
        Index(taxa, {"text": np.ones((3, 8))})


def test_a_bad_entry_in_memory_is_named(taxa: list[Taxon], unit):
    with pytest.raises(GalleryError, match="Parus ater, x: taxon is not in the list"):
        Index.of_entries(taxa, [Entry("Parus ater", "text", unit(0), "x")])


def test_reading_in_pieces_changes_nothing(tmp_path: Path, taxa, identity, entries, monkeypatch: pytest.MonkeyPatch):
    with build(tmp_path / "g.sqlite", identity) as gallery:
        gallery.add_taxa(taxa)
        gallery.add_entries(entries)
        whole = Index.of(gallery)
        monkeypatch.setattr("gallery.centroids.ROWS_PER_READ", 3)
        pieces = Index.of(gallery)
    for modality in whole.modalities:
        np.testing.assert_allclose(pieces.centroids[modality], whole.centroids[modality], atol=1e-6)
