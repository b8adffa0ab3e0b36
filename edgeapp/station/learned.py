"""What reviews taught a station: taken at the start, and again whenever its file changes."""

from __future__ import annotations

import logging
from pathlib import Path

from edgeapp.config.settings import Settings
from edgeapp.errors import BiovitaError, GalleryError, UsageError
from edgeapp.journal import Reader
from edgeapp.journal.learning import learn
from edgeapp.recognition.learned import Learned, chosen, read_learned
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.station.station import Station

log = logging.getLogger(__name__)

LEARNED_S = 5.0  # between looks at the file

Stamp = tuple[int, int, int]


def learned_gallery(settings: Settings, recogniser: Recogniser) -> LearnedGallery:
    """What the settings say, taken as it is now."""
    made = LearnedGallery(recogniser, chosen(settings.station.learned, settings.journal_path))
    made.take()
    if settings.station.learned is not None and made.path is not None and not made.path.is_file():
        log.warning("%s: there is no learned gallery yet; it is used once `journal learn` has written it", made.path)
    return made


class LearnedGallery:
    """Lays a learned gallery over the gallery of a station. What cannot be used is told, and done without.

    Parameters
    ----------
    recogniser : Recogniser
    path : Path or None
        There or not; None does without for good.
    """

    def __init__(self, recogniser: Recogniser, path: Path | None) -> None:
        self.path = path
        self._recogniser = recogniser
        self._seen: Stamp | None = None

    def take(self) -> None:
        """Take the file as it is, before the station begins."""
        self._seen = self._stamp()
        self._recogniser.lay_over(self._read())

    def __call__(self, station: Station) -> None:
        """Take the file if it changed; the station goes on as another deployment, since it answers otherwise now."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        learned = self._read()
        hashed = None if learned is None else learned.sha256
        if hashed != self._recogniser.origin.learned_sha256:
            try:
                station.renew_learned(hashed)
            except BiovitaError as error:  # tried again at the next look
                log.warning("what reviews taught is not used yet: %s", error)
                return
            self._recogniser.lay_over(learned)
            log.info("learned gallery: %s", "none" if learned is None else self.path)
        self._seen = stamp

    def learn(self, journal: Path) -> str:
        """Learn from the reviews of a journal, from any thread; what was learnt, in a line.

        The station takes it at its next look.

        Raises
        ------
        BiovitaError
            Nothing can be learnt, or it cannot be written.
        """
        if self.path is None:
            raise UsageError("this station does without what reviews teach", "omit --learned none")
        with Reader(journal) as reader:
            return learn(reader, self._recogniser.pack, self.path, self._recogniser.gallery_path).in_words

    def _read(self) -> Learned | None:
        if self.path is None or not self.path.is_file():
            return None
        try:
            return read_learned(self.path, self._recogniser.pack.identity)
        except GalleryError as error:
            log.warning("%s", error)
            return None

    def _stamp(self) -> Stamp | None:
        try:
            found = None if self.path is None else self.path.stat()
        except OSError:
            return None
        return None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns)
