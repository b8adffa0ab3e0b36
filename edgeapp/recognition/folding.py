"""Windows of several recordings encoded together: what a GPU needs to be busy with short recordings."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from edgeapp.audio.windows import Window

WAIT_S = 0.005  # for windows of other recordings, where a batch is not full


class Encoder(Protocol):
    """What is folded; `edgeapp.runtime.encoders.AudioEncoder` is one."""

    @property
    def provider(self) -> str: ...

    def sharing(self, cut: Iterator[Window]) -> Iterator[Window]: ...

    def hear(self, windows: Sequence[Window]) -> np.ndarray: ...


class _Asked:
    """Windows that a thread wants encoded."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.windows = windows
        self.vectors: np.ndarray | None = None
        self.error: BaseException | None = None


class FoldingEncoder:
    """An encoder for many threads: windows that they want at the same time go through it together.

    A thread that asks encodes for the others that asked meanwhile, if nobody does yet; the others wait for their
    vectors. So the encoder is used by one thread at a time, and its batches fill up by themselves while it works.

    Parameters
    ----------
    encoder : Encoder
    most : int
        Windows of a batch; more than that are only encoded together if one thread asks for them.
    """

    def __init__(self, encoder: Encoder, most: int) -> None:
        self._encoder, self._most = encoder, most
        self._changed = threading.Condition()  # guards what follows
        self._asked: list[_Asked] = []
        self._busy = False

    @property
    def provider(self) -> str:
        """That of the encoder."""
        return self._encoder.provider

    def sharing(self, cut: Iterator[Window]) -> Iterator[Window]:
        """That of the encoder."""
        return self._encoder.sharing(cut)

    def hear(self, windows: Sequence[Window]) -> np.ndarray:
        """Encode windows, from any thread: list of n -> ``[n, dim]``."""
        mine = _Asked(windows)
        with self._changed:
            self._asked.append(mine)
            self._changed.notify_all()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: mine.vectors is not None or mine.error is not None or not self._busy)
                if mine.error is not None:
                    raise mine.error
                if mine.vectors is not None:
                    return mine.vectors
                self._busy = True
                self._changed.wait_for(self._full, WAIT_S)
                batch = self._taken()
            self._encode(batch)

    def _full(self) -> bool:
        return sum(len(one.windows) for one in self._asked) >= self._most

    def _taken(self) -> list[_Asked]:
        """What is encoded next: those who asked first, as many as fit."""
        count, n = 0, 0
        while n < len(self._asked) and (n == 0 or count + len(self._asked[n].windows) <= self._most):
            count += len(self._asked[n].windows)
            n += 1
        batch, self._asked = self._asked[:n], self._asked[n:]
        return batch

    def _encode(self, batch: list[_Asked]) -> None:
        error: BaseException | None = None
        vectors = np.zeros((0, 0), np.float32)
        try:
            vectors = self._encoder.hear([window for one in batch for window in one.windows])
        except BaseException as raised:  # carried to each of them
            error = raised
        with self._changed:
            at = 0
            for one in batch:
                one.error = error
                if error is None:
                    one.vectors = vectors[at : at + len(one.windows)]
                    at += len(one.windows)
            self._busy = False
            self._changed.notify_all()
