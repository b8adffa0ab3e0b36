"""What is searched for, as vectors of a pack: a recording, a photo, or words."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from edgeapp.audio.file import FileSource
from edgeapp.errors import UsageError
from edgeapp.pack.format import Pack
from edgeapp.recognition.photos import UnusablePhoto, opened
from edgeapp.runtime.encoders import AudioEncoder, ImageEncoder, TextEncoder
from gallery.prompts import prompts
from gallery.recognition import loud
from gallery.taxon import Taxon


def of_sound(path: str, pack: Pack, encoder: AudioEncoder) -> np.ndarray:
    """Embeddings of the windows of a recording that have sound, side by side: [n, dim].

    Raises
    ------
    AudioError, UsageError
        It cannot be read, or has no sound.
    """
    with closing(FileSource(path)) as source:
        cut = list(encoder.sharing(pack.audio.cutting.windows(source, pack.audio.window_s)))
        heard = np.flatnonzero(loud([window.level.dbfs for window in cut], pack.decision)).tolist()
        if not heard:
            raise UsageError(
                f"{path}: no sound: never above {pack.decision.silence_dbfs:g} dBFS", "name another recording"
            )
        return encoder.hear([cut[row] for row in heard])


def of_photo(path: str, pack: Pack) -> np.ndarray:
    """Embedding of a photo: [1, dim].

    Raises
    ------
    PackError, UsageError
        The pack has no image encoder, or it is no photo.
    """
    try:
        return ImageEncoder(pack).encode([opened(Path(path))])
    except (UnusablePhoto, OSError) as error:
        raise UsageError(f"{path}: {error}", "name another photo") from None


def of_words(text: str, pack: Pack, taxon: Taxon | None = None) -> np.ndarray:
    """Embedding of words, or of the prompts of a taxon that they name: [1, dim].

    Raises
    ------
    PackError
        The pack has no text encoder.
    """
    texts = [text] if taxon is None else list(prompts(taxon).values())
    return TextEncoder(pack).encode(texts).mean(axis=0, keepdims=True)
