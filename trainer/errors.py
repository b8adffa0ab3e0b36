"""Errors of training and evaluation that a user can cause, each with its remedy."""

from __future__ import annotations

from gallery.errors import BiovitaError


class DataError(BiovitaError):
    """A manifest, a recording or a photo cannot be used."""

    exit_code = 2


class CheckpointError(BiovitaError):
    """A checkpoint is missing, damaged or of another model."""

    exit_code = 3


class ConfigError(BiovitaError):
    """A setting is invalid, or contradicts another one."""

    exit_code = 2


class TrainingError(BiovitaError):
    """Training failed, for example because a loss is not finite."""

    exit_code = 1
