"""Make `docs/identify.svg`: what `biovita-edge identify` prints on a terminal, from a real run.

    python docs/picture.py

The command runs as a person would run it; rich only turns what it printed into a picture. Run it again when the pack,
the example or the table changes.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

PROJECT = Path(__file__).resolve().parent.parent
EXAMPLE = "edgeapp/examples/example.flac"
MARGIN = 2  # columns right of the longest line


def printed(words: Sequence[str]) -> str:
    """What `biovita-edge` prints on a terminal that has colours."""
    done = subprocess.run(
        [sys.executable, "-m", "edgeapp", *words],
        cwd=PROJECT,
        env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def picture(command: str, output: str) -> str:
    """An SVG of a command and its output."""
    text = Text.assemble(("$ ", "dim"), (command, "bold"), "\n", Text.from_ansi(output.rstrip()))
    lines = text.split()
    for line in lines:
        line.rstrip()
    console = Console(record=True, width=max(map(len, lines)) + MARGIN, file=io.StringIO(), force_terminal=True)
    console.print(Text("\n").join(lines), soft_wrap=True)
    svg = console.export_svg(title="biovita-edge", unique_id="identify")
    # rich names a font on a server; the picture must load nothing, and any monospaced font will do.
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and write the picture."""
    parser = argparse.ArgumentParser(description="Make the README's picture from a real run.")
    parser.add_argument("--pack", help="folder or name of the pack; the best one installed if not given")
    parser.add_argument("--out", type=Path, default=PROJECT / "docs" / "identify.svg")
    chosen = parser.parse_args(arguments)
    output = printed(["identify", EXAMPLE, *(("--pack", chosen.pack) if chosen.pack else ())])
    chosen.out.write_text(picture(f"biovita-edge identify {EXAMPLE}", output), encoding="utf-8")


if __name__ == "__main__":
    main()
