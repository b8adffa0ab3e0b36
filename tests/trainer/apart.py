"""The trainer in processes of their own that can be killed: copies of this one, which has loaded it already."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from tests.trainer.tiny import short, small
from trainer.__main__ import main

WAIT_S = 300.0  # for a process to get on, however busy the machine is
# A copy cannot use a GPU that this process has opened: there each loads all itself.
# Autograd that begins after an export counts a device that is none, has a thread for it, and refuses to run in copies.
torch.ones(1, requires_grad=True).backward()  # type: ignore[no-untyped-call]
PROCESSES: Any = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")


@contextlib.contextmanager
def apart(run: Callable[..., object], *given: object) -> Iterator[BaseProcess]:
    """Call a function of a module in another process, which does not outlive the block."""
    process = PROCESSES.Process(target=run, args=given)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def train(words: Sequence[str], said: Path, environment: Mapping[str, str] = MappingProxyType({})) -> None:
    """Train as from a shell; what is said on standard error goes to a file."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may be a background job, which ignores it
    os.environ.update(environment)
    sys.argv = ["trainer", *words]
    with said.open("w", encoding="utf-8", buffering=1) as sys.stderr, small(), short():
        main()


def ended(process: BaseProcess) -> int | None:
    """How a process ended: its exit status, or minus the signal that killed it."""
    process.join(WAIT_S)
    return process.exitcode


def wait_for(path: Path, process: BaseProcess) -> None:
    """Wait until a running process has written a file."""
    deadline = time.monotonic() + WAIT_S
    while not path.exists() and time.monotonic() < deadline:
        assert process.exitcode is None
        time.sleep(0.01)


def together(run: Callable[..., object], each: Sequence[Sequence[object]]) -> list[int | None]:
    """Call a function in several processes; when one has failed, the others, which would wait for it, are killed."""
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(apart(run, *given)) for given in each]
        running = list(processes)
        while running and all(process.exitcode in (None, 0) for process in processes):
            if not wait([process.sentinel for process in running], WAIT_S):
                break  # they hang, and have no exit status
            running = [process for process in running if process.exitcode is None]
        return [process.exitcode for process in processes]


def ranks(world: int) -> list[dict[str, str]]:
    """What `torchrun` tells each of its processes in the environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    joined = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [{**joined, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]
