"""Decision parameters of a pack: as calibration wrote them, or from the model's own logit scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from export.errors import ExportError
from gallery import MODALITIES, BiovitaError, DecisionParameters
from gallery.errors import reason_of
from trainer.heard import uncalibrated
from trainer.models.vita import Vita


def from_scale(model: Vita) -> tuple[DecisionParameters, dict[str, Any]]:
    """Parameters before calibration, with the scale of the model's own logits, and their metrics in `pack.json`."""
    scale = round(float(Vita.scale(model.logit_scale.detach())), 4)
    return uncalibrated(MODALITIES, scale), {"uncalibrated": {"logit_scale": scale}}


def read_decision(path: Path) -> tuple[DecisionParameters, dict[str, Any]]:
    """Decision parameters and their metrics, as `trainer calibrate` writes them.

    Raises
    ------
    ExportError
        When there are none.
    """
    try:
        fitted = json.loads(path.read_text(encoding="utf-8"))
        return DecisionParameters.from_dict(fitted["decision"]), fitted.get("metrics", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BiovitaError) as error:
        raise ExportError(
            f"{path}: no decision parameters ({reason_of(error)})",
            "fit them with `python -m trainer calibrate`, name other ones with --decision, or give --uncalibrated",
        ) from error
