"""An adapter from the space of a pack to that of BioCLIP 2, fitted on class vectors and names without recordings.

Text distillation: a ridge regression from the class vector of each species, in the space of the pack, to its name, in
that of BioCLIP 2. It can be trained further on recordings and photos in the stages.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from edgeapp.pack.installed import load_pack
from gallery import PROMPT_FORMS
from trainer import checkpoint
from trainer.attribution import of_weights, record
from trainer.bank import TextBank
from trainer.checkpoint import RunConfig
from trainer.evaluate import TEXT_FORM
from trainer.frontend import LogMelConfig
from trainer.hub import pinned
from trainer.models.adapted import AdaptedTower, AdaptedTowers, build_adapted
from trainer.models.bioclip import clip_tokenizer
from trainer.models.vita import Vita
from trainer.presets import BIOVITA, DISTILL, with_towers
from trainer.published import fill_clip, read_clip
from trainer.trunk.vectors import read_prototypes

PENALTY = 0.1  # L2, relative to the mean diagonal of the Gram matrix of the class vectors


def adapted(source: str, bioclip: str, tell: Callable[[str], None] = lambda line: None) -> tuple[AdaptedTowers, Vita]:
    """The model before training.

    Parameters
    ----------
    source : name or folder of a pack with class vectors
    bioclip : source of BioCLIP 2
    tell : called with the commit of a source that names none

    Raises
    ------
    CheckpointError, PackError, DataError
        A file is missing, damaged or of another model, or the pack has no class vectors.
    """
    pack, clip = load_pack(source), read_clip(bioclip)
    if pinned(bioclip, clip.path) != bioclip:
        tell(f"{bioclip}: using its newest commit; to repeat this run give {pinned(bioclip, clip.path)}")
    towers = AdaptedTowers(
        pack=source,
        space=pack.space,
        trunk_dim=pack.dim,
        clip=clip.model,
        window_s=pack.audio.window_s,
        hop_s=pack.audio.hop_s,
        pad=pack.audio.pad,
        mean=clip.mean,
        std=clip.std,
        mel=LogMelConfig(rate_hz=pack.audio.rate_hz),
        dim=int(clip.model["embed_dim"]),
    )
    model = build_adapted(towers)
    fill_clip(model, clip)
    model.eval()
    prototypes, _ = read_prototypes(pack)
    tell(f"fitting the adapter to the names of {len(prototypes.taxa)} taxa")
    bank = TextBank(prototypes.taxa, clip_tokenizer(towers.context))
    names = bank.embed_form(model.text, PROMPT_FORMS.index(TEXT_FORM), torch.device("cpu"))
    start_adapter(cast(AdaptedTower, model.audio), torch.from_numpy(prototypes.vectors), names)
    return towers, model


@torch.no_grad()
def start_adapter(tower: AdaptedTower, prototypes: Tensor, names: Tensor) -> None:
    """Set the adapter to the ridge regression from class vectors [taxa, trunk_dim] to names [taxa, dim]."""
    mean, common = prototypes.mean(dim=0), names.mean(dim=0)
    x, y = (prototypes - mean).double(), (names - common).double()
    gram = x.t() @ x
    gram.diagonal().add_(PENALTY * float(gram.diagonal().mean()))
    weight = torch.linalg.solve(gram, x.t() @ y).t().float()
    tower.adapter.weight.copy_(weight)
    tower.adapter.bias.copy_(common - weight @ mean)


def distil(source: str, bioclip: str, out: Path, tell: Callable[[str], None]) -> None:
    """Write the adapted model as a finished checkpoint with the taxa of the pack."""
    torch.manual_seed(0)
    towers, model = adapted(source, bioclip, tell)
    prototypes, _ = read_prototypes(load_pack(source))
    config = RunConfig(
        preset=with_towers(BIOVITA, towers),
        stage=DISTILL,
        data=f"class vectors of {towers.space}",
        held_out=0.0,
        seed=0,
        taxa=tuple(taxon.scientific_name for taxon in prototypes.taxa),
    )
    checkpoint.save(out, model, {}, clip_tokenizer(towers.context), config)
    record(out, [of_weights(source), of_weights(bioclip)])
