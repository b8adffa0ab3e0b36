"""The trainer in several processes, as `torchrun` starts them, but copies of one that has loaded it."""

from __future__ import annotations

import os
import signal
import socket
import sys

from tests.trainer.tiny import short, small
from trainer.__main__ import main


def start(rank: int, world: int, port: int) -> int:
    """A process of its own, which trains."""
    process = os.fork()
    if not process:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world))
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        with small(), short():
            main()
    return process


if __name__ == "__main__":
    from open_clip import CustomTextCLIP  # noqa: F401  # what loading takes longest
    from transformers import ClapModel  # noqa: F401

    world = int(sys.argv.pop(1))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = {start(rank, world, port) for rank in range(world)}
    failed = False
    while running:
        process, status = os.wait()
        running.remove(process)
        if status and not failed:  # the others would wait for it
            failed = True
            for other in running:
                os.kill(other, signal.SIGKILL)
    sys.exit(failed)
