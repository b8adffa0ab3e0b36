"""The manifest: what it must hold, how it is split, and what an epoch draws from it."""

from __future__ import annotations

import builtins
import hashlib
import os
import pickle
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from gallery import Taxon, starter_taxa
from tests.trainer import tiny as tiny_set
from trainer.data.manifest import Manifest, Sample, Samples, default_manifest, draw_epoch, hold_out, read_manifest
from trainer.data.pictures import PictureStore
from trainer.data.sounds import SoundStore
from trainer.errors import DataError

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
    names = ("Parus major", "Parus robustus", "great tit")
    lines = [f"audio,{row}.wav,{name},tests,one,,," for row, name in enumerate(names)]
    read = read_manifest(written(*lines), taxa)
    assert [taxon.scientific_name for taxon in read.taxa] == ["Parus major"]
    assert [sample.taxon for sample in read.recordings] == [0, 0, 0]


def test_photos_of_nests_eggs_and_young_are_left_out(written, taxa: list[Taxon]) -> None:
    notes = ("adult", "nest", "Eggs", "juvenile", "tadpole", "chicks", "at Nestor Lake")
    photos = [f"image,{note}.png,Parus major,tests,{note},,,{note}" for note in notes]
    read = read_manifest(written(CLIP.format(file="clip.wav"), *photos), taxa)
    assert [photo.source[1] for photo in read.photos] == ["adult", "at Nestor Lake"]


def test_a_missing_file_is_named_by_its_decoder_and_the_rest_kept(
    written, tiny: tiny_set.Tiny, taxa: list[Taxon]
) -> None:
    clip, photo = (tiny.manifest.parent / name for name in ("Parus_major_0.wav", "Parus_major_0.png"))
    lines = [CLIP.format(file=clip), CLIP.format(file="gone.wav")]
    lines += [
        line.replace("audio", "image").replace("gone.wav", "gone.png").replace(str(clip), str(photo)) for line in lines
    ]
    read = read_manifest(written(*lines), taxa)
    assert read.missing == () and (len(read.recordings), len(read.photos)) == (2, 2)
    for store, name in ((SoundStore(read.recordings, 16_000), "gone.wav"), (PictureStore(read.photos, 32), "gone.png")):
        assert len(store) == 1
        (line,) = store.undecodable
        assert name in line and "; " in line


def test_when_not_one_file_is_there_the_first_is_named(written, taxa: list[Taxon]) -> None:
    read = read_manifest(written(CLIP.format(file="gone.wav"), CLIP.format(file="away.wav")), taxa)
    with pytest.raises(DataError, match="gone.wav"):
        SoundStore(read.recordings, 16_000)


def test_the_bytes_a_spreadsheet_puts_first_and_short_rows_do_no_harm(written, taxa: list[Taxon]) -> None:
    path = written(CLIP.format(file="clip.wav"), "audio,toad.wav,Bufo bufo", "audio")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    read = read_manifest(path, taxa)
    assert len(read.recordings) == 2 and read.recordings[1].source == ("", "toad.wav")
    (line,) = read.missing
    assert "manifest.csv line 4: no species is named; fill in scientific_name" in line


