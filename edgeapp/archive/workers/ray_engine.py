"""Workers as actors of Ray (https://docs.ray.io), on this machine or on a cluster.

Ray places the workers, restarts one that dies, on another machine if its own is gone, and brings the results. That a
task is tried again is left to the run, which tells recordings that kill workers from those that do not.

Nothing is reported to Ray's makers nor asked in the network, no dashboard is started, and its log stays in its own
files.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from typing import Any

from edgeapp.archive.recognition import Recognition
from edgeapp.archive.results.record import Record
from edgeapp.archive.workers.engine import Done
from edgeapp.archive.workers.worker import Heard, Task, Worker
from edgeapp.errors import BiovitaError, DeviceError, UsageError

LOCAL = "local"
START_S = 180.0  # for a worker to have its model, after which it is given up
NODE_S = 30.0  # without an answer, after which it is looked whether the cluster is still there
PAUSE_S = 0.2  # before a worker that Ray is starting again is asked again
CONNECT_S = 5.0  # for a cluster to answer; Ray itself would wait for minutes
EXTRA = "pip install 'biovita-edge[ray]'"
NOWHERE = "http://127.0.0.1:9"  # nobody listens at the port of "discard"
HOST_AND_PORT = re.compile(r"(?:ray://)?(.+):(\d+)/?")
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning of a change to come
}
# Its processes talk over 127.0.0.1 alone, as on Windows and macOS. Elsewhere Ray looks for the address at which others
# reach this machine, by a socket to a name server of the Internet.
ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
TOKEN = "RAY_AUTH_TOKEN"  # by which its processes know each other; Ray writes one into the home folder otherwise


@dataclass
class _Slot:
    """An actor, and what it works on."""

    actor: Any
    loading: Any  # reference to the answer of `load`, until it is there
    reference: Any = None  # of its task
    task: Task | None = None
    since: float = field(default_factory=time.monotonic)  # when it was started


class _Actor:
    """A worker inside Ray. What it raises is an answer: an actor that dies says nothing."""

    def __init__(self, recognition: Recognition, record: Record, folder: str) -> None:
        self._given = recognition, record
        with suppress(OSError):  # on another machine relative paths have no meaning
            os.chdir(folder)
        self._worker: Worker | None = None

    def load(self) -> BiovitaError | None:
        """Load the model, if it is not loaded."""
        try:
            self._worker = self._worker or Worker(*self._given)
        except BiovitaError as error:
            return error
        return None

    def hear(self, task: Task) -> Heard | BiovitaError:
        """See `Worker.hear`."""
        error = self.load()
        if error is not None or self._worker is None:
            return error or DeviceError("the worker has no model")
        try:
            return self._worker.hear(task)
        except BiovitaError as fault:
            return fault


class RayWorkers:
    """See `edgeapp.archive.workers.engine.Engine`.

    Parameters
    ----------
    recognition : Recognition
    record : Record
    address : str
        `LOCAL`, or that of a cluster: ``HOST:PORT``, ``ray://HOST:PORT``, ``auto``.
    workers : int or None
        As many as the cluster has room for when None.

    Raises
    ------
    UsageError
        Ray is not installed.
    DeviceError
        There is no cluster at this address, or no room for a worker.
    """

    def __init__(self, recognition: Recognition, record: Record, address: str, workers: int | None = None) -> None:
        os.environ.update(QUIET)  # which is read when Ray is imported
        if address == LOCAL:
            os.environ.update(ALONE)
            os.environ.setdefault(TOKEN, secrets.token_hex(32))
        try:
            import ray
        except ImportError:
            raise UsageError("Ray is not installed", EXTRA) from None
        self._ray: Any = ray
        self._given = recognition, record, os.getcwd()
        self._address, self._asked = address, workers
        self._threads = recognition.threads or 1
        self._on_gpu = recognition.provider not in (None, "cpu")
        self._slots: list[_Slot] = []
        self._node, self._seen = "", time.monotonic()
        self._waiting: deque[Task] = deque()  # for a worker that has its model: one may never come back
        self._quiet = ExitStack()  # Ray tells on standard output that a worker died

    @property
    def free(self) -> int:
        """How many of them have nothing to do."""
        return sum(slot.task is None for slot in self._slots) - len(self._waiting)

    def submit(self, task: Task) -> None:
        """Give a task to a worker that is free."""
        self._waiting.append(task)
        self._feed()

    def wait(self, timeout_s: float) -> list[Done]:
        """Tasks that are done; none if so much time passed before.

        Raises
        ------
        BiovitaError
            What a worker raised.
        DeviceError
            Workers die when they start, or no machine is left for one.
        """
        slots = {slot.loading if slot.loading is not None else slot.reference: slot for slot in self._slots}
        slots.pop(None, None)
        if not slots:
            return []
        ready, _ = self._ray.wait(list(slots), num_returns=len(slots), timeout=0)
        if not ready:
            ready, _ = self._ray.wait(list(slots), num_returns=1, timeout=timeout_s)
        done = []
        for reference in ready:
            slot = slots[reference]
            try:
                answer = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                done += self._died(slot, error)
                continue
            if isinstance(answer, BiovitaError):
                raise answer
            if slot.loading is not None:
                slot.loading = None
            elif slot.task is not None:
                done.append(Done(slot.task, answer))
                slot.task = slot.reference = None
        self._feed()
        if not ready and time.monotonic() - self._seen > NODE_S:
            self._seen = time.monotonic()
            self._check_node()
            self._check_room()
        return done

    def __enter__(self) -> RayWorkers:
        self._connect()
        try:
            self._quiet.enter_context(redirect_stdout(self._quiet.enter_context(open(os.devnull, "w"))))
            self._node = self._ray.get_runtime_context().get_node_id()
            resources = self._ray.cluster_resources()
            on_gpu = self._on_gpu or self._given[0].provider is None and resources.get("GPU", 0) >= 1
            room = resources.get("GPU", 0) if on_gpu else resources.get("CPU", 0) // self._threads
            workers = self._asked or int(room)
            if room < 1:
                raise DeviceError("the cluster has no room for a worker", "see `ray status`, or give fewer --threads")
            actor = self._ray.remote(_Actor).options(
                num_cpus=self._threads, num_gpus=1 if on_gpu else 0, max_restarts=-1, max_task_retries=0
            )
            for _ in range(min(workers, int(room))):
                made = actor.remote(*self._given)
                self._slots.append(_Slot(made, made.load.remote()))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for slot in self._slots:
            with suppress(Exception):  # the cluster may be gone
                self._ray.kill(slot.actor)
        self._slots.clear()
        self._ray.shutdown()
        self._quiet.close()

    def _connect(self) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        local = {"num_cpus": self._asked * self._threads} if self._asked else {}
        try:
            if match := HOST_AND_PORT.fullmatch(self._address):
                socket.create_connection((match[1].strip("[]"), int(match[2])), CONNECT_S).close()
            if self._address == LOCAL:
                with asking_nobody():
                    self._ray.init(address=LOCAL, include_dashboard=False, **local, **quiet)
            else:
                self._ray.init(address=self._address, **quiet)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise DeviceError(
                f"no Ray cluster responds at {self._address} ({reason})",
                "check the address, set RAY_AUTH_MODE=token if the cluster asks for a token, or give --ray local",
            ) from None

    def _feed(self) -> None:
        """Give what waits to workers that have their model."""
        for slot in self._slots:
            if self._waiting and slot.loading is None and slot.task is None:
                slot.task = self._waiting.popleft()
                slot.reference = slot.actor.hear.remote(slot.task)

    def _check_node(self) -> None:
        """Raise DeviceError where the node is gone over which this process gets its answers: none would come."""
        if not any(node["Alive"] for node in self._ray.nodes() if node["NodeID"] == self._node):
            raise DeviceError(
                "this machine's own part of the cluster is gone",
                "start it again, and give the same command again: it goes on from here",
            )

    def _check_room(self) -> None:
        """Raise DeviceError where no worker has come for long: their machines are gone."""
        now = time.monotonic()
        if all(slot.loading is not None and now - slot.since > START_S for slot in self._slots):
            raise DeviceError(
                "no machine of the cluster has room for a worker any more",
                "see `ray status`, and give the same command again: it goes on from here",
            )

    def _died(self, slot: _Slot, error: Exception) -> list[Done]:
        """Ray starts the actor again: load its model, and say what it was at."""
        if slot.loading is not None:
            if time.monotonic() - slot.since > START_S:
                raise DeviceError(
                    f"a worker does not start ({_reason(error)})", "give fewer --workers if memory is short"
                )
            time.sleep(PAUSE_S)  # Ray refuses calls until the actor is there again
            slot.loading = slot.actor.load.remote()
            return []
        slot.since = time.monotonic()
        task, slot.task, slot.reference = slot.task, None, None
        slot.loading = slot.actor.load.remote()
        return [] if task is None else [Done(task, None, _reason(error))]


@contextmanager
def asking_nobody() -> Iterator[None]:
    """Have processes that are started meanwhile send requests of HTTP to nobody.

    Reporting or not, one of Ray's asks the services of three clouds whether it runs in one of them. gRPC, over which
    its processes talk, does not know the variable in capitals.
    """
    own = {name: value for name, value in os.environ.items() if name.lower() == "http_proxy"}
    for name in own:
        del os.environ[name]
    os.environ["HTTP_PROXY"] = NOWHERE
    try:
        yield
    finally:
        del os.environ["HTTP_PROXY"]
        os.environ.update(own)


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__
