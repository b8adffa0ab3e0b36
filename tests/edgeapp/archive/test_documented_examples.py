"""The examples in the docs of archives, as they are written there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import soundfile

from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.archive.heard import heard

PAGE = (PROJECT / "docs" / "archive.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def results(tmp_path: Path, toy_pack: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder called results, beside which the examples run."""
    soundfile.write(tmp_path / "20260501_040000Z.wav", toy.tone(1000, seconds=20.0), toy.RATE_HZ)
    soundfile.write(tmp_path / "b.wav", toy.tone(3000), toy.RATE_HZ)
    files = [str(tmp_path / name) for name in ("20260501_040000Z.wav", "b.wav")]
    heard(tmp_path / "results", files, toy_pack, a_part=1)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def test_there_are_examples_of_each_reader():
    assert {"pandas", "polars", "duckdb"} <= set(re.findall(r"^import (\w+)$", "".join(EXAMPLES), re.MULTILINE))


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs_as_it_is_written(results, example, capsys):
    pytest.importorskip(re.search(r"^import (pandas|polars|duckdb)$", example, re.MULTILINE)[1])
    found: dict = {}
    exec(compile(example, "docs/archive.md", "exec"), found)
    if "detections" in found:
        assert set(found["detections"]["taxon_scientific_name"]) == {"Parus major", "Cuculus canorus"}
    elif "vectors" in found:
        assert found["vectors"].shape == (4, toy.DIM)
    else:
        assert "Parus major" in capsys.readouterr().out
