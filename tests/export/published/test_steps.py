"""What a step made is taken again only if it is whole and of the same key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from export.errors import ExportError
from export.published.steps import Steps


def run(folder: Path, key: str = "a", text: str = "made", said: str = "step") -> tuple[str, list[str], int]:
    """Do a step: what lies there afterwards, what was said, and how often it was made."""
    lines: list[str] = []
    made = []

    def make(into: Path) -> None:
        made.append(into)
        (into / "result.txt").write_text(text)

    result = Steps(folder, lines.append).step("one", key, make, said) / "result.txt"
    return result.read_text(), lines, len(made)


def test_a_step_is_done_once(tmp_path: Path) -> None:
    assert run(tmp_path) == ("made", ["step"], 1)
    assert run(tmp_path, text="again") == ("made", ["step: kept from the run before"], 0)
    assert run(tmp_path, said="")[1] == []


@pytest.mark.parametrize("file", ["result.txt", "done.json"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"{}")])
def test_a_result_that_is_missing_or_changed_is_made_again(
    tmp_path: Path, file: str, damage: Callable[[Path], object]
) -> None:
    run(tmp_path)
    damage(tmp_path / "one" / file)
    assert run(tmp_path, text="again") == ("again", ["step"], 1)


def test_another_key_makes_it_again(tmp_path: Path) -> None:
    run(tmp_path)
    assert run(tmp_path, key="b", text="again") == ("again", ["step"], 1)


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    def dies(into: Path) -> None:
        (into / "half.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Steps(tmp_path, print).step("one", "a", dies)
    assert run(tmp_path) == ("made", ["step"], 1)
    assert not (tmp_path / "one" / "half.txt").exists()


def test_the_digest_of_a_result_is_known_without_reading_it(tmp_path: Path) -> None:
    import hashlib

    run(tmp_path)
    assert Steps(tmp_path, print).digest("one", "result.txt") == hashlib.sha256(b"made").hexdigest()


def test_a_folder_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "song.wav").write_text("mine")
    with pytest.raises(ExportError, match="has other files in it; name a new or empty folder with --work"):
        run(tmp_path)
    assert (tmp_path / "one" / "song.wav").read_text() == "mine"


def test_a_folder_without_a_finished_step_is_not_left(tmp_path: Path) -> None:
    def fails(into: Path) -> None:
        (into / "half.txt").write_text("half")
        raise ExportError("no", "go on")

    steps = Steps(tmp_path / "steps", print)
    with pytest.raises(ExportError):
        steps.step("one", "a", fails)
    steps.drop_empty()
    assert not steps.folder.exists()
    run(tmp_path / "steps")
    Steps(tmp_path / "steps", print).drop_empty()
    assert run(tmp_path / "steps")[2] == 0
