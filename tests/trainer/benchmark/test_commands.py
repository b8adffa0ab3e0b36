"""The commands of the benchmark from end to end: what is refused, what is told, and what is written."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from PIL import Image
from rich.console import Console

from gallery.errors import BiovitaError
from tests.trainer.benchmark import small_bench as bench
from tests.trainer.tiny import Ended, Tiny, call, tone
from trainer.benchmark.commands import Request, evaluate_benchmark, make_benchmark
from trainer.benchmark.features import write_features
from trainer.errors import CheckpointError, ConfigError, DataError


def run(asked: Request, as_json: bool = False) -> tuple[bool, str, str]:
    """Whether all could be used, standard output, notes."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out):
        whole = evaluate_benchmark(asked, Console(file=err, width=200), as_json)
    return whole, out.getvalue(), err.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return bench.make(tmp_path / "bench", 0, 12)


@pytest.fixture
def features(tmp_path: Path) -> Path:
    write_features(tmp_path / "a.npz", replace(bench.features(), model="a model"))
    return tmp_path / "a.npz"


def asked(root: Path, *features: Path, **more: object) -> Request:
    return replace(Request(root, features=features, candidates=6, out=None), **more)  # type: ignore[arg-type]


def test_features_are_rows_of_one_table(root: Path, features: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", **bench.arrays(bench.features(5)) | bench.arrays(bench.features(0, 3)))
    whole, out, _ = run(
        asked(root, features, tmp_path / "other.npz", out=tmp_path / "out", plots=True, protocols=("paper",))
    )
    assert whole and "a model" in out and "other" in out
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"results.csv", "results.json", "unseen_species_paper_directions.png"} <= written


def test_json_goes_to_standard_output_and_nothing_else_does(root: Path, features: Path) -> None:
    _, out, notes = run(asked(root, features, protocols=("published",)), as_json=True)
    told = json.loads(out)
    assert {score["protocol"] for score in told["scores"]} == {"published"} and "queries scored" in notes


def test_the_databases_are_those_of_the_seed(root: Path, features: Path) -> None:
    one, same, other = (
        json.loads(run(asked(root, features, protocols=("paper",), seed=seed), as_json=True)[1])["scores"]
        for seed in (1, 1, 2)
    )
    assert one == same != other


def test_a_model_is_asked_once_and_its_features_are_kept(root: Path, tmp_path: Path, run_folder: Path) -> None:
    """The checkpoint of the tiny run on a benchmark whose files are there, one of them broken."""
    folder = root / "unseen"
    for modality in ("audio", "image"):
        (folder / modality).mkdir()
        for i, *_ in bench.samples(0)[modality]:
            path = folder / modality / f"{i}.x"
            if modality == "audio":
                soundfile.write(path, tone(300 + i, 1.0), 16_000, format="WAV")
            else:
                Image.new("RGB", (40, 40), (i, 2 * i % 256, 90)).save(path, format="PNG")
    (folder / "audio" / "103.x").write_text("broken")
    words = Request(root, [f"tiny={run_folder / 'stage2'}"], candidates=6, cache=tmp_path / "kept", out=None, threads=1)
    whole, out, notes = run(words, as_json=True)
    told = json.loads(out)
    assert not whole and len([line for line in notes.splitlines() if "103.x" in line]) == 1
    assert told["features"]["tiny"]["unseen"]["kind"] == "checkpoint"
    assert told["without_vector"]["tiny"]["unseen"] == {"audio": [103]}
    assert (tmp_path / "kept" / "tiny.unseen.npz").is_file()
    for path in folder.glob("image/*.x"):
        path.unlink()
    again = json.loads(run(words, as_json=True)[1])
    assert again["scores"] == told["scores"]  # from what was kept: the files are gone


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        ({"features": ()}, ConfigError, "give --model or --features"),
        ({"protocols": ("third",)}, ConfigError, "protocol 'third' does not exist"),
        ({"excerpt": "twice"}, ConfigError, "--excerpt twice"),
        ({"text": "rhyme"}, ConfigError, "--text rhyme"),
        ({"candidates": 1}, ConfigError, "--candidates 1"),
        ({"plots": True}, ConfigError, "give --out"),
        ({"models": ("absent",)}, ConfigError, "model 'absent' is of an unknown kind"),
        ({"models": ("checkpoint:absent",)}, CheckpointError, "absent"),
        ({"benchmark": Path("absent")}, DataError, "absent: no benchmark"),
        ({"features": (Path("absent.npz"),)}, DataError, "absent.npz"),
    ],
)
def test_what_cannot_be_done_is_one_line(root: Path, features: Path, tmp_path, more, error, says: str) -> None:
    with pytest.raises(error) as raised:
        run(asked(root, features, cache=tmp_path / "kept", **more))
    assert says in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "kept").exists()


