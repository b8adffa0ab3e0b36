"""Results of benchmarks as tables, CSV and JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from gallery.files import write_text
from trainer.benchmark.features import listed
from trainer.benchmark.layout import DIRECTIONS, LEVELS, code, write_csv
from trainer.benchmark.protocols import ABSENT, EMPTY, PAPER, PUBLISHED, SCORED, TOPS, Score, Tally

CODES = tuple(code(*direction) for direction in DIRECTIONS)
RULES = {
    PUBLISHED: "candidate taxa per query, scored by their best sample; a missing vector counts as a zero vector",
    PAPER: "one positive and distractors per query, cosine; a query without a vector is left out",
}
CSV_COLUMNS = (
    *("model", "protocol", "split", "level", "direction", "query", "target", "text", "class", "state"),
    *("queries", *(f"top{top}" for top in TOPS), "fewest_candidates", "most_candidates", "left_out", "missing"),
    *("replaced", "tied", "errors", "in_genus", "in_family"),
)


@dataclass(frozen=True)
class Report:
    """Scores of models on one benchmark, and how they were obtained.

    Attributes
    ----------
    origins : model -> split -> how its vectors were computed
    absent : model -> split -> part -> ids of the index without a vector
    seed, size : of the paper's databases
    """

    benchmark: str
    scores: Sequence[Score]
    origins: Mapping[str, Mapping[str, Mapping[str, Any]]]
    absent: Mapping[str, Mapping[str, Mapping[str, Sequence[int]]]]
    seed: int
    size: int

    def of(self, protocol: str, split: str) -> dict[tuple[str, str], dict[str, Score]]:
        """Scores by level and model, then by direction."""
        found: dict[tuple[str, str], dict[str, Score]] = defaultdict(dict)
        for score in self.scores:
            if (score.protocol, score.split) == (protocol, split):
                found[score.level, score.model][code(score.query, score.target)] = score
        return found


def average(scores: Mapping[str, Score], top: int) -> float | None:
    """Mean share over the six directions; None unless all of them were scored."""
    shares = [scores[each].tally.share(top) if each in scores else None for each in CODES]
    known = [share for share in shares if share is not None]
    return sum(known) / len(CODES) if len(known) == len(CODES) else None


def tables(report: Report) -> list[Table]:
    """Tables of directions, of classes and of errors for each protocol and split with scores."""
    made = []
    for protocol, split in _parts(report.scores):
        scores = report.of(protocol, split)
        if not any(score.state == SCORED for of in scores.values() for score in of.values()):
            continue  # `notes` gives the reason
        title = f"{split}, {protocol} protocol: {RULES[protocol]}"
        if protocol == PAPER:
            title += f"; databases of {report.size}, seed {report.seed}"
        made.append(_directions(title, scores))
        if any(score.classes for of in scores.values() for score in of.values()):
            made.append(_classes(f"{split}, {protocol} protocol: Top-1 by taxonomic class", scores))
        wrong = {key: of for key, of in scores.items() if any(score.errors for score in of.values())}
        if wrong:
            made.append(_errors(f"{split}, {protocol} protocol: share of wrong species in the right group", wrong))
    return made


def notes(report: Report) -> list[str]:
    """Notes on the tables, one line each."""
    lines = []
    states: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for score in report.scores:
        where = f"{score.level} {code(score.query, score.target)}"
        if score.state in (EMPTY, ABSENT):
            states[score.protocol, score.split, score.state].append(where)
        elif score.state != SCORED:
            states[score.model, score.protocol, score.split, score.state].append(where)
    for key, places in states.items():
        several = list(dict.fromkeys(places))
        lines.append(
            f"{', '.join(key)}: {', '.join(several[:6])}{f' and {len(several) - 6} more' * (len(several) > 6)}"
        )
    for model, splits in report.absent.items():
        for split, parts in splits.items():
            for part, ids in parts.items():
                if len(ids):
                    lines.append(f"{model}, {split}: {listed(part, ids)} without a vector")
    counts: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for score in report.scores:
        count = counts[score.model, score.protocol, score.split]
        if score.state == SCORED:
            count["scored"] += score.tally.queries
            count["distractors replaced"] += score.replaced
            count["hits that depend on the order of equal scores"] += score.tied
            for why, n in score.left_out.items():
                count[f"queries left out ({why})"] += n
    for key, count in counts.items():
        asked = count.pop("scored", 0)
        if any(count.values()):
            words = ", ".join(f"{n:,} {what}" for what, n in count.items() if n)
            lines.append(f"{', '.join(key)}: of {asked:,} queries scored, {words}")
    return lines


def write_results(path: Path, report: Report) -> None:
    """Write a CSV with a row for each scenario of each model, and for each class in it."""

    def rows() -> Iterator[dict[str, Any]]:
        for score in report.scores:
            yield {**_head(score), **_shares(score.tally), **_tail(score)}
            for name, tally in score.classes.items():
                yield {**_head(score), "class": name, **_shares(tally)}

    write_csv(path, CSV_COLUMNS, rows())


def as_json(report: Report) -> dict[str, Any]:
    """The whole report as values of JSON, with the ids of missing vectors."""
    averages = []
    for protocol, split in _parts(report.scores):
        for (level, model), scores in report.of(protocol, split).items():
            shares = {f"top{top}": average(scores, top) for top in TOPS}
            averages.append({"model": model, "protocol": protocol, "split": split, "level": level, **shares})
    return {
        "benchmark": report.benchmark,
        "protocols": {name: RULES[name] for name in dict.fromkeys(score.protocol for score in report.scores)},
        "seed": report.seed,
        "database": report.size,
        "features": {model: dict(splits) for model, splits in report.origins.items()},
        "without_vector": {
            model: {
                split: {part: list(map(int, ids)) for part, ids in parts.items()} for split, parts in splits.items()
            }
            for model, splits in report.absent.items()
        },
        "averages": averages,
        "scores": [
            {
                **_head(score),
                **_shares(score.tally),
                "candidates": list(score.candidates),
                "classes": {name: _shares(tally) for name, tally in score.classes.items()},
                "errors": {"all": score.errors, "in_genus": score.in_genus, "in_family": score.in_family},
                "missing": {part: list(ids) for part, ids in score.missing.items()},
                "left_out": dict(score.left_out),
                "replaced": score.replaced,
                "tied": score.tied,
            }
            for score in report.scores
        ],
    }


def write_json(path: Path, report: Report) -> None:
    """Write `as_json`."""
    text = json.dumps(as_json(report), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n", parents=True)


def _parts(scores: Iterable[Score]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((score.protocol, score.split) for score in scores))


def _table(title: str, *names: str) -> Table:
    """A table that fits a terminal of 80 columns, with names at the left."""
    shown = Table(title=Text(title), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in names:
        shown.add_column(name, justify="left" if name in ("level", "model", "class", "") else "right")
    return shown


def _directions(title: str, scores: Mapping[tuple[str, str], Mapping[str, Score]]) -> Table:
    shown = _table(f"{title}; in %", "level", "model", "", *CODES, "mean")
    for (level, model), of in _in_order(scores):
        for top in TOPS:
            shares = [of[each].tally.share(top) if each in of else None for each in CODES]
            name = (level, model) if top == TOPS[0] else ("", "")
            shown.add_row(*map(Text, (*name, f"Top-{top}", *map(_cell, shares), _cell(average(of, top)))))
        asked = [f"{of[each].tally.queries:,}" if each in of else "-" for each in CODES]
        shown.add_row("", "", "queries", *asked, end_section=True)
    return shown


def _classes(title: str, scores: Mapping[tuple[str, str], Mapping[str, Score]]) -> Table:
    shown = _table(f"{title}, in %", "level", "model", "class", *CODES, "queries")
    for (level, model), of in _in_order(scores):
        for class_ in sorted({name for score in of.values() for name in score.classes}):
            tallies = [of[each].classes.get(class_, Tally()) if each in of else Tally() for each in CODES]
            queries = sum(tally.queries for tally in tallies)
            cells = [_cell(tally.share(1)) for tally in tallies]
            shown.add_row(*map(Text, (level, model, class_, *cells, f"{queries:,}")))
    return shown


def _errors(title: str, scores: Mapping[tuple[str, str], Mapping[str, Score]]) -> Table:
    shown = _table(f"{title}, in %", "model", "", *CODES)
    for (_, model), of in _in_order(scores):
        errors = [of[each].errors if each in of else 0 for each in CODES]
        for place, name in enumerate(("genus", "family")):
            right = [(of[each].in_genus, of[each].in_family)[place] if each in of else 0 for each in CODES]
            cells = [_cell(n / wrong if wrong else None) for n, wrong in zip(right, errors)]
            shown.add_row(*map(Text, ("" if place else model, name, *cells)))
        shown.add_row("", "errors", *(f"{wrong:,}" for wrong in errors), end_section=True)
    return shown


def _in_order(
    scores: Mapping[tuple[str, str], Mapping[str, Score]],
) -> list[tuple[tuple[str, str], Mapping[str, Score]]]:
    return sorted(scores.items(), key=lambda item: LEVELS.index(item[0][0]))  # models stay in their order


def _cell(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _head(score: Score) -> dict[str, Any]:
    return {
        "model": score.model,
        "protocol": score.protocol,
        "split": score.split,
        "level": score.level,
        "direction": code(score.query, score.target),
        "query": score.query,
        "target": score.target,
        "text": score.text,
        "state": score.state,
    }


def _shares(tally: Tally) -> dict[str, Any]:
    return {"queries": tally.queries, **{f"top{top}": tally.share(top) for top in TOPS}}


def _tail(score: Score) -> dict[str, Any]:
    return {
        "fewest_candidates": score.candidates[0],
        "most_candidates": score.candidates[1],
        "left_out": sum(score.left_out.values()),
        "missing": sum(map(len, score.missing.values())),
        "replaced": score.replaced,
        "tied": score.tied,
        "errors": score.errors,
        "in_genus": score.in_genus,
        "in_family": score.in_family,
    }
