"""The audio trunk of a finished student, for the starter to begin with.

A student of a large encoder learns from its vectors, which say more of a sound than one name does. Its trunk is the
starter's own, so that names and photos can then be aligned with what it learned.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from trainer import checkpoint
from trainer.errors import CheckpointError


def open_tuned(folder: Path) -> tuple[nn.Sequential, str]:
    """Blocks of the trunk, and the space of the student.

    Raises
    ------
    CheckpointError
        There is no finished checkpoint of a student in the folder.
    """
    remedy = "name a finished student with --audio (--recipe student)"
    loaded = checkpoint.load_finished(folder, remedy)
    trunk = loaded.model.audio.single_trunk()
    if trunk is None:
        raise CheckpointError(f"{folder}: is no student", remedy)
    return trunk, loaded.space


def unheard(folder: Path, held_out: float, seed: int) -> None:
    """Refuse a student that has learned from recordings which are held out now.

    Raises
    ------
    CheckpointError
        Its own split is another one.
    """
    if held_out:
        config = checkpoint.load_config(folder)
        share = ("held-out share", held_out, config.held_out)
        remedy = f"train it with --held-out {held_out:g} --seed {seed}: it has learned from recordings held out now"
        checkpoint.require_same(folder, remedy, share, ("seed", seed, config.seed))