def test_features_of_the_other_split_or_of_none_are_refused(root: Path, tmp_path: Path) -> None:
    write_features(tmp_path / "seen.npz", replace(bench.features(), split="seen"))
    with pytest.raises(DataError, match="no features are of a split that it has"):
        run(asked(root, tmp_path / "seen.npz"))
    (root / "test").symlink_to(root / "unseen")
    write_features(tmp_path / "none.npz", bench.features())
    with pytest.raises(ConfigError, match="names no split, and there are seen and unseen"):
        run(asked(root, tmp_path / "none.npz"))
    assert run(asked(root / "unseen", tmp_path / "none.npz"))[0]


def test_two_rows_of_one_name_are_refused(root: Path, features: Path) -> None:
    with pytest.raises(ConfigError, match="two models are called 'a model'"):
        run(asked(root, features, features))


@pytest.fixture
def command() -> Callable[[], object]:
    """`make-benchmark` alone, with the errors of the command line."""
    app = typer.Typer(add_completion=False)
    app.command("make-benchmark")(make_benchmark)

    def main() -> None:
        try:
            app()
        except BiovitaError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(error.exit_code) from None

    return main


def made(command: Callable[[], object], tiny: Tiny, *words: object) -> Ended:
    return call(command, tiny.manifest, "--taxa", tiny.taxa, *words)


def test_make_benchmark_says_what_it_filled_and_what_it_could_not(command, tiny: Tiny, tmp_path: Path) -> None:
    ended = made(command, tiny, "--out", tmp_path, "--candidates", 4)
    assert ended.code == 0, ended.err
    lines = [line for line in ended.out.splitlines() if line.split()[:1] in (["seen"], ["unseen"])]
    assert len(lines) == 36 and all(line.split()[2] in bench.DIRECTIONS for line in lines)
    assert any(line.rstrip().endswith("3 candidate taxa, 4 are needed") for line in lines)
    summary = json.loads((tmp_path / "benchmark.json").read_text())
    short = [one["taxa"] for one in summary["scenarios"] if one["taxa"] > 1]
    assert f"scenarios are filled, and --candidates {min(short)} would fill {len(short)} more" in ended.err
    assert "give --unseen" in ended.err and summary["candidates"] == 4


def test_a_benchmark_that_was_made_is_scored_with_its_own_model(
    command, tiny: Tiny, run_folder: Path, tmp_path: Path
) -> None:
    """Share and seed are those that the tiny run was trained with: nothing that it heard asks."""
    ended = made(command, tiny, "--out", tmp_path / "bench", "--candidates", 2, "--held-out", 0.2, "--seed", 1)
    assert ended.code == 0, ended.err
    words = Request(tmp_path / "bench", [str(run_folder / "stage2")], candidates=2, cache=tmp_path, out=None, threads=1)
    whole, out, notes = run(words, as_json=True)
    told = json.loads(out)["scores"]
    assert whole, notes
    held = next(s for s in told if (s["split"], s["protocol"], s["direction"]) == ("seen", "published", "A2T"))
    assert held["state"] == "scored" and 4 <= held["queries"] <= 5 and held["candidates"] == [2, 2]


def test_make_benchmark_refuses_in_one_line(command, tiny: Tiny, tmp_path: Path) -> None:
    for words, says in (
        (("--candidates", 1), "--candidates 1"),
        (("--unseen", 9), "cannot be withheld"),
        (("--held-out", 0.9), "--held-out 0.9"),
    ):
        ended = made(command, tiny, "--out", tmp_path / "bench", *words)
        assert ended.code == 2 and says in ended.err and len(ended.lines()) == 1
    assert not (tmp_path / "bench").exists()
