"""Where messages go, as the settings say it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgeapp.board.machine import installed
from edgeapp.clock.system import Clock, SystemClock
from edgeapp.clock.zones import LocalZone
from edgeapp.config.secrets import secret_of, secrets_of, text_in
from edgeapp.config.settings import SECTIONS, Settings
from edgeapp.delivery.addresses import header
from edgeapp.delivery.identity import client_id, node_id, topic_level
from edgeapp.delivery.rules import SPECIES, SPECTROGRAM, Rules, Told, quiet_hours
from edgeapp.delivery.target import Target
from edgeapp.errors import UsageError
from edgeapp.journal import Journal
from edgeapp.journal.browsing import last_before
from edgeapp.pack.installed import load_pack
from edgeapp.pack.names import names_of
from gallery.taxon import Taxon
from gallery.utc import utc_of

if TYPE_CHECKING:
    from edgeapp.delivery.attachment import Attach


def station_name(settings: Settings) -> str:
    """Name of the station in messages."""
    return settings.station.name or platform.node() or "station"


# Target -> the setting without which there is none.
OF_TARGET = {"mqtt": "mqtt.host", "webhook": "webhook.url", "notify": "notify.url", "birdweather": "birdweather.token"}


def configured(settings: Settings) -> list[str]:
    """Names of the targets that the settings have, whether they can be made or not."""
    keys = {name: key.partition(".") for name, key in OF_TARGET.items()}
    return [
        name
        for name, (section, _, key) in keys.items()
        if getattr(getattr(settings, section), key) or getattr(getattr(settings, section), f"{key}_file", None)
    ]


def only(settings: Settings, target: str) -> Settings:
    """The settings with one target alone."""
    others = {name: SECTIONS[name]() for name in OF_TARGET if name != target}
    return replace(settings, **others)


def taxa_of(names: Sequence[str], taxa: Sequence[Taxon]) -> frozenset[str] | None:
    """Scientific names of taxa, of all in them and of the groups between; None for no name, which is every taxon.

    Raises
    ------
    TaxonError
        No taxon is called so.
    """
    if not names:
        return None
    known, found = names_of(taxa), set[str]()
    for name in names:
        for row in known.rows(name):
            path = taxa[row].path()
            folded = [one.casefold() for one in path]
            key = " ".join(name.split()).casefold()
            found |= {*path[folded.index(key) if key in folded else -1 :], taxa[row].scientific_name}
    return frozenset(found)


def targets(
    settings: Settings, taxa: Sequence[Taxon] = (), journal: Journal | None = None, clock: Clock | None = None
) -> dict[str, Target]:
    """Where detections are sent to, by name; without taxa and a journal only to see whether they can be made."""
    found: dict[str, Target] = {}
    mqtt, webhook = settings.mqtt, settings.webhook
    if mqtt.host is not None:
        from edgeapp.delivery.mqtt import MqttTarget

        name = station_name(settings)
        found["mqtt"] = MqttTarget(
            mqtt.host,
            mqtt.port,
            f"{mqtt.topic}/{topic_level(name)}/detections",
            mqtt.username,
            secret_of(settings, "mqtt.password"),
            mqtt.tls,
            str(mqtt.ca_file) if mqtt.ca_file else None,
            str(mqtt.cert_file) if mqtt.cert_file else None,
            str(mqtt.key_file) if mqtt.key_file else None,
            client_id=client_id(name, settings.journal_path),
            discovery=mqtt.discovery,
            node=node_id(name),
            retain=mqtt.retain,
            prefix=mqtt.discovery_prefix,
            name=name,
            version=installed() or "",
        )
    if (url := secret_of(settings, "webhook.url")) is not None:
        from edgeapp.delivery.webhook import WebhookTarget

        found["webhook"] = WebhookTarget(
            url,
            _headers(secrets_of(settings, "webhook.header")),
            ca_file=str(webhook.ca_file) if webhook.ca_file else None,
            probe=webhook.probe,
            template=None if webhook.template is None else text_in(webhook.template, "webhook.template"),
            template_name=str(webhook.template),
        )
    if urls := secrets_of(settings, "notify.url"):
        found["notify"] = _notify(settings, urls, taxa, journal, clock or SystemClock())
    if (token := secret_of(settings, "birdweather.token")) is not None:
        from edgeapp.delivery.birdweather import BirdWeatherTarget

        found["birdweather"] = BirdWeatherTarget(
            token,
            partial(clip_of, settings),
            settings.clips.pre_roll,
            settings.birdweather.url,
        )
    return found


def _headers(texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in map(header, texts):
        if name.lower() in map(str.lower, found):
            raise UsageError(f"webhook.header: {name} is given twice", "keep one of them")
        found[name] = value
    return found


def _notify(
    settings: Settings, urls: Sequence[str], taxa: Sequence[Taxon], journal: Journal | None, clock: Clock
) -> Target:
    from edgeapp.delivery.notify import BODY, NotifyTarget, never_before

    asked = settings.notify
    if asked.picture == SPECTROGRAM and settings.clips.folder is None:
        raise UsageError("notify.picture: without clips there are no spectrograms", "give clips.folder, or species")
    rules = Rules(
        taxa_of(asked.species, taxa) if taxa else None,
        asked.min_confidence,
        asked.first,
        None if asked.quiet is None else quiet_hours(asked.quiet),
        asked.cool_down,
        asked.max_age,
    )

    def last(name: str, moment: datetime) -> datetime | None:
        assert journal is not None
        found = last_before(journal, name, moment)
        return None if found is None else utc_of(found)

    return NotifyTarget(
        urls,
        rules,
        clock,
        None if journal is None else Told(settings.journal_path.with_suffix(".notified.json")),
        never_before if journal is None else last,
        LocalZone(),
        asked.title,
        BODY if asked.template is None else text_in(asked.template, "notify.template"),
        _attach(settings),
    )


def _attach(settings: Settings) -> Attach | None:
    """The picture of a notification."""
    from edgeapp.delivery.attachment import photo_of_species, spectrogram_of_clip

    if settings.notify.picture == SPECIES:
        station = settings.station
        return photo_of_species(station.gallery or load_pack(station.pack, verify=False).gallery_path())
    return spectrogram_of_clip(partial(clip_of, settings)) if settings.notify.picture == SPECTROGRAM else None


def clip_of(settings: Settings, path: str) -> Path | None:
    """Where the clip of a document lies; None where there are no clips."""
    return None if settings.clips.folder is None else settings.clips.folder / path
