"""What the command line of a preset with a given audio encoder refuses."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.errors import ConfigError


def without_effect(preset: str, given: Mapping[str, object]) -> None:
    """Refuse options that would change nothing.

    Raises
    ------
    ConfigError
        Naming the first that was given.
    """
    for option, value in given.items():
        if value is not None:
            raise ConfigError(f"{option} has no effect with preset {preset}", "leave it out")
