"""The trainer's command line: what is refused, what is reported, and with which exit code."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from gallery import DecisionParameters
from tests.trainer import tiny as tiny_set
from tests.trainer.tiny import Tiny, call
from trainer import checkpoint
from trainer.__main__ import main
from trainer.attribution import ATTRIBUTION
from trainer.checkpoint import LOG, WEIGHTS


def last_line(err: str) -> str:
    return err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--stage", "3"], 2, "stage '3' does not exist; choose base, 1, 2"),
        (["--seed", "2"], 2, "--stage base, --stage 1 or --stage 2"),
        (["--stage", "1", "--preset", "huge"], 2, "preset 'huge' does not exist"),
        (["--stage", "1", "--epochs", "0"], 2, "--epochs 0"),
        (["--stage", "2", "--epochs", "2", "--set", "mix_epochs=2"], 2, "mix_epochs=2: leaves none of 2 epochs"),
        (["--stage", "1", "--held-out", "0.9"], 2, "--held-out 0.9"),
        (["--stage", "1", "--seed", "-1"], 2, "--seed"),
        (["--stage", "1", "--threads", "-1"], 2, "--threads"),
        (["--stage", "1", "--device", "abacus"], 2, "device 'abacus' is unknown"),
        (["--stage", "1", "--data", "absent.csv"], 2, "absent.csv"),
        (["--stage", "1", "--taxa", "absent.csv"], 2, "absent.csv"),
        (["--stage", "base", "--pretrained", "absent"], 3, "efficientat_mn04_as.pt"),
        (["--stage", "2"], 3, "train this stage first"),
        (["--wrong"], 2, "--wrong"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    tiny: Tiny, tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    ended = call(main, *tiny.words(), "--out", tmp_path / "run", *words)
    assert ended.code == code, ended.err
    assert says in ended.err and "Traceback" not in ended.err
    assert not (tmp_path / "run").exists()


def test_settings_that_contradict_the_stage_before_are_refused(tiny: Tiny, own_run: Path) -> None:
    before = (own_run / "stage2" / WEIGHTS).read_bytes()
    for words, says in ((["--seed", "7"], "another seed"), (["--held-out", "0"], "another held-out share")):
        for more in ([], ["--restart"]):
            ended = call(main, "--stage", "2", "--out", own_run, *tiny.words(), *words, *more)
            assert ended.code == 3 and says in last_line(ended.err), ended.err
    assert (own_run / "stage2" / WEIGHTS).read_bytes() == before


def test_other_taxa_are_refused(tiny: Tiny, own_run: Path, tmp_path: Path) -> None:
    fewer = beside(tiny, tmp_path, lambda rows: [r for r in rows if r["scientific_name"] != "Bufo bufo"])
    ended = call(main, "--stage", "2", "--out", own_run, *tiny.words(fewer))
    assert ended.code == 3 and "another list of taxa" in last_line(ended.err)
    ended = call(main, "evaluate", "--checkpoint", own_run / "stage2", *tiny.data_words(fewer))
    assert ended.code == 2 and "other taxa" in last_line(ended.err)


def test_a_finished_stage_is_left_as_it_is(tiny: Tiny, own_run: Path) -> None:
    kept = (own_run / "stage1" / ATTRIBUTION).read_text()
    (own_run / "stage1" / ATTRIBUTION).unlink()  # as older versions left it
    before = (own_run / "stage1" / WEIGHTS).stat().st_mtime_ns
    ended = call(main, "--stage", "1", "--epochs", "1", "--out", own_run, *tiny.words())
    assert ended.code == 0 and "--restart" in ended.err
    assert (own_run / "stage1" / WEIGHTS).stat().st_mtime_ns == before
    assert (own_run / "stage1" / ATTRIBUTION).read_text() == kept


def test_restart_trains_the_stage_anew_and_no_other(tiny: Tiny, own_run: Path) -> None:
    base = (own_run / "base" / WEIGHTS).read_bytes()
    ended = call(main, "--stage", "1", "--epochs", "1", "--restart", "--out", own_run, *tiny.words())
    assert ended.code == 0, ended.err
    assert len((own_run / "stage1" / LOG).read_text().splitlines()) == 1
    assert (own_run / "base" / WEIGHTS).read_bytes() == base


def test_stage_1_first_makes_the_base_it_stands_on(tiny: Tiny, tmp_path: Path) -> None:
    ended = call(main, "--stage", "1", "--epochs", "1", "--held-out", "0", "--out", tmp_path, *tiny.words())
    assert ended.code == 0, ended.err
    assert checkpoint.finished(tmp_path / "base") and checkpoint.finished(tmp_path / "stage1")
    assert len((tmp_path / "base" / LOG).read_text().splitlines()) == 1  # --epochs is for both
    assert "held_out" not in json.loads((tmp_path / "stage1" / LOG).read_text())


def beside(tiny: Tiny, folder: Path, change) -> Path:
    """A changed copy of the data set; its manifest."""
    for path in tiny.manifest.parent.iterdir():
        if path.is_file():
            shutil.copy(path, folder / path.name)
    with tiny.manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return tiny_set.write_manifest(folder / "manifest.csv", change(rows))


def test_missing_and_broken_files_are_a_line_each_and_the_rest_trains(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    manifest = beside(tiny, tmp_path / "data", lambda rows: rows)
    (manifest.parent / "Parus_major_0.wav").unlink()
    (manifest.parent / "Parus_minor_0.wav").write_text("no sound")
    (manifest.parent / "Parus_minor_1.png").write_text("no picture")
    ended = call(
        main,
        "--stage",
        "1",
        "--epochs",
        "1",
        "--held-out",
        "0",
        "--out",
        tmp_path / "run",
        *tiny.words(),
        "--data",
        manifest,
    )
    assert ended.code == 1
    for name in ("Parus_major_0.wav", "Parus_minor_0.wav", "Parus_minor_1.png"):
        (line,) = [line for line in ended.lines() if name in line]
        assert "; " in line
    assert checkpoint.finished(tmp_path / "run" / "stage1")


def test_data_without_photos_is_refused_in_one_line(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    manifest = beside(tiny, tmp_path / "data", lambda rows: [row for row in rows if row["modality"] == "audio"])
    ended = call(main, "--stage", "base", "--epochs", "1", "--out", tmp_path / "run", *tiny.words(manifest))
    assert ended.code == 2 and "no photo to train on" in last_line(ended.err)


def test_evaluate_prints_six_directions_at_three_levels(tiny: Tiny, run_folder: Path) -> None:
    ended = call(main, "evaluate", "--checkpoint", run_folder / "stage2", *tiny.data_words(), "--threads", 1)
    assert ended.code == 0, ended.err
    rows = [line for line in ended.out.splitlines() if any(level in line for level in ("species", "genus", "family"))]
    assert len(rows) == 18
    assert all(sum(kind in row for kind in ("audio", "image", "text")) == 2 for row in rows)


def test_evaluate_gives_the_same_as_json(tiny: Tiny, run_folder: Path) -> None:
    ended = call(main, "evaluate", "--json", "--checkpoint", run_folder / "stage2", *tiny.data_words(), "--threads", 1)
    rows = json.loads(ended.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert len(rows) == 18 and set(rows[0]["top"]) == {"1", "5", "10"}
    held = next(row for row in rows if (row["level"], row["query"], row["target"]) == ("species", "audio", "text"))
    assert held["candidates"] == 4 and 4 <= held["queries"] <= 5  # a fifth of the sources, one of them in two pieces


def test_evaluate_needs_something_held_out(tiny: Tiny, own_run: Path) -> None:
    config = json.loads((own_run / "stage2" / "config.json").read_text())
    (own_run / "stage2" / "config.json").write_text(json.dumps({**config, "held_out": 0}))
    ended = call(main, "evaluate", "--checkpoint", own_run / "stage2", *tiny.data_words())
    assert ended.code == 2 and "nothing is held out" in last_line(ended.err)
    ended = call(main, "evaluate", "--checkpoint", own_run / "absent", *tiny.data_words())
    assert ended.code == 3 and "train this stage first" in last_line(ended.err)


def test_stage_2_ends_with_the_parameters_that_calibrate_makes(tiny: Tiny, own_run: Path) -> None:
    path = own_run / "stage2" / "decision.json"
    made = json.loads(path.read_text())
    assert DecisionParameters.from_dict(made["decision"]).floor == 0.5
    path.unlink()
    ended = call(main, "calibrate", "--checkpoint", own_run / "stage2", *tiny.data_words(), "--threads", 1)
    assert ended.code == 0, ended.err
    assert json.loads(path.read_text()) == made == json.loads(ended.out)
