"""When a change of settings takes effect, and what of a station that runs it makes anew."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgeapp import read_once
from edgeapp.config.setting import Setting
from edgeapp.config.settings import SECTIONS, SETTINGS, THRESHOLD, Settings

TARGETS = ("mqtt", "webhook", "notify", "birdweather")
# Sections that a running station takes, what of them it keeps (clips lie where the journal says they are), and what of
# others it takes.
AT_ONCE = ("detections", "thresholds", "privacy", "clips", *TARGETS)
KEPT = ("clips.folder",)
TAKEN = ("station.share_location",)
# What is made anew by a change of a section or of a setting; of the retention only the limits are others.
DECISIONS = ("detections", "thresholds", "privacy")
CUT = ("clips.format", "clips.pre_roll", "clips.post_roll", "clips.longest")
CLIPS = (*CUT, "privacy", "detections.latitude", "detections.longitude", *TAKEN)
OF_TARGETS = {"clips.pre_roll": ("birdweather",)}  # which sends clips, and says where in them a detection is


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


@dataclass(frozen=True)
class Anew:
    """What of a running station is made anew. Everything else goes on as it was.

    Attributes
    ----------
    decisions : bool
        What becomes of the detections of a window: the journal has another deployment.
    clips : bool
        How clips are cut.
    targets : frozenset of str
        Receivers of messages that are connected again.
    """

    decisions: bool
    clips: bool
    targets: frozenset[str]

    @classmethod
    def by(cls, keys: Collection[str]) -> Anew:
        """What a change of some settings, or of the files that they name, makes anew."""
        changed = {*keys, *(key.partition(".")[0] for key in keys)}
        sent = {name for key in changed for name in OF_TARGETS.get(key, ())}
        return cls(
            not changed.isdisjoint(DECISIONS), not changed.isdisjoint(CLIPS), frozenset(sent | changed & {*TARGETS})
        )


def at_once(setting: Setting) -> bool:
    """Whether a running station takes a change of a setting."""
    return setting.key in TAKEN or (setting.section in AT_ONCE and setting.key not in KEPT)


def in_words(section: str) -> str:
    """When changes of a section take effect, in a sentence."""
    if section not in AT_ONCE:
        taken = [key.partition(".")[2] for key in TAKEN if key.startswith(f"{section}.")]
        but = f"; those of `{'`, `'.join(taken)}` do not" if taken else ""
        return f"Changes wait for the next start of the station{but}."
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


def contents(settings: Settings) -> Mapping[str, str]:
    """Hashes of the files that are named by settings which a running station takes, by the keys of these."""
    found = {}
    for setting in SETTINGS:
        path = settings.value(setting)
        if setting.type is Path and setting.read and path is not None and at_once(setting):
            try:
                found[setting.key] = hashlib.sha256(read_once.content(path)).hexdigest()
            except OSError:
                continue  # told by what needs the file
    return found
