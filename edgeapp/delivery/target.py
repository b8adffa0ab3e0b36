"""Protocol of delivery targets, and their errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from edgeapp.errors import BiovitaError


class NotSent(BiovitaError):
    """The target did not accept a message; it may accept it later.

    Parameters
    ----------
    what, remedy : str
        Without any secret: both are logged, stored and shown.
    retry_after_s : float or None
        The target asked not to be tried again for so many seconds.
    """

    exit_code = 1

    def __init__(self, what: str, remedy: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(what, remedy)
        self.retry_after_s = retry_after_s


class Refused(NotSent):
    """The target rejects this message; others may be accepted."""


@dataclass(frozen=True)
class Probed:
    """What a probe has shown.

    Attributes
    ----------
    what : str
        What worked, without any secret.
    doubt : str
        What may still keep messages from being taken; empty without any.
    remedy : str
        What to do about the doubt.
    """

    what: str
    doubt: str = ""
    remedy: str = ""


class Target(Protocol):
    """A delivery target. Used by one thread.

    Errors must not contain a password, a token or the path of a URL.
    """

    def ready(self) -> bool:
        """Connect where there is something to connect; called before the first message and when there is none.

        Returns
        -------
        bool
            True when the target is known to be there, False when only a message would tell.

        Raises
        ------
        NotSent
            When it is not there.
        """
        ...

    def send(self, payload: Mapping[str, Any]) -> None:
        """Return when the target has confirmed the message.

        Raises
        ------
        Refused
            When the target does not want this message.
        NotSent
            When the target is not there, or does not confirm.
        """
        ...

    def close(self) -> None:
        """Disconnect. Never raises."""
        ...

    def probe(self) -> Probed:
        """Try the target as far as that can be done without a message; for `doctor`, beside a station that runs.

        Raises
        ------
        NotSent
            It cannot be reached, or refuses what a message would need.
        """
        ...
