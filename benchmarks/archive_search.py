"""How fast stored embeddings are recognised and searched, beside hearing the sound again.

    biovita-edge archive recordings/ --output results --embeddings
    python benchmarks/archive_search.py results "Strix aluco" --pack birdnet

Time is that of the processor, on which other work on the machine counts little: of reading that of all threads, as
pyarrow has its own, and of the rest that of one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from edgeapp.archive.queries.again import Search, recognised  # noqa: E402
from edgeapp.archive.queries.nearest import cosines  # noqa: E402
from edgeapp.archive.queries.selection import taxa_called  # noqa: E402
from edgeapp.archive.recognition import Recognition  # noqa: E402
from edgeapp.archive.results.dataset import DataSet  # noqa: E402
from edgeapp.archive.results.vectors import vectors_of  # noqa: E402
from edgeapp.audio.file import FileSource  # noqa: E402
from edgeapp.board.machine import machine  # noqa: E402
from edgeapp.pack.installed import load_pack  # noqa: E402
from edgeapp.pack.names import names_of  # noqa: E402

SOUND = PROJECT / "edgeapp" / "examples" / "example.flac"
JUDGED = 768  # windows recognised in full
SEARCHED = 4096


def per_second(count: int, work: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    """How many of something are done in a second of a clock."""
    began = clock()
    work()
    return count / (clock() - began)


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--pack")
    parser.add_argument("taxa", nargs="+")
    given = parser.parse_args()
    data, pack = DataSet(given.results), load_pack(given.pack)
    loaded = Recognition(pack.folder, threads=1, hop_s=data.record.hop_s).load()
    recogniser = loaded.recogniser
    print(machine())
    cut = list(recogniser.cut(FileSource(str(SOUND)), pack.audio.window_s))
    hearing = per_second(len(cut), lambda: [recogniser.answer([window]) for window in cut])

    def line(what: str, speed: float) -> None:
        print(f"{what}: {speed:,.0f} windows/s, {speed / hearing:,.0f} times hearing", flush=True)

    line("hearing, windows side by side", hearing)
    number = data.numbers[0]
    stored = vectors_of(data, number)
    line("reading", per_second(len(stored), lambda: vectors_of(data, number), time.process_time))
    some, more = stored.at(slice(0, JUDGED)), stored.at(slice(0, SEARCHED))
    line("recognising all", per_second(len(some), lambda: list(recognised(some, recogniser))))
    for name in given.taxa:
        rows, (asked, _) = names_of(recogniser.taxa).rows(name), taxa_called([name], (recogniser.taxa,))
        search = Search(loaded, rows, asked)
        line(f"telling which can hold {name}", per_second(len(more), partial(search.possible, more)))
    query = np.asarray(stored.vectors[:1], np.float32)
    line("nearest", per_second(len(more), lambda: cosines(more, query)))


if __name__ == "__main__":
    main()
