"""The learned gallery: where it lies, and reading it.

`biovita-edge journal learn` writes it from the reviews of a journal. It lies beside that journal under its name, is
found there by `identify` and `listen`, and is laid over the gallery of the pack, which stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeapp.errors import GalleryError
from edgeapp.pack.hashes import sha256
from gallery.entry import EncoderIdentity
from gallery.reviewed import Reviewed
from gallery.store import Gallery

SUFFIX = ".learned.sqlite"
NONE = "none"  # in the place of a file: do without
REMEDY = "`biovita-edge journal learn` writes it again, `journal learn --undo` removes it"


@dataclass(frozen=True, eq=False)
class Learned:
    """What reviews taught.

    Attributes
    ----------
    reviewed : Reviewed
    sha256 : str
        Of its file.
    """

    reviewed: Reviewed
    sha256: str


class OtherSpaceError(GalleryError):
    """A learned gallery of another space than the pack's."""


def learned_beside(journal: Path) -> Path:
    """Where the learned gallery of a journal lies: ``garden.learned.sqlite`` of ``garden.sqlite``."""
    return journal.with_suffix(SUFFIX)


def chosen(given: str | None, journal: Path) -> Path | None:
    """The learned gallery that an option or setting names, else that of a journal, there or not; None with `NONE`."""
    if given == NONE:
        return None
    return Path(given) if given else learned_beside(journal)


def read_learned(path: Path, identity: EncoderIdentity) -> Learned:
    """Read a learned gallery.

    Raises
    ------
    OtherSpaceError
        It was learnt with a pack of another space.
    GalleryError
        It is not there, damaged or no gallery.
    """
    try:
        with Gallery.open(path) as gallery:
            made_by = gallery.identity
            if (made_by.space, made_by.dim) != (identity.space, identity.dim):
                raise OtherSpaceError(
                    f"{path}: was learnt with pack {made_by.pack}, not {identity.pack}",
                    "`biovita-edge journal learn` writes it again, --learned none does without",
                )
            return Learned(Reviewed.of(gallery), sha256(path))
    except OtherSpaceError:
        raise
    except GalleryError as error:
        raise GalleryError(f"what was learnt cannot be used: {error.what}", REMEDY) from error
