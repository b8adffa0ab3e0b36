"""What is told of a benchmark: tables that fit a terminal, CSV and JSON that hold everything, pictures."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from tests.trainer.benchmark import small_bench as bench
from trainer.benchmark.features import Features, missing
from trainer.benchmark.layout import read_benchmark
from trainer.benchmark.plots import by_direction, plot
from trainer.benchmark.protocols import PUBLISHED, SCORED, Score, Tally, evaluate
from trainer.benchmark.report import CODES, Report, as_json, average, notes, tables, write_json, write_results
from trainer.errors import ConfigError


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Three models, one with gaps and one without pictures."""
    folder = bench.make(tmp_path_factory.mktemp("bench"), 0, 12)
    for path in (folder / "unseen" / "benchmark" / "family").iterdir():
        path.write_text(path.read_text().splitlines()[0])
    (split,) = read_benchmark(folder)
    whole = bench.features(0)
    models = [
        replace(whole, model="whole", origin={"rate_hz": 48000}),
        replace(bench.features(0, 2, lambda part, i: i % 4 == 0), model="gaps"),
        Features("blind", {name: part for name, part in whole.parts.items() if name != "image"}),
    ]
    scores = [score for model in models for score in evaluate(split, model, seed=5, size=6)]
    absent = {
        model.model: {"unseen": {part: ids.tolist() for part, ids in missing(model, split).items()}} for model in models
    }
    origins = {model.model: {"unseen": dict(model.origin)} for model in models}
    return Report("bench", scores, origins, absent, 5, 6)


def shown(report: Report, width: int = 80) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width)
    for table in tables(report):
        console.print(table)
    return text.getvalue()


def test_the_table_has_a_row_for_each_model_and_level(report: Report) -> None:
    text = shown(report)
    assert "published protocol" in text and "paper protocol" in text and "seed 5" in text and "databases of 6" in text
    for model in ("whole", "gaps", "blind"):
        for level in ("species", "genus", "family"):
            row = next(line for line in text.splitlines() if line.split()[:2] == [level, model])
            cells = row.split()[3:]
            assert row.split()[2] == "Top-1" and len(cells) == 7
            assert (cells == ["-"] * 7) == (level == "family")  # not scored, which is not zero
            if model == "blind" and level != "family":
                assert [cell == "-" for cell in cells] == ["I" in each for each in CODES] + [True]
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_the_mean_is_that_of_six_directions_or_none() -> None:
    tallies = [Tally(10, {1: hits, 5: 10, 10: 10}) for hits in (1, 2, 3, 4, 5, 9)]
    scores = {
        each: Score("m", PUBLISHED, "seen", "species", "a", "b", SCORED, tally=tally)
        for each, tally in zip(CODES, tallies)
    }
    assert average(scores, 1) == pytest.approx(0.4) and average(scores, 5) == 1.0
    assert average({**scores, "T2I": replace(scores["T2I"], tally=Tally())}, 1) is None
    assert average({each: scores[each] for each in CODES[:5]}, 1) is None


def test_the_notes_say_what_was_not_scored_and_what_is_missing(report: Report) -> None:
    lines = notes(report)
    (empty,) = [line for line in lines if line.startswith("published, unseen, empty: family A2I")]
    assert "\n" not in empty
    assert any(line.startswith("blind, published, unseen, no image vectors:") for line in lines)
    (named,) = [line for line in lines if line.startswith("gaps, unseen:") and "of 'audio'" in line]
    assert "(100, 104, 108, 112" in named and "without a vector" in named
    assert not any(line.startswith("whole, unseen:") for line in lines)
    (told,) = [line for line in lines if line.startswith("gaps, paper, unseen: of")]
    assert "queries left out (query without a vector)" in told and "distractors replaced" in told
    assert any("depend on the order of equal scores" in line for line in lines)


def test_the_csv_has_a_line_for_each_scenario_and_class(report: Report, tmp_path: Path) -> None:
    write_results(tmp_path / "out" / "results.csv", report)
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    scenarios = [row for row in rows if not row["class"]]
    assert len(scenarios) == 3 * 2 * 18 == len(report.scores)
    assert len(rows) - len(scenarios) == sum(len(score.classes) for score in report.scores)
    for row, score in zip(scenarios, report.scores):
        assert (row["model"], row["protocol"], row["state"]) == (score.model, score.protocol, score.state)
        share = score.tally.share(5)
        assert row["top5"] == ("" if share is None else str(share))


def test_the_json_holds_everything_and_no_nan(report: Report, tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", report)
    told = json.loads(
        (tmp_path / "results.json").read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON")
    )
    assert told == json.loads(json.dumps(as_json(report)))
    assert told["seed"] == 5 and told["database"] == 6 and set(told["protocols"]) == {"published", "paper"}
    assert told["features"]["whole"]["unseen"] == {"rate_hz": 48000}
    assert told["without_vector"]["gaps"]["unseen"]["audio"] == [100, 104, 108, 112, 116, 120]
    assert len(told["scores"]) == len(report.scores) and len(told["averages"]) == 3 * 2 * 3
    gaps = next(
        one for one in told["scores"] if (one["model"], one["level"], one["direction"]) == ("gaps", "species", "A2T")
    )
    assert gaps["missing"]["audio"] == [100, 104, 108, 112, 116, 120] and gaps["queries"] == 21
    assert gaps["errors"]["all"] == gaps["queries"] - round(gaps["top1"] * gaps["queries"])


def test_where_nothing_is_scored_there_is_no_table_and_a_note() -> None:
    scores = [Score("m", PUBLISHED, "unseen", level, "audio", "text", "empty") for level in ("species", "genus")]
    empty = Report("bench", scores, {}, {}, 0, 100)
    assert tables(empty) == [] and notes(empty) == ["published, unseen, empty: species A2T, genus A2T"]


def test_a_direction_that_is_not_scored_keeps_its_place_and_has_a_dash(report: Report) -> None:
    blind = report.of(PUBLISHED, "unseen")["species", "blind"]
    panel = by_direction({"blind": {each: score for each, score in blind.items() if score.state == SCORED}}, "t").axes[
        0
    ]
    assert panel.get_xlim() == (-0.5, 5.5) and len(panel.patches) == 6
    assert [text.get_text() == "–" for text in panel.texts] == ["I" in each for each in CODES]


def test_pictures_show_directions_and_classes(report: Report, tmp_path: Path) -> None:
    written = plot(report, tmp_path)
    names = {path.name for path in written}
    assert {"unseen_species_published_directions.png", "unseen_genus_paper_classes.png"} <= names
    assert not any("family_published" in name for name in names)  # nothing to show
    for path in written:
        with Image.open(path) as picture:
            colours = picture.convert("RGB").getcolors(1 << 20)
            assert picture.format == "PNG" and picture.width > 500 and colours is not None and len(colours) > 3


def test_without_matplotlib_the_remedy_is_one_line(report: Report, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"matplotlib library is missing; pip install 'biovita-edge\[train\]'"):
        plot(report, tmp_path)
