"""What the outbox needs of the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from edgeapp.clock.system import Moment


class Waiting(Protocol):
    """A message that waits; see `edgeapp.journal.StoredMessage`."""

    @property
    def id(self) -> int: ...
    @property
    def target(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def created_utc(self) -> str: ...
    @property
    def clock_set(self) -> bool: ...
    @property
    def revision(self) -> int: ...
    @property
    def clip_expected(self) -> bool: ...


class Text(Protocol):
    """What a message says, and at which revision of it; see `edgeapp.journal.Composed`."""

    @property
    def payload(self) -> Mapping[str, Any]: ...
    @property
    def revision(self) -> int: ...


class Store(Protocol):
    """The journal, as far as the outbox needs it. Used from several threads.

    Messages that were sent or dropped are never due, and marking them again changes nothing. ``target=None`` is all
    targets. Due messages come in the order in which they were queued; ``changed`` ones were sent, and say something
    else now. ``on_queued`` is called when messages can be read; it does not wait.
    """

    on_queued: Callable[[], None]

    def due(self, now_s: float, limit: int, target: str | None = None) -> Sequence[Waiting]: ...
    def changed(self, limit: int, target: str | None = None) -> Sequence[Waiting]: ...
    def composed(self, message_id: int, /) -> Text | None: ...
    def sent(self, message_id: int, when: Moment, revision: int, /) -> None: ...
    def failed(self, message_id: int, error: str, next_try_s: float, /) -> None: ...
    def drop_message(self, message_id: int, why: str, when: Moment, /) -> None: ...
    def queue_length(self, target: str | None = None) -> int: ...
