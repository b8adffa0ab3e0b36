"""The manifest: what it must hold, how it is split, and what an epoch draws from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gallery import Taxon
from tests.trainer import tiny as tiny_set
from trainer.errors import DataError
from trainer.manifest import Manifest, Sample, default_manifest, draw_epoch, hold_out, read_manifest

CLIP = "audio,{file},Parus major,tests,one,A. Author,CC0-1.0,"


@pytest.fixture
def written(tmp_path: Path):
    """Write a manifest of the given rows beside one recording and one photo that exist."""
    (tmp_path / "clip.wav").write_bytes(b"RIFF")
    (tmp_path / "photo.png").write_bytes(b"PNG")

    def write(*lines: str, header: str = ",".join(tiny_set.COLUMNS)) -> Path:
        path = tmp_path / "manifest.csv"
        path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
        return path

    return write


def test_recordings_and_photos_come_with_taxon_source_author_and_licence(manifest: Manifest) -> None:
    assert [taxon.scientific_name for taxon in manifest.taxa] == sorted(tiny_set.SPECIES)
    assert (len(manifest.recordings), len(manifest.photos), manifest.missing) == (21, 12, ())
    first = next(s for s in manifest.recordings if s.path.name == "Cuculus_canorus_0.wav")
    assert manifest.taxa[first.taxon].scientific_name == "Cuculus canorus"
    assert (first.source, first.author, first.licence) == (("tests", "sound Cuculus_canorus 0"), "A. Author", "CC0-1.0")


def test_rows_of_taxa_do_not_depend_on_the_order_of_the_file(written, taxa: list[Taxon]) -> None:
    lines = [f"audio,clip.wav,{name},tests,{name},,," for name in tiny_set.SPECIES]
    one, other = read_manifest(written(*lines), taxa), read_manifest(written(*reversed(lines)), taxa)
    assert one.taxa == other.taxa
    assert sorted(s.taxon for s in one.recordings) == sorted(s.taxon for s in other.recordings) == [0, 1, 2, 3]


def test_a_synonym_is_the_same_taxon(written, taxa: list[Taxon]) -> None:
    lines = [f"audio,clip.wav,{name},tests,one,,," for name in ("Parus major", "Parus robustus", "great tit")]
    read = read_manifest(written(*lines), taxa)
    assert [taxon.scientific_name for taxon in read.taxa] == ["Parus major"]
    assert [sample.taxon for sample in read.recordings] == [0, 0, 0]


def test_photos_of_nests_eggs_and_young_are_left_out(written, taxa: list[Taxon]) -> None:
    photos = [f"image,photo.png,Parus major,tests,{n},,,{n}" for n in ("adult", "nest", "eggs", "juvenile", "tadpole")]
    read = read_manifest(written(CLIP.format(file="clip.wav"), *photos), taxa)
    assert [photo.source[1] for photo in read.photos] == ["adult"]


def test_a_missing_file_is_named_with_its_line_and_the_rest_is_kept(written, taxa: list[Taxon]) -> None:
    read = read_manifest(written(CLIP.format(file="clip.wav"), CLIP.format(file="gone.wav")), taxa)
    assert len(read.recordings) == 1
    (line,) = read.missing
    assert "manifest.csv line 3" in line and "gone.wav is missing" in line and "remove the row" in line


def test_the_bytes_a_spreadsheet_puts_first_and_short_rows_do_no_harm(written, taxa: list[Taxon]) -> None:
    path = written(CLIP.format(file="clip.wav"), "audio,clip.wav,Bufo bufo", "audio")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    read = read_manifest(path, taxa)
    assert len(read.recordings) == 2 and read.recordings[1].source == ("", "")
    assert len(read.missing) == 1


@pytest.mark.parametrize(
    ("lines", "header", "says"),
    [
        (["x"], "modality,path,scientific_name,source_repo", "column source_id is missing"),
        (["video,clip.wav,Parus major,tests,one,,,"], None, "line 2: modality 'video' is unknown"),
        (["audio,clip.wav,Parus majr,tests,one,,,"], None, "did you mean Parus major"),
        (["audio,gone.wav,Parus major,tests,one,,,"], None, "no recording is left"),
        ([], None, "no recording is left"),
        (["image,photo.png,Parus major,tests,one,,,"], None, "no recording is left"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(
    written, taxa, lines: list[str], header: str | None, says: str
) -> None:
    path = written(*lines, header=header or ",".join(tiny_set.COLUMNS))
    with pytest.raises(DataError) as error:
        read_manifest(path, taxa)
    assert says in str(error.value) and "manifest.csv" in str(error.value) and error.value.exit_code == 2


def test_files_that_are_no_manifest_are_named(tmp_path: Path, taxa: list[Taxon]) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.csv").write_bytes(b"")
    for name in ("absent.csv", "binary.csv", "empty.csv", "."):
        with pytest.raises(DataError, match=str(tmp_path / name)):
            read_manifest(tmp_path / name, taxa)


def test_without_data_beside_the_project_the_remedy_is_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOVITA_SHARED", str(tmp_path))
    with pytest.raises(DataError, match="--data"):
        default_manifest()


def samples(*counts: int, pieces: int = 1) -> tuple[Sample, ...]:
    """Samples of as many sources as said, for each taxon; each source in pieces."""
    return tuple(
        Sample(Path(f"{taxon}-{source}-{piece}"), taxon, ("tests", f"{taxon}-{source}"))
        for taxon, count in enumerate(counts)
        for source in range(count)
        for piece in range(pieces)
    )


@pytest.mark.parametrize("seed", range(5))
def test_whole_sources_are_held_out_never_single_files(seed: int) -> None:
    every = samples(10, 5, 3, pieces=3)
    training, held = hold_out(every, 0.2, seed)
    assert set(training) | set(held) == set(every) and not set(training) & set(held)
    assert not {s.source for s in training} & {s.source for s in held}
    sources = {s.source: s.taxon for s in held}
    assert Counter(sources.values()) == {0: 2, 1: 1, 2: 1}


def test_a_taxon_with_one_or_two_sources_stays_in_training() -> None:
    training, held = hold_out(samples(1, 2, 3), 0.5, 1)
    assert {s.taxon for s in held} == {2}
    assert {s.taxon for s in training} == {0, 1, 2}


def test_a_source_with_two_species_stands_on_one_side() -> None:
    every = list(samples(4, 4))
    every += [replace(sample, taxon=1) for sample in every if sample.taxon == 0]
    training, held = hold_out(every, 0.25, 3)
    assert not {s.source for s in training} & {s.source for s in held}


def test_a_split_depends_on_the_seed_alone() -> None:
    every = samples(10, 10, 10)
    assert hold_out(every, 0.2, 1) == hold_out(every, 0.2, 1)
    assert hold_out(every, 0.2, 1)[1] != hold_out(every, 0.2, 2)[1]
    assert set(hold_out(every[::-1], 0.2, 1)[1]) == set(hold_out(every, 0.2, 1)[1])


def test_nothing_is_held_out_at_zero_and_more_than_half_is_refused() -> None:
    assert hold_out(samples(5), 0.0, 1) == (samples(5), ())
    for share in (-0.1, 0.51):
        with pytest.raises(DataError, match="--held-out"):
            hold_out(samples(5), share, 1)


def test_an_epoch_takes_at_most_20_all_of_a_few_and_5_of_the_rare() -> None:
    every = samples(50, 20, 7, 5, 4, 1)
    drawn = draw_epoch(every, 20, 5, np.random.default_rng(1))
    assert Counter(every[row].taxon for row in drawn) == {0: 20, 1: 20, 2: 7, 3: 5, 4: 5, 5: 5}
    for taxon in (0, 1, 2, 3):
        rows = [row for row in drawn if every[row].taxon == taxon]
        assert len(set(rows)) == len(rows)


def test_an_epoch_is_shuffled_drawn_anew_and_follows_its_generator() -> None:
    every = samples(50, 50)
    one = draw_epoch(every, 20, 5, np.random.default_rng(1))
    assert one == draw_epoch(every, 20, 5, np.random.default_rng(1))
    other = draw_epoch(every, 20, 5, np.random.default_rng(2))
    assert set(one) != set(other)
    assert [every[row].taxon for row in one] != sorted(every[row].taxon for row in one)
