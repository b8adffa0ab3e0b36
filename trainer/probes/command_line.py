"""Shared by the commands that score one encoder: opening it, and listing what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgeapp import terminal
from edgeapp.board.machine import available_cores

if TYPE_CHECKING:
    from trainer.benchmark.encoders import TorchEncoder

NAMED = 8  # lines of one kind that are printed


def opened(spec: str, device: str, excerpt: str, threads: int) -> TorchEncoder:
    """The encoder given by `--model`, on a device and a number of threads (0 = all cores)."""
    import torch

    from trainer.benchmark.encoders import open_encoder
    from trainer.session import pick_device

    threads = threads or available_cores()
    torch.set_num_threads(threads)
    return open_encoder(spec, pick_device(device), excerpt, threads)


def tell(what: str, lines: Sequence[str]) -> None:
    """Print on standard error what was left out: the first lines, and the number of the others."""
    for line in lines[:NAMED]:
        terminal.tell(f"{what}: {line}")
    if len(lines) > NAMED:
        terminal.tell(f"{what}: {len(lines) - NAMED} more; all are in --json")
