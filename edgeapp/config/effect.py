"""When a change of settings takes effect: while the station runs, or when it starts again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgeapp.config.setting import Setting
from edgeapp.config.settings import SECTIONS, SETTINGS, THRESHOLD, Settings

# Sections that a running station takes anew, and what of them it keeps: clips lie where the journal says they are.
AT_ONCE = ("detections", "thresholds", "privacy", "clips", "mqtt", "webhook", "notify", "birdweather")
KEPT = ("clips.folder",)


@dataclass(frozen=True)
class Change:
    """What came of new settings.

    Attributes
    ----------
    taken, waiting : tuple of str
        Keys of changed settings: those that count now, and those that count from the next start.
    """

    taken: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """``mqtt.topic takes effect; station.hop waits for the next start``."""
        parts = []
        if self.taken:
            parts.append(f"{', '.join(self.taken)} {'takes' if len(self.taken) == 1 else 'take'} effect")
        if self.waiting:
            verb = "waits" if len(self.waiting) == 1 else "wait"
            parts.append(f"{', '.join(self.waiting)} {verb} for the next start")
        return "; ".join(parts) or "no setting has changed"


def at_once(setting: Setting) -> bool:
    """Whether a running station takes a change of a setting."""
    return setting.section in AT_ONCE and setting.key not in KEPT


def in_words(section: str) -> str:
    """When changes of a section take effect, in a sentence."""
    if section not in AT_ONCE:
        return "Changes wait for the next start of the station."
    kept = [key.partition(".")[2] for key in KEPT if key.startswith(f"{section}.")]
    but = f", those of `{'`, `'.join(kept)}` at its next start" if kept else ""
    return f"A running station takes changes when it reads the file again{but}."


def taken(running: Settings, asked: Settings) -> Settings:
    """The settings of a station that runs, with what it takes at once of others."""
    sections = {}
    for name in SECTIONS:
        values = {one.name: asked.value(one) for one in SETTINGS if one.section == name and at_once(one)}
        sections[name] = replace(getattr(running, name), **values)
    return replace(running, **sections, thresholds=asked.thresholds, origins=asked.origins, file=asked.file)


def change(before: Settings, after: Settings) -> Change:
    """What differs between settings, and when it takes effect."""
    differ = [one for one in SETTINGS if before.value(one) != after.value(one)]
    taxa = sorted({*before.thresholds, *after.thresholds})
    thresholds = [
        f"{THRESHOLD.section}.{taxon}" for taxon in taxa if before.thresholds.get(taxon) != after.thresholds.get(taxon)
    ]
    return Change(
        (*(one.key for one in differ if at_once(one)), *thresholds),
        tuple(one.key for one in differ if not at_once(one)),
    )
