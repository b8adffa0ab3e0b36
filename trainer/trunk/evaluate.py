"""How well names that a text tower never saw find the sound of their species."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from trainer.bank import TextBank
from trainer.models.vita import Vita

TOPS = (1, 5)


@torch.no_grad()
def name_vectors(model: Vita, bank: TextBank, device: torch.device) -> np.ndarray:
    """One unit vector a taxon [taxa, dim]: the mean of its prompts, as in a gallery."""
    return F.normalize(bank.embed_all(model.text, device).mean(dim=0), dim=-1).cpu().numpy()


def names_found(model: Vita, bank: TextBank, prototypes: np.ndarray, device: torch.device) -> dict[str, float]:
    """Share of class vectors whose name is among the first 1 and 5 of the names of a bank.

    Parameters
    ----------
    prototypes : [taxa, dim] unit vectors, in the order of the bank
    """
    names = name_vectors(model, bank, device)
    similarity = prototypes @ names.T
    right = similarity.diagonal()
    position = (similarity > right[:, None]).sum(axis=1)
    metrics = {f"class_text_top{top}": round(float((position < top).mean()), 4) for top in TOPS}
    return {**metrics, "class_text_cosine": round(float(right.mean()), 4), "names": float(len(names))}
