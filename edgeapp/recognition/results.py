"""Results of recognition: of a window, of merged windows, of a whole recording."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gallery.candidates import Candidate
from gallery.naming import Naming
from gallery.recognition import Detection


@dataclass(frozen=True)
class Origin:
    """Origin of a detection: the pack and the gallery.

    Attributes
    ----------
    pack, pack_version : str
    gallery_sha256 : str
    learned_sha256 : str or None
        Of the learned gallery laid over it; None without one.
    """

    pack: str
    pack_version: str
    gallery_sha256: str
    learned_sha256: str | None = None


@dataclass(frozen=True, eq=False)
class WindowResult:
    """What one window holds.

    Attributes
    ----------
    start_s, end_s : float
        On the source's clock.
    level_dbfs : float
        ``-inf`` for digital silence.
    heard : bool
        False when the window is below the pack's level of silence: it was not encoded.
    confidences : np.ndarray
        ``[n_taxa]``, of each taxon by itself; zeros when not heard.
    detections : tuple of Detection
    vector : np.ndarray or None
        ``[dim]`` unit length; None for a window that was not heard, or was withheld.
    speech : float or None
        Probability of speech, where it was asked for: of windows with a detection.
    withheld : bool
        Whether it is speech, and its detections, confidences and vector were therefore taken out.
    """

    start_s: float
    end_s: float
    level_dbfs: float
    heard: bool
    confidences: np.ndarray
    detections: tuple[Detection, ...]
    vector: np.ndarray | None
    speech: float | None = None
    withheld: bool = False

    def named(self, naming: Naming) -> WindowResult:
        """The same with its names in a language."""
        return replace(self, detections=tuple(map(naming.detection, self.detections))) if naming.names else self


@dataclass(frozen=True, eq=False)
class Stretch:
    """A detection in consecutive windows.

    Attributes
    ----------
    start_s, end_s : float
        From the start of its first to the end of its last window.
    detection : Detection
        That of its most confident window.
    vector : np.ndarray or None
        ``[dim]`` of that window.
    windows : int
    """

    start_s: float
    end_s: float
    detection: Detection
    vector: np.ndarray | None
    windows: int = 1

    def named(self, naming: Naming) -> Stretch:
        """The same with its names in a language."""
        return replace(self, detection=naming.detection(self.detection)) if naming.names else self


@dataclass(frozen=True)
class Identification:
    """What one recording is, apart from its windows and detections.

    Attributes
    ----------
    file : str
    duration_s, hop_s : float
    species : tuple of Candidate
        The likeliest over the whole recording.
    heard : bool
        False when no window was loud enough to be encoded.
    notes : tuple of str
        Notes for the user.
    """

    file: str
    duration_s: float
    hop_s: float
    species: tuple[Candidate, ...]
    heard: bool = True
    notes: tuple[str, ...] = ()
