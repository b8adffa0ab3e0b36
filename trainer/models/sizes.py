"""What the sizes of any family of towers say: a model is built of them, and they are stored beside its weights."""

from __future__ import annotations

from typing import Any, Protocol

from trainer.frontend import LogMelConfig


class Towers(Protocol):
    """Sizes of the towers of one space, as plain values of JSON: a frozen dataclass of its family."""

    @property
    def family(self) -> str:
        """Name under which `trainer.families` has them."""

    @property
    def dim(self) -> int:
        """Of the space."""

    @property
    def mel(self) -> LogMelConfig:
        """The front end."""

    @property
    def level_dbfs(self) -> float | None:
        """What a window is brought to before the front end; None where its level is left as it is."""

    @property
    def context(self) -> int:
        """Tokens of a prompt."""

    @property
    def image_size(self) -> int:
        """Side of a picture in pixels."""


def tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where the dataclasses have tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
