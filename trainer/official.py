"""`--set official=true`: all that the released code of BioVITA does otherwise (dahlian00/BioVITA, commit 3ffb324).

docs/official.md has the reasons; each setting can also be given by itself.
"""

from __future__ import annotations

from trainer.errors import ConfigError

OFFICIAL = "official"
OF_PRESET = ("pad=zero", "start=onset", "resampler=sinc", "offset=kept", "names=given")
OF_BOTH = ("positives=diagonal", "batch_statistics=true", "gather=local")
OF_STAGE = {
    "1": (*OF_BOTH, "decay_norms=always", "clamp_scale=false", "native_frames=true"),
    "2": (
        *OF_BOTH,
        "epochs=20",
        "mix_epochs=10",
        "batch=32",
        "lr=1e-4",
        "trunk_lr=1e-5",
        "text_lr=5e-6",
        "mix_lr=1e-4",
        "trunk_weight_decay=0.02",
        "text_weight_decay=0.01",
        "decay_norms=mixing",
        "beta2=0.98",
        "clip=1.0",
        "reset_optimizer=true",
        "mix_text=true",
        "mix_scale=true",
        "temperature=0.2",
        "gate=true",
        "unfreeze_step=300",
        "unfreeze=proj,final_layer,layers.11",
        "aic_steps=600",
        "itc_steps=300",
        "triplets=fixed",
        "most_photos=20",
        "photoless=drop",
    ),
}


def with_official(preset: str, stage: str, settings: list[str]) -> list[str]:
    """Settings with `official=true` replaced by what it stands for; others take precedence, wherever they stand.

    Raises
    ------
    ConfigError
        When the preset or the stage is not one of the paper's.
    """
    asked = [setting for setting in settings if setting.partition("=")[0] == OFFICIAL]
    for setting in asked:
        if setting.lower() not in (f"{OFFICIAL}=true", f"{OFFICIAL}=false"):
            raise ConfigError(f"--set {setting}: the value is not true or false", "correct it")
    rest = [setting for setting in settings if setting not in asked]
    if not asked or asked[-1].lower() == f"{OFFICIAL}=false":
        return rest
    if preset != "biovita" or stage not in OF_STAGE:
        raise ConfigError(
            f"--set {OFFICIAL}=true has no effect with preset {preset}, stage {stage}",
            "it goes with --preset biovita, stages 1 and 2",
        )
    return [*OF_PRESET, *OF_STAGE[stage], *rest]
