"""How far something is, in one line on standard error."""

from __future__ import annotations

import io

from edgeapp.progress_line import ELSEWHERE_S, ON_TERMINAL_S, Counting, ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Counted(ProgressLine):
    def line(self) -> str:
        return "0 of 10 files"


def told(stream: io.StringIO, seconds: float, quiet: bool = False) -> ProgressLine:
    """A line that was asked for at once and after so many seconds."""
    now = [0.0]
    line = Counted(stream, lambda: now[0], quiet)
    line.tell()
    now[0] = seconds
    line.tell()
    return line


def test_a_terminal_has_one_line_that_changes(capsys):
    terminal = Terminal()
    told(terminal, ON_TERMINAL_S).clear()
    assert terminal.getvalue() == "\r\x1b[K0 of 10 files\r\x1b[K"
    assert capsys.readouterr().err == ""


def test_a_log_has_a_line_now_and_then(capsys):
    file = io.StringIO()
    told(file, ELSEWHERE_S - 1).clear()
    assert capsys.readouterr().err == ""
    told(file, ELSEWHERE_S).clear()
    assert (file.getvalue(), capsys.readouterr().err) == ("", "biovita-edge: 0 of 10 files\n")


def test_a_quiet_line_tells_nothing(capsys):
    terminal = Terminal()
    told(terminal, 1000, quiet=True).clear()
    assert (terminal.getvalue(), capsys.readouterr().err) == ("", "")


def test_what_is_counted_is_told_in_words():
    with Counting("rows of the manifest", 3000) as rows:
        rows.more(1000)
        assert rows.line() == "1,000 of 3,000 rows of the manifest"
        rows.at(2500)
    assert rows.line() == "2,500 of 3,000 rows of the manifest"
    assert Counting("names of the taxonomy").line() == "0 names of the taxonomy"


def test_what_takes_long_is_told_on_a_terminal():
    now, terminal = [0.0], Terminal()
    with Counting("names of the taxonomy", 0, terminal, lambda: now[0]) as names:
        names.at(10)
        now[0] = 1.0
        names.at(20_000)
    assert "20,000 names of the taxonomy" in terminal.getvalue() and " 10 names" not in terminal.getvalue()
