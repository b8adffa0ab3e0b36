"""Entries of a gallery: one vector of one taxon with its provenance, and the identity of the encoders."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

MODALITIES = ("text", "image", "audio")
MOST_DIM = 65_536  # numbers in a vector
UNIT_TOLERANCE = (
    1e-3  # largest accepted |length - 1|: wide enough for vectors that an accelerator made in half precision
)
# Words of a photo's note; what they name does not look as the species does. A pattern of Python's `re` and of RE2.
NOT_ADULT = (
    r"(?i)\b(?:nests?|nestlings?|eggs?|chicks?|fledglings?|hatchlings?|juveniles?|immatures?|tadpoles?|larvae?|spawn)\b"
)

_JPEG_START = b"\xff\xd8"


def shows_adult(note: str) -> bool:
    """Whether a photo may show a grown animal: its note names no nest, no eggs and no young."""
    return re.search(NOT_ADULT, note) is None


@dataclass(frozen=True)
class EncoderIdentity:
    """The encoders that made a gallery's vectors.

    Attributes
    ----------
    space : str
        Id of the checkpoint that all encoders of a pack share: vectors of different spaces cannot be compared.
    dim : int
        Numbers in a vector.
    pack : str
        Name and version of the pack, for people to read; another pack of the same space may use the gallery.
    """

    space: str
    dim: int
    pack: str


@dataclass(frozen=True)
class Thumbnail:
    """A photo in two sizes.

    Attributes
    ----------
    small, large : bytes
        JPEG.
    width, height : int or None
        Pixels of the large one; None where an earlier version kept it, which made one size and did not say which.
    """

    small: bytes
    large: bytes
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, eq=False)
class Entry:
    """One vector of one taxon, or a photo of it.

    Attributes
    ----------
    scientific_name : str
        Taxon it belongs to.
    modality : str
        ``"text"``, ``"image"`` or ``"audio"``: the encoder that made the vector.
    vector : numpy.ndarray or None
        [dim] float32, unit length. None for a photo in a space without an image encoder: it is shown, not compared.
    label : str
        Prompt form and text, or file name.
    author, licence, source : str
        Provenance of a photo or recording; ``""`` when unknown.
    sha256 : str
        Of the photo or recording, hex.
    thumbnail : Thumbnail or None
        To show beside a detection.
    logit_scale, logit_bias : float or None
        Of a class vector, a row of a classifier's last layer: the classifier's logit for a window is
        ``logit_scale * (vector @ window) + logit_bias``, with the window's vector as its encoder gives it. None for
        every other entry.
    """

    scientific_name: str
    modality: str
    vector: np.ndarray | None
    label: str
    author: str = ""
    licence: str = ""
    source: str = ""
    sha256: str = ""
    thumbnail: Thumbnail | None = None
    logit_scale: float | None = None
    logit_bias: float | None = None

    def defect(self, dim: int) -> str:
        """Why a gallery of vectors of `dim` numbers cannot take this entry; ``""`` when it can."""
        if self.modality not in MODALITIES:
            return f"modality '{self.modality}' is none of {', '.join(MODALITIES)}"
        if self.thumbnail is not None:
            if self.modality != "image":
                return f"thumbnail of modality '{self.modality}', must be image"
            if not all(jpeg.startswith(_JPEG_START) for jpeg in (self.thumbnail.small, self.thumbnail.large)):
                return "thumbnail that is not a JPEG"
        if self.vector is None:
            return "" if self.modality == "image" else f"{self.modality} without a vector"
        vector = np.asarray(self.vector)
        if vector.shape != (dim,):
            return f"vector of shape {list(vector.shape)} instead of [{dim}]"
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length):
            return "vector with numbers that are not finite"
        if length < UNIT_TOLERANCE:
            return "zero vector"
        if abs(length - 1) > UNIT_TOLERANCE:
            return f"vector of length {length:.4g} instead of 1"
        if (self.logit_scale is None) != (self.logit_bias is None):
            return "class vector without its logit scale or bias"
        if self.logit_scale is not None and self.logit_bias is not None:
            if self.modality != "audio":
                return f"class vector of modality '{self.modality}', must be audio"
            if not (0 < self.logit_scale < math.inf and math.isfinite(self.logit_bias)):
                return f"class vector with logit scale {self.logit_scale} and bias {self.logit_bias}"
        return ""


@dataclass(frozen=True, eq=False)
class Counterexample:
    """A sound that was taken for a taxon and is not that taxon.

    Attributes
    ----------
    taxon_rank, scientific_name : str
        What it was taken for: a species or a group, which the gallery need not have among its taxa.
    vector : numpy.ndarray
        [dim] float32, unit length.
    label, author, licence, source : str
        Provenance, as that of an entry.
    """

    taxon_rank: str
    scientific_name: str
    vector: np.ndarray
    label: str
    author: str = ""
    licence: str = ""
    source: str = ""

    def defect(self, dim: int) -> str:
        """Why a gallery of vectors of `dim` numbers cannot take it; ``""`` when it can."""
        return Entry(self.scientific_name, "audio", self.vector, self.label).defect(dim)


@dataclass(frozen=True)
class Rejection:
    """Something that was rejected, and why."""

    label: str
    reason: str


@dataclass(frozen=True)
class Added:
    """Result of adding taxa or entries to a gallery."""

    added: int
    rejected: tuple[Rejection, ...]
