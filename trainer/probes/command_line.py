"""What the commands `ssw60` and `traits` share: opening a model, a progress bar, and naming what was left out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from trainer.benchmark.encoders import BenchmarkEncoder

NAMED = 8  # lines of one kind that are spelled out


def opened(spec: str, device: str, hearing: str, threads: int) -> BenchmarkEncoder:
    """The encoder that `--model` names, on the device and threads that were asked for."""
    import torch

    from trainer.benchmark.encoders import open_encoder
    from trainer.session import cores, pick_device

    torch.set_num_threads(threads or cores())
    return open_encoder(spec, pick_device(device), hearing, threads or cores())


@contextmanager
def counted(what: str) -> Iterator[Callable[[int], None]]:
    """A bar on standard error that counts files; gives the function that is told of more."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), TextColumn("{task.completed:.0f}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda files: bar.advance(task, files)


def tell(what: str, lines: Sequence[str]) -> None:
    """Name on standard error what was left out: the first of it, and how many more."""
    for line in lines[:NAMED]:
        print(f"{what}: {line}", file=sys.stderr)
    if len(lines) > NAMED:
        print(f"{what}: {len(lines) - NAMED} more; all are in --json", file=sys.stderr)