@pytest.mark.parametrize(
    ("lines", "header", "says"),
    [
        (["x"], "modality,path,scientific_name,source_repo", "column source_id is missing"),
        (["video,clip.wav,Parus major,tests,one,,,"], None, "line 2: modality 'video' is unknown"),
        (["audio,clip.wav,Parus majr,tests,one,,,"], None, "did you mean Parus major"),
        ([], None, "no usable recording"),
        (["image,photo.png,Parus major,tests,one,,,"], None, "no usable recording"),
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


def plain_hold_out(every: Iterable[Sample], share: float, seed: int) -> set[tuple[str, str]]:
    """The held-out sources, worked out sample by sample: the split that checkpoints were trained with."""
    sources = defaultdict(set)
    for sample in every:
        sources[sample.taxon].add(sample.source)
    rng, held = np.random.default_rng(seed), set()
    for taxon in sorted(sources):
        ordered = sorted(sources[taxon])
        if len(ordered) > 2:
            held |= {ordered[at] for at in rng.permutation(len(ordered))[: max(1, round(share * len(ordered)))]}
    return held


def plain_draw(every: Iterable[Sample], most: int, least: int, rng: np.random.Generator) -> list[int]:
    """An epoch, drawn taxon by taxon."""
    rows = defaultdict(list)
    for row, sample in enumerate(every):
        rows[sample.taxon].append(row)
    drawn = []
    for _, have in sorted(rows.items()):
        if len(have) >= most:
            drawn += rng.choice(have, most, replace=False).tolist()
        elif len(have) < least:
            drawn += rng.choice(have, least, replace=True).tolist()
        else:
            drawn += have
    rng.shuffle(drawn)
    return drawn


def scattered(seed: int) -> list[str]:
    """Lines of a manifest of 300 recordings, sources shared between taxa and files, named in several scripts."""
    rng = np.random.default_rng(seed)
    letters = ("a", "Z", "é", "ä10", "10", "9", "鳥", "🐦", "", "a b")
    return [
        f"audio,{row}.wav,{tiny_set.SPECIES[rng.integers(4)]},{letters[rng.integers(10)]},{letters[rng.integers(10)]},,,"
        for row in range(300)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_columns_are_split_and_drawn_as_single_samples_are(written, taxa: list[Taxon], seed: int) -> None:
    columns = read_manifest(written(*scattered(seed)), taxa).recordings
    singly = tuple(columns)
    for share in (0.1, 0.2, 0.5):
        training, held = hold_out(columns, share, seed)
        expected = plain_hold_out(singly, share, seed)
        assert isinstance(held, Samples) and {sample.source for sample in held} == expected
        assert (tuple(training), tuple(held)) == hold_out(singly, share, seed)
        assert sorted((*training, *held), key=singly.index) == list(singly)
        for most, least in ((20, 5), (500, 100), (3, 1)):
            drawn = draw_epoch(training, most, least, np.random.default_rng(seed))
            assert drawn == plain_draw(training, most, least, np.random.default_rng(seed))
            assert drawn == draw_epoch(tuple(training), most, least, np.random.default_rng(seed))


HELD_OUT = {  # share 0.2, seed 1: (training, held out, digest of the held-out paths)
    "recordings": (524, 114, "784795d1dad6130b70de95da1f1b63dc13e4bb83494f20d7cedea80585bf87cb"),
    "photos": (446, 26, "5b5fcb1cbdc1b66404c5b313b8ee06b95f0679abd6c367eea47f14c122aa67c9"),
}
DRAWN = {  # (kind, seed): digest of the rows of an epoch of at most 20 and at least 5
    ("recordings", 1): "9d3425f191969a87d9e87f2ae2d73f3595221cbc1c2f16d947184d13307380ed",
    ("recordings", 2): "e6bab481a13517ed6075e44db675383fd01cc33884a71107d215e1a2a82f4c56",
    ("recordings", 3): "434abfc6b4847647881ed19770c39f56b86cce208f0ef030b4c0ba881566908d",
    ("photos", 1): "725dbb40dd11c57264b310bd5dab038574641fad442ad6b0fb6c065d560f4cb2",
    ("photos", 2): "b3a8edce980d9ef715477eead9921aab9c40608d7eabb10ec4e202bf407bc36d",
    ("photos", 3): "c00eee7ff0fbaac01db19d77aca88175063edcf8b5b83cf413cf1d4c70b109d1",
}


@pytest.mark.parametrize("kind", HELD_OUT)
def test_the_split_and_draw_of_the_starter_data_stay_as_they_are(shared: Path, kind: str) -> None:
    read = read_manifest(shared / "starter" / "manifest.csv", starter_taxa())
    training, held = hold_out(getattr(read, kind), 0.2, 1)
    paths = (sample.path.relative_to(read.path.parent).as_posix() for sample in held)
    assert (len(training), len(held), digest(paths)) == HELD_OUT[kind]
    for seed in (1, 2, 3):
        assert digest(draw_epoch(training, 20, 5, np.random.default_rng(seed))) == DRAWN[kind, seed]


def digest(lines: Iterable[object]) -> str:
    return hashlib.sha256("\n".join(map(str, lines)).encode()).hexdigest()


def test_a_column_split_says_what_is_held_out(written, taxa: list[Taxon]) -> None:
    split = ("train", "", "test", "unseen", "Val ", "train", "trian")
    lines = [f"audio,{row}.wav,Parus major,tests,{row},,,,{word}" for row, word in enumerate(split)]
    lines.append("audio,7.wav,Parus major,tests,2,,,,train")  # another piece of the source that is in the test part
    read = read_manifest(written(*lines, header=f"{','.join(tiny_set.COLUMNS)},split"), taxa)
    for share, seed in ((0.1, 1), (0.5, 2)):
        training, held = hold_out(read.recordings, share, seed)
        assert [sample.path.stem for sample in training] == ["0", "1", "5"]
        assert [sample.path.stem for sample in held] == ["2", "3", "4", "7"]
    training, held = hold_out(read.recordings, 0.0, 1)
    assert [sample.path.stem for sample in training] == ["0", "1", "5"] and not len(held)
    (line,) = read.missing
    assert "line 8: split 'trian' is unknown; write train, val" in line


def test_a_split_that_holds_nothing_out_leaves_the_share_to_the_caller(written, taxa: list[Taxon]) -> None:
    lines = [f"audio,{row}.wav,Parus major,tests,{row},,,,train" for row in range(10)]
    read = read_manifest(written(*lines, header=f"{','.join(tiny_set.COLUMNS)},split"), taxa)
    assert [len(part) for part in hold_out(read.recordings, 0.2, 1)] == [8, 2]


def test_samples_are_a_sequence_whose_parts_are_samples(manifest: Manifest) -> None:
    recordings = manifest.recordings
    every = list(recordings)
    assert [recordings[row] for row in range(len(recordings))] == every and recordings[-1] == every[-1]
    assert list(recordings[3:9:2]) == every[3:9:2] and list(recordings[[5, 1, 5]]) == [every[5], every[1], every[5]]
    assert list(recordings[recordings.taxon == 2]) == [sample for sample in every if sample.taxon == 2]
    assert list(recordings[4:][np.array([1, 0])]) == [every[5], every[4]]
    assert recordings.taxon.tolist() == [sample.taxon for sample in every] and recordings.taxon.dtype == np.int32
    assert every[3] in recordings and list(reversed(recordings)) == every[::-1]
    assert not recordings[:0] and list(recordings[:0]) == []
    for row in (len(every), -len(every) - 1):
        with pytest.raises(IndexError):
            recordings[row]


def test_a_digest_changes_with_whatever_is_known_of_a_sample(written, taxa: list[Taxon]) -> None:
    line = CLIP.format(file="clip.wav")
    changes = {
        line,
        *(line.replace(*pair) for pair in (("clip", "b"), ("major", "minor"), ("one", "1"), ("CC0", "CC"))),
    }
    other = CLIP.format(file="other.wav")
    digests = {read_manifest(written(changed, other), taxa).recordings.digest() for changed in changes}
    assert len(digests) == 5
    read = read_manifest(written(line, other.replace("one", "1")), taxa).recordings
    assert read.digest() == read[[0, 1]].digest() and read[:1].digest() != read[1:].digest() != read.digest()


def as_parquet(path: Path, **types: str) -> Path:
    """The same table as Parquet, columns in other types where said."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    table = pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True))
    for name, kind in types.items():
        column = table[name].dictionary_encode() if kind == "coded" else table[name].cast(getattr(pa, kind)())
        table = table.set_column(table.column_names.index(name), name, column)
    pyarrow.parquet.write_table(table, path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def test_parquet_says_the_same_as_csv(
    tiny: tiny_set.Tiny, manifest: Manifest, taxa: list[Taxon], tmp_path: Path
) -> None:
    (tmp_path / "manifest.csv").write_bytes(tiny.manifest.read_bytes())
    path = as_parquet(tmp_path / "manifest.csv", scientific_name="coded")
    read = read_manifest(path, taxa, media=tiny.manifest.parent)
    assert read.taxa == manifest.taxa
    assert (list(read.recordings), list(read.photos)) == (list(manifest.recordings), list(manifest.photos))


def test_a_parquet_row_is_named_by_number_and_its_values_are_text(written, taxa: list[Taxon]) -> None:
    path = written(
        CLIP.replace("one", "12").format(file="a.wav"), CLIP.replace("one", "").format(file="b.wav"), "audio,,,,,,,"
    )
    for kind in ("int64", "float64"):
        read = read_manifest(as_parquet(path, source_id=kind), taxa)
        assert [sample.source[1] for sample in read.recordings] == ["12", "b.wav"]
        assert "manifest.parquet row 3: no species is named" in read.missing[0]


def test_a_longer_row_is_named_and_a_line_break_in_quotes_is_none(written, taxa: list[Taxon]) -> None:
    lines = [CLIP.format(file='"a\nb.wav"'), "audio,c.wav,Parus major,tests,one,Author, Another,CC0-1.0,,", "", "audio"]
    read = read_manifest(written(*lines, CLIP.format(file="d.wav"), "audio,e.wav,Bufo bufo"), taxa)
    assert [sample.path.name for sample in read.recordings] == ["a\nb.wav", "d.wav", "e.wav"]
    assert [sample.taxon for sample in read.recordings] == [1, 1, 0]
    long, short = read.missing
    assert "manifest.csv line 3: more values than the 8 columns; put values" in long
    assert "manifest.csv line 4: no species is named" in short


def test_rows_left_out_for_one_reason_are_one_line(written, taxa: list[Taxon]) -> None:
    lines = [f"audio,{row}.wav,{'Parus major' if row % 2 else ' '},tests,{row},,," for row in range(100)]
    strange = [f"{word},a.wav,Parus major,,,,," for word in ("video", "sound", "video", "film", "song")]
    read = read_manifest(written(*lines, *strange), taxa)
    assert len(read.recordings) == 50
    assert [line.split("manifest.csv ")[1] for line in read.missing] == [
        "lines 102, 103, 104 and 2 more: modality 'video', 'sound', 'film' and 1 more is unknown; write audio or image",
        "lines 2, 4, 6 and 47 more: no species is named; fill in scientific_name",
    ]


def test_photos_that_are_passed_over_are_counted(written, taxa: list[Taxon]) -> None:
    lines = [f"image,{row}.png,Parus major,tests,{row},,,nest" for row in range(3)]
    read = read_manifest(written(CLIP.format(file="clip.wav"), *lines), taxa)
    assert read.missing == () and read.notes == ("manifest.csv: photos of nests, eggs or young are not used (3)",)


def test_recordings_and_photos_may_stand_in_two_tables(written, tmp_path: Path, taxa: list[Taxon]) -> None:
    (tmp_path / "photos").mkdir()
    photos = written("image,p.png,Bufo bufo,other,one,,,").rename(tmp_path / "photos" / "photos.csv")
    read = read_manifest([written(CLIP.format(file="clip.wav")), photos], taxa)
    assert [taxon.scientific_name for taxon in read.taxa] == ["Bufo bufo", "Parus major"]
    assert [sample.path for sample in read.recordings] == [tmp_path / "clip.wav"]
    assert [(sample.path, sample.source) for sample in read.photos] == [
        (tmp_path / "photos" / "p.png", ("other", "one"))
    ]
    bad = tmp_path / "photos" / "bad.csv"
    bad.write_text(photos.read_text().replace("Bufo bufo", "Bufo bfuo"))
    with pytest.raises(DataError, match="bad.csv line 2: no taxon is called 'Bufo bfuo'.*did you mean Bufo bufo"):
        read_manifest([written(CLIP.format(file="clip.wav")), bad], taxa)


def test_a_row_of_a_shard_says_which_bytes(written, tmp_path: Path, taxa: list[Taxon]) -> None:
    header = f"{','.join(tiny_set.COLUMNS)},shard,offset,size"
    lines = [f"{CLIP.format(file='clip.wav')},a-0.tar,512,77", f"{CLIP.format(file='clip.wav')},,,"]
    for path in (written(*lines, header=header), as_parquet(written(*lines, header=header))):
        packed, single = read_manifest(path, taxa).recordings
        assert (packed.path, packed.offset, packed.size) == (tmp_path / "a-0.tar", 512, 77)
        assert (single.path, single.offset, single.size) == (tmp_path / "clip.wav", 0, None)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_200_000_rows_cost_no_object_and_no_look_at_a_file(written, tmp_path: Path, suffix: str) -> None:
    names = [f"Genus{n // 4} species{n}" for n in range(1000)]
    ranks = "Aves,Passeriformes,Paridae"
    lines = (
        f"{'image' if row % 3 else 'audio'},{row}.mp3,{names[row % 1000]},xc,{row},,,,{ranks},Genus{row % 1000 // 4}"
        for row in range(200_000)
    )
    path = written(*lines, header=f"{','.join(tiny_set.COLUMNS)},class,order,family,genus")
    path = as_parquet(path) if suffix == "parquet" else path
    touched: list[str] = []

    def watched(function):
        def call(file, *rest, **options):
            touched.append(os.fspath(file) if not isinstance(file, int) else "")
            return function(file, *rest, **options)

        return call

    with (
        mock.patch.object(os, "stat", watched(os.stat)),
        mock.patch.object(os, "scandir", watched(os.scandir)),
        mock.patch.object(os, "listdir", watched(os.listdir)),
        mock.patch.object(builtins, "open", watched(open)),
        mock.patch("io.open", watched(open)),
        mock.patch("trainer.data.samples.Sample", side_effect=AssertionError("a sample was made")),
    ):
        read = read_manifest(path)
        training, held = hold_out(read.recordings, 0.2, 1)
        drawn = draw_epoch(training, 20, 5, np.random.default_rng(1))
        with pytest.raises(AssertionError, match="a sample was made"):
            training[0]
    assert not [name for name in touched if name.endswith(".mp3") or name == str(tmp_path)]
    assert len(read.taxa) == 1000 and (len(read.recordings), len(read.photos)) == (66_667, 133_333)
    assert len(training) + len(held) == 66_667 and Counter(training.taxon[drawn].tolist()) == dict.fromkeys(
        range(1000), 20
    )
    assert read.taxa[training[drawn[0]].taxon].genus == read.taxa[training[drawn[0]].taxon].scientific_name.split()[0]


def test_without_pyarrow_the_remedy_is_the_extra_that_brings_it(tiny: tiny_set.Tiny, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'biovita-edge\[train\]'"):
        read_manifest(tiny.manifest)


def test_samples_reach_another_process(manifest: Manifest) -> None:
    part = manifest.recordings[3:7]
    assert list(pickle.loads(pickle.dumps(part))) == list(part)
