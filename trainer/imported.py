"""A checkpoint of published weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from gallery import read_taxa, starter_taxa
from trainer import checkpoint
from trainer.attribution import of_weights, record
from trainer.checkpoint import RunConfig
from trainer.errors import CheckpointError
from trainer.hub import pinned
from trainer.models.bioclip import clip_tokenizer
from trainer.presets import BIOVITA, HEARD_AS_PUBLISHED
from trainer.published import files_of, open_published


def import_weights(source: str, out: Path, taxa: Path | None) -> None:
    """Write published weights as a checkpoint, with the names of a species table.

    Raises
    ------
    CheckpointError
        When a file is missing, damaged or of another model, or `out` holds something else.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / checkpoint.CONFIG).exists())):
        raise CheckpointError(f"{out}: exists and is not a checkpoint", "name another folder with --out")
    table = read_taxa(taxa) if taxa else starter_taxa()
    torch.manual_seed(0)
    towers, model = open_published(source)
    config = RunConfig(
        preset=dataclasses.replace(BIOVITA, towers=towers, **HEARD_AS_PUBLISHED),
        stage="2",
        data=source,
        held_out=0.0,
        seed=0,
        taxa=tuple(taxon.scientific_name for taxon in table),
    )
    checkpoint.save(out, model, {}, clip_tokenizer(towers.context), config)
    record(out, [of_weights(pinned(source, files_of(source)[0]))])
