"""How recordings are recognised: what every process that works on an archive, and `identify`, is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

from edgeapp.archive.expectation import Expectation, expectation_of
from edgeapp.archive.files import ALL_CHANNELS
from edgeapp.audio.channels import Channel
from edgeapp.detections.speech import SpeechDetector, SpeechGate
from edgeapp.pack.format import Pack
from edgeapp.pack.hashes import sha256
from edgeapp.pack.names import naming_in
from edgeapp.recognition.recogniser import Recogniser
from gallery.naming import Naming


@dataclass(frozen=True)
class Recognition:
    """What a person asked for; can be sent to another process.

    Attributes
    ----------
    pack : Path
        Folder of the pack.
    gallery : Path or None
        The pack's own when None.
    learned : Path or None
        Learned gallery to lay over it.
    only : tuple of str
    modalities : tuple of str or None
    threads : int or None
    provider : str or None
    place : (float, float) or None
        Latitude and longitude.
    week : int or None
        See `edgeapp.archive.expectation.expectation_of`.
    min_occurrence : float or None
    range_table : Path or None
    language : str
    hop_s : float or None
        The pack's when None.
    zone : tzinfo or None
        In which the clocks of recorders stood that name none.
    channel : Channel
        Of recordings.
    speech_threshold : float or None
        Least probability of speech at which a window is withheld; None keeps speech.
    """

    pack: Path
    gallery: Path | None = None
    learned: Path | None = None
    only: tuple[str, ...] = ()
    modalities: tuple[str, ...] | None = None
    threads: int | None = None
    provider: str | None = None
    place: tuple[float, float] | None = None
    week: int | None = None
    min_occurrence: float | None = None
    range_table: Path | None = None
    language: str = "en"
    hop_s: float | None = None
    zone: tzinfo | None = None
    channel: Channel = ALL_CHANNELS
    speech_threshold: float | None = None

    def load(self, pack: Pack | None = None) -> Loaded:
        """Load it; the pack need not be read again where it was.

        Raises
        ------
        PackError, GalleryError, TaxonError, UsageError, DeviceError
            What cannot be loaded, found or used.
        """
        pack = Pack.load(self.pack) if pack is None else pack
        recogniser = Recogniser(
            pack, self.gallery, self.only, self.modalities, self.threads, self.provider, learned=self.learned
        )
        expectation = expectation_of(recogniser, self.place, self.week, self.min_occurrence, self.range_table)
        hop_s = pack.audio.hop_s if self.hop_s is None else self.hop_s
        gate = None
        if self.speech_threshold is not None:
            gate = SpeechGate(recogniser.answer, pack.audio.rate_hz, SpeechDetector(self.speech_threshold))
        return Loaded(recogniser, naming_in(self.language, recogniser.taxa), expectation, hop_s, gate)


@dataclass(frozen=True)
class Loaded:
    """All that hears a recording."""

    recogniser: Recogniser
    naming: Naming
    expectation: Expectation | None
    hop_s: float
    gate: SpeechGate | None = None

    @property
    def notes(self) -> list[str]:
        """Notes on what was asked for and has no effect."""
        table = None if self.expectation is None else self.expectation.filters.species_range
        return [] if table is None else table.notes

    def settings(self, asked: Recognition) -> dict[str, Any]:
        """What decides about the results, for `edgeapp.archive.results.record.Record`: identities instead of paths."""
        pack, origin = self.recogniser.pack, self.recogniser.origin
        table = asked.range_table
        return {
            "pack": f"{pack.name} {pack.version}",
            "pack sha256": sha256(asked.pack / "pack.json"),
            "gallery sha256": origin.gallery_sha256,
            "learned sha256": origin.learned_sha256,
            "hop": self.hop_s,
            "only": sorted(asked.only),
            "modalities": None if asked.modalities is None else sorted(asked.modalities),
            "latitude": None if asked.place is None else asked.place[0],
            "longitude": None if asked.place is None else asked.place[1],
            "week": asked.week,
            "min-occurrence": asked.min_occurrence,
            "range-table sha256": None if table is None else sha256(table),
            "language": asked.language,
            "time-zone": None if asked.zone is None else str(asked.zone),
            "channel": asked.channel.choice or asked.channel.number,
            # Only where it was asked for: results from before there was such a thing can be gone on with.
            **({} if asked.speech_threshold is None else {"speech-threshold": asked.speech_threshold}),
        }
