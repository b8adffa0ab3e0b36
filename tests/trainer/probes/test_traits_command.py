"""The trait probe from the command line: where its vectors come from, what it prints, and what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer

from gallery.errors import BiovitaError
from tests.trainer import tiny as tiny_set
from trainer.benchmark.features import Features, Vectors, write_features
from trainer.data.manifest import Manifest, read_manifest
from trainer.errors import DataError
from trainer.probes.trait_data import from_benchmark, from_file, from_manifest, write
from trainer.probes.traits_command import traits

SPECIES = [f"Avis n{n}" for n in range(30)]


class Numbered:
    """An encoder that gives each file the vector of its number in the list of all files it was ever asked for."""

    def __init__(self, broken: str = "", deaf: bool = False) -> None:
        self.broken, self.deaf = broken, deaf
        self.asked: list[Path] = []

    def audio(self, paths: Sequence[Path]) -> np.ndarray | None:
        return None if self.deaf else self.images(paths)

    def images(self, paths: Sequence[Path]) -> np.ndarray:
        if any(path.name == self.broken for path in paths):
            raise DataError(f"{self.broken}: damaged", "")
        self.asked += paths
        return np.eye(4, dtype=np.float32)[[len(path.name) % 4 for path in paths]]


# --- where vectors come from


def test_a_data_set_gives_each_file_with_its_species(manifest: Manifest) -> None:
    encoder = Numbered()
    data = from_manifest(encoder, manifest, seed=1)
    assert {name: len(part.species) for name, part in data.parts.items()} == {"audio": 21, "image": 12}
    assert data.notes == ()
    for path, species in zip(encoder.asked, data.parts["audio"].species):
        assert path.name.startswith(species.replace(" ", "_"))


def test_a_species_gives_no_more_files_than_asked_for(manifest: Manifest) -> None:
    once, again, other = (from_manifest(Numbered(), manifest, seed, most=2).parts["audio"] for seed in (1, 1, 2))
    assert sorted(once.species) == sorted([*tiny_set.SPECIES] * 2)
    assert once.species == again.species and np.array_equal(once.vectors, again.vectors)
    assert len(other.species) == 8


def test_a_file_that_cannot_be_used_is_named_and_the_others_are_kept(manifest: Manifest) -> None:
    data = from_manifest(Numbered(broken="Bufo_bufo_1.flac"), manifest, seed=1)
    assert len(data.parts["audio"].species) == 20
    (line,) = data.notes
    assert "Bufo_bufo_1.flac" in line and "damaged" in line


def test_what_is_noted_of_a_manifest_is_a_remark_and_no_fault(manifest: Manifest) -> None:
    data = from_manifest(Numbered(), replace(manifest, notes=("a file counts once",)), seed=1)
    assert (data.remarks, data.notes) == (("a file counts once",), ())


def test_pieces_of_shards_are_probed_like_files(manifest: Manifest, tmp_path: Path) -> None:
    shard, content = tmp_path / "000000.tar", b""
    lines = ["modality,path,scientific_name,source_repo,source_id,offset,size"]
    for number, sample in enumerate(manifest.recordings):
        sound = sample.path.read_bytes()
        name = manifest.taxa[sample.taxon].scientific_name
        lines.append(f"audio,{shard.name},{name},sounds,{number},{len(content)},{len(sound)}")
        content += sound
    shard.write_bytes(content)
    path = tmp_path / "manifest.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    class Piecewise(Numbered):
        def audio(self, paths: Sequence[Path]) -> np.ndarray | None:
            return np.array([[piece.offset + 1, piece.size] for piece in paths], np.float32)  # type: ignore[attr-defined]

    data = from_manifest(Piecewise(), read_manifest(path, manifest.taxa), seed=1)
    assert len(data.parts["audio"].species) == 21 and data.notes == ()
    assert len({tuple(vector) for vector in data.parts["audio"].vectors.tolist()}) == 21


def test_an_encoder_of_pictures_alone_is_probed_on_pictures_alone(manifest: Manifest) -> None:
    assert set(from_manifest(Numbered(deaf=True), manifest, seed=1).parts) == {"image"}


def test_vectors_are_read_as_they_were_written(manifest: Manifest, tmp_path: Path) -> None:
    made = from_manifest(Numbered(), manifest, seed=1)
    write(tmp_path / "kept" / "f.npz", made)
    read = from_file(tmp_path / "kept" / "f.npz")
    for name, part in made.parts.items():
        assert read.parts[name].species == part.species
        np.testing.assert_allclose(read.parts[name].vectors, part.vectors)


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """The indexes of a benchmark: three recordings, one of no known species."""
    folder = tmp_path / "bench" / "unseen" / "benchmark"
    folder.mkdir(parents=True)
    lines = ["id,file_path,species,genus,family", "7,a.wav,Parus major,,", "3,b.wav,Bufo bufo,,", "9,c.wav,,,"]
    (folder / "audio_index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "bench"


def test_features_of_a_benchmark_get_their_species_from_its_index(bench: Path, tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    vectors = np.eye(4, dtype=np.float32)[:3]
    write_features(path, Features("m", {"audio": Vectors(np.array([3, 7, 9]), vectors)}, split="unseen"))
    data = from_benchmark(path, bench)
    assert data.parts["audio"].species == ["Bufo bufo", "Parus major"]
    assert np.array_equal(data.parts["audio"].vectors, vectors[:2])
    assert len(data.notes) == 1 and "1 ids of 'audio' have no species" in data.notes[0]


def test_features_of_another_benchmark_are_refused(bench: Path, tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    for split, ids, says in (("unseen", [1, 2], "no id of 'audio' is in"), ("seen", [3, 7], "of split 'seen'")):
        write_features(path, Features("m", {"audio": Vectors(np.array(ids), np.eye(2, dtype=np.float32))}, split=split))
        with pytest.raises(DataError, match=says):
            from_benchmark(path, bench)


def test_a_file_without_either_modality_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", text=np.eye(2))
    with pytest.raises(DataError, match="has neither audio nor image"):
        from_file(tmp_path / "f.npz")


# --- the command


def call(*words: object) -> tiny_set.Ended:
    """Run the command as `python -m trainer` does."""
    app = typer.Typer(add_completion=False)
    app.command()(traits)

    def main() -> None:
        try:
            app()
        except BiovitaError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(error.exit_code) from None

    return tiny_set.call(main, *words)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Odd species live in forests; two are polar; nothing is known of the last."""
    path = tmp_path / "traits.csv"
    rows = [f"{name},{n % 2},{int(n < 2)},x" for n, name in enumerate(SPECIES[:-1])]
    path.write_text("\n".join(["scientific_name,forest,polar,remark", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Vectors in which sound shows the forest and pictures do not."""
    rng = np.random.default_rng(0)
    names = np.repeat(SPECIES, 3)
    arrays: dict[str, np.ndarray] = {}
    for modality, strength in (("audio", 4.0), ("image", 0.0)):
        vectors = rng.standard_normal((len(names), 8))
        vectors[:, 0] += strength * np.where(np.repeat(np.arange(30), 3) % 2, 1, -1)
        arrays |= {modality: vectors, f"{modality}_species": names}
    np.savez(tmp_path / "f.npz", **arrays)  # type: ignore[arg-type]
    return tmp_path / "f.npz"


def test_the_command_prints_f1_of_both_modalities_beside_a_constant_guess(table: Path, features: Path) -> None:
    ended = call("--table", table, "--features", features)
    assert ended.code == 0, ended.err
    (row,) = [line for line in ended.out.splitlines() if "forest" in line]
    cells = [cell.strip() for cell in row.replace("│", "|").strip("| ").split("|")]
    assert float(cells[1]) > 90 and cells[2:4] == ["65.1", "14/29"]
    assert float(cells[4]) < 80 and cells[5:] == ["65.1", "14/29"]
    assert "audio, too few species to measure: polar (2 yes, 27 no)\n" in ended.out
    (unknown,) = [line for line in ended.out.splitlines() if line.startswith("audio, not in the table: ")]
    assert "diurnal" in unknown and unknown.count(",") == 32  # all but forest and polar
    assert "column matches no label: remark" in ended.err
    assert "audio, species not in traits.csv: 1 (Avis n29)" in ended.err


def test_means_are_compared_over_the_labels_that_both_modalities_measure(table: Path, features: Path) -> None:
    with np.load(features) as file:
        arrays = {name: file[name] for name in file.files}
    few = np.isin(arrays["image_species"], SPECIES[:4])
    np.savez(features, **{n: a[few] if n.startswith("image") else a for n, a in arrays.items()})  # type: ignore[arg-type]
    ended = call("--table", table, "--features", features)
    (row,) = [line for line in ended.out.splitlines() if "mean, in all" in line]
    assert row.count("of 0") == 2


def test_json_holds_every_label_with_what_it_was_measured_on(table: Path, features: Path) -> None:
    ended = call("--table", table, "--features", features, "--json", "--seed", 7, "--folds", 3, "--no-balanced")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert (told["seed"], told["folds"], told["balanced"]) == (7, 3, False)
    assert set(told["modalities"]) == {"audio", "image"}
    labels = {label["label"]: label for label in told["modalities"]["audio"]["labels"]}
    assert len(labels) == 34
    assert labels["forest"]["f1"] > 0.9 and labels["forest"]["species"] == 29
    assert labels["polar"]["f1"] is None and "2 tested species with yes and 27 with no" in labels["polar"]["why_not"]
    assert told["modalities"]["audio"]["macro"]["labels"] == 1


def test_species_named_in_a_file_are_the_test(table: Path, features: Path, tmp_path: Path) -> None:
    (tmp_path / "unseen.txt").write_text("\n".join(SPECIES[:12]) + "\n", encoding="utf-8")
    ended = call("--table", table, "--features", features, "--json", "--unseen", tmp_path / "unseen.txt")
    labels = {label["label"]: label for label in json.loads(ended.out)["modalities"]["audio"]["labels"]}
    assert (labels["forest"]["species"], labels["forest"]["samples"]) == (12, 36)


def test_a_trained_stage_is_probed_on_a_data_set(run_folder: Path, tiny: tiny_set.Tiny, tmp_path: Path) -> None:
    path = tmp_path / "traits.csv"
    path.write_text("scientific_name,forest\nParus robustus,yes\nBufo bufo,no\n", encoding="utf-8")
    kept = tmp_path / "kept.npz"
    words = ("--table", path, "--json", "--seed", 1)
    ended = call(*words, "--model", run_folder / "stage2", *tiny.data_words(), "--threads", 1, "--keep", kept)
    assert ended.code == 0, ended.err
    labels = {label["label"]: label for label in json.loads(ended.out)["modalities"]["audio"]["labels"]}
    assert labels["forest"]["samples"] == 11  # the tit under its synonym, and the toad
    again = call(*words, "--features", kept, "--taxa", tiny.taxa)
    assert json.loads(again.out)["modalities"] == json.loads(ended.out)["modalities"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--features", "f.npz"], "either --table or --avonet is required"),
        (["--table", "t.csv", "--avonet", "a.csv", "--features", "f.npz"], "either --table or --avonet is required"),
        (["--table", "t.csv"], "either --model or --features is required"),
        (["--table", "t.csv", "--features", "f.npz", "--model", "clap"], "either --model or --features is required"),
        (["--table", "t.csv", "--model", "clap", "--bench", "b"], "--bench goes with --features"),
        (["--table", "t.csv", "--features", "f.npz", "--keep", "k.npz"], "--keep goes with --model"),
        (["--table", "t.csv", "--features", "f.npz"], "t.csv: cannot be read"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], says: str) -> None:
    ended = call(*words)
    assert ended.code == 2
    assert says in ended.err
