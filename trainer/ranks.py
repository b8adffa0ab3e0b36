"""Distributed training: the rank of a process, its part of a batch, and the vectors of all processes.

`torchrun` starts the processes and sets their rank in the environment; without it there is one process. Every process
plans the same joint batches and takes a part of each; the losses are computed on the vectors of all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor
from torch import distributed as dist

from trainer.errors import ConfigError

WAIT = timedelta(hours=2)  # the others wait while the first evaluates or embeds the photos


@dataclass(frozen=True)
class Ranks:
    """This process among all of them.

    Attributes
    ----------
    rank : number of this process
    world : number of processes
    local : number of this process on its machine, which is the number of its GPU
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def part(self, size: int) -> slice:
        """This process's part of a joint batch of `size`, a multiple of `world`."""
        each = size // self.world
        return slice(self.rank * each, (self.rank + 1) * each)

    def together(self, lines: list[str]) -> list[str]:
        """Lines of all processes without duplicates."""
        if self.world == 1:
            return lines
        every: list[list[str]] = [[] for _ in range(self.world)]
        dist.all_gather_object(every, lines)
        return list(dict.fromkeys(line for own in every for line in own))

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Run in the first process and then in the others, which find its files on disk."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.world > 1:
            dist.barrier()


def join(cuda: bool) -> Ranks:
    """Join the processes started by `torchrun`, if there are any.

    Raises
    ------
    ConfigError
        When the others cannot be reached.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Ranks()
    ranks = Ranks(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))
    if cuda:
        torch.cuda.set_device(ranks.local)
    if not dist.is_initialized():
        try:
            dist.init_process_group("nccl" if cuda else "gloo", timeout=WAIT)
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"process {ranks.rank} of {world} cannot join ({reason})", "start with torchrun"
            ) from error
    return ranks


def leave() -> None:
    """Leave the process group."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


class _Gathered(torch.autograd.Function):
    """Rows of all processes, in their order; the gradient of a row is summed over all processes, or its own's."""

    @staticmethod
    def forward(context, own: Tensor, local: bool) -> Tensor:  # type: ignore[no-untyped-def, override]
        context.local = local
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def, override]
        gradient = gradient.contiguous()
        if not context.local:
            dist.all_reduce(gradient)
        each = len(gradient) // dist.get_world_size()
        return gradient[dist.get_rank() * each : (dist.get_rank() + 1) * each], None


def gathered(own: Tensor, local: bool = False) -> Tensor:
    """Rows [world * n, ...] of all processes, with gradient, given [n, ...] in each.

    Parameters
    ----------
    local : a process's rows have the gradient of its own loss alone, as in the released code of BioVITA
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return own
    return _Gathered.apply(own, local)
