"""Notifications to people, through Apprise: mail, phones and a hundred services more, each named by a URL."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeapp.clock.system import Clock
from edgeapp.delivery.rules import LastBefore, Rules, Told
from edgeapp.delivery.target import NotSent, Probed, Refused
from edgeapp.delivery.template import Template
from edgeapp.errors import UsageError

if TYPE_CHECKING:
    from edgeapp.delivery.attachment import Attach, Attachment

log = logging.getLogger(__name__)

EXTRA = "notify"
TITLE = "{{ taxon.common_name or taxon.scientific_name }} ({{ (confidence * 100) | round | int }} %)"
BODY = (
    "{{ taxon.scientific_name }} at {{ time }}"
    "{% if source.station %}, {{ source.station }}{% endif %}{% if source.device %}, {{ source.device }}{% endif %}"
)
MOST_REMEMBERED = 1_000  # messages that some services have and others not yet


class NotifyTarget:
    """See `edgeapp.delivery.target.Target`. A message that no rule wants counts as sent.

    Parameters
    ----------
    urls : sequence of str
        Of Apprise; never shown.
    rules : Rules
    clock : Clock
    told : Told
    last_before : callable
        Scientific name and moment to the last record before it.
    zone : tzinfo
        Local time.
    title, body : str
        Templates.
    attach : callable or None
        Gives the picture of a detection, for services that take attachments.

    Raises
    ------
    UsageError
        Apprise is not installed, or does not know a URL.
    """

    def __init__(
        self,
        urls: Sequence[str],
        rules: Rules,
        clock: Clock,
        told: Told | None,
        last_before: LastBefore,
        zone: tzinfo,
        title: str = TITLE,
        body: str = BODY,
        attach: Attach | None = None,
    ) -> None:
        try:
            import apprise
        except ImportError:
            raise UsageError("notifications need Apprise", f"pip install 'biovita-edge[{EXTRA}]'") from None
        # It quotes URLs, which have passwords in them, and logs what is told here anyway.
        quiet = logging.getLogger("apprise")
        quiet.propagate = False
        if not quiet.handlers:
            quiet.addHandler(logging.NullHandler())
        self._services = []
        for number, url in enumerate(urls, start=1):
            service = apprise.Apprise()
            if not service.add(url):
                raise UsageError(
                    f"URL {number} of notify.url is not one of Apprise", "write it as Apprise does: mailto://, ntfy://"
                )
            self._services.append((str(next(iter(service)).service_name or "service"), service))
        self._rules, self._clock, self._told = rules, clock, told
        self._last_before, self._zone = last_before, zone
        self._title, self._body = Template(title, "notify.title"), Template(body, "notify.template")
        self._attach = attach
        self._done: dict[str, set[int]] = {}  # message to the services that have it, while others do not

    def ready(self) -> bool:
        """False: only a message tells."""
        return False

    def send(self, payload: Mapping[str, Any]) -> None:
        """Notify everybody, where the rules want it; what some have already is not repeated to them."""
        name = payload["taxon"]["scientific_name"]
        now = self._clock.now().utc.astimezone(timezone.utc)
        told = None if self._told is None else self._told.last(name)
        if (refusal := self._rules.refusal(payload, now, self._zone, self._last_before, told)) != "":
            log.debug("no notification of %s: %s", name, refusal)
            return
        try:
            title, body = self._title.of(payload), self._body.of(payload)
        except UsageError as error:
            raise Refused(error.what, error.remedy) from None
        key = str(payload.get("id"))
        again = key in self._done
        done = self._done.setdefault(key, set())
        failed = []
        # What was not taken with a picture is tried again without: a service may have bounds that it does not tell.
        shown = None if again or self._attach is None else self._attach(payload)
        for number, (called, service) in enumerate(self._services):
            if number in done:
                continue
            if self._notify(service, title, body, shown):
                done.add(number)
            else:
                failed.append(called)
        if failed:
            while len(self._done) > MOST_REMEMBERED:
                del self._done[next(iter(self._done))]
            raise NotSent(
                f"{', '.join(failed)} did not take a notification", "check the URL of the service, and the network"
            )
        del self._done[key]
        if self._told is not None:
            self._told.note(name, str(payload["time"]))

    def probe(self) -> Probed:
        """Nothing is sent to people to find out."""
        services = ", ".join(called for called, _ in self._services)
        return Probed(f"{services}: the URLs are understood; only a notification tells more")

    def close(self) -> None:
        """Nothing is open between messages."""

    @staticmethod
    def _notify(service: Any, title: str, body: str, shown: Attachment | None) -> bool:
        if shown is not None and not getattr(next(iter(service)), "attachment_support", False):
            shown = None
        with tempfile.TemporaryDirectory() as folder:
            more = {}
            try:
                if shown is not None:
                    file = Path(folder) / shown.name
                    file.write_bytes(shown.content)
                    more["attach"] = str(file)
                    body = f"{body}\n{shown.credit}" if shown.credit else body
                return bool(service.notify(title=title, body=body, **more))
            except Exception as error:  # of a hundred libraries of others
                log.debug("apprise: %s", type(error).__name__)
                return False


def never_before(name: str, moment: datetime) -> None:
    """The history of a station that has none."""
