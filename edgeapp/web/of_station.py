"""The page of a station that listens in this program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeapp.config.effect import Change
from edgeapp.config.settings import Settings
from edgeapp.journal import Journal
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.station.assembly import Parts
from edgeapp.station.reconfiguration import Reconfiguration
from edgeapp.terminal import tell
from edgeapp.web.live import Live
from edgeapp.web.server import Server
from edgeapp.web.site import Site, Station


class Page:
    """The live page, made before its station, which it is a screen of, and served once that is there.

    Parameters
    ----------
    settings : Settings
    recogniser : Recogniser
    journal : Journal
    parts : Parts
    title : str
        Name of the station.

    Raises
    ------
    UsageError
        Its address needs a password, or its port is taken.
    """

    def __init__(self, settings: Settings, recogniser: Recogniser, journal: Journal, parts: Parts, title: str) -> None:
        self.live = Live()
        self._site = Site(
            settings=settings,
            journal=journal,
            naming=parts.naming,
            gallery=recogniser.gallery_path,
            taxa=tuple(recogniser.taxa),
            title=title,
            station=Station(self.live, lambda settings: Change()),
            occurrence=parts.classifier.filters.occurrence,
        )
        self._server = Server(self._site)

    def attach(self, change: Reconfiguration, describe: Callable[[], dict[str, Any]], learn: Callable[[], str]) -> None:
        """Set what takes settings, what tells the state of the station, and what learns from the reviews."""
        self.live.attach(describe)
        assert self._site.station is not None
        self._site.station.apply = change.apply
        change.on_change = self._changed
        self._site.station.learn = learn

    def _changed(self, settings: Settings) -> None:
        """Settings were read again, and not through the page."""
        self._site.settings = settings

    def start(self) -> None:
        """Serve from now on."""
        self._server.start()
        tell(f"live page at {self._server.url}")

    def close(self) -> None:
        """End."""
        self._server.close()
