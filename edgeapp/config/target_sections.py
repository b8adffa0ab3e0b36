"""The sections of the settings that say where messages go, and what of them.

See `edgeapp.config.sections`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeapp.config.setting import setting
from edgeapp.delivery import birdweather
from edgeapp.delivery.addresses import HEAD, PROBES, RETAIN_STATES, RETAINS
from edgeapp.delivery.home_assistant import PREFIX
from edgeapp.delivery.notify import TITLE
from edgeapp.delivery.rules import EVERY, FIRSTS, NONE, PICTURES


@dataclass(frozen=True)
class Mqtt:
    """Delivery to an MQTT broker."""

    host: str | None = setting(None, "MQTT broker; no MQTT if not given.", "--mqtt-host", metavar="HOST")
    port: int | None = setting(
        None,
        "Port of the broker; 1883, or 8883 with TLS, if not given.",
        "--mqtt-port",
        metavar="PORT",
        minimum=1,
        maximum=65_535,
    )
    username: str | None = setting(None, "Username at the broker.", "--mqtt-username", metavar="USER")
    password: str | None = setting(None, "Password at the broker; a password file is safer.", secret=True)
    password_file: Path | None = setting(None, "File with the password.", "--mqtt-password-file", read=True)
    topic: str = setting("biovita", "Prefix of all topics.", "--mqtt-topic", metavar="TEXT")
    tls: bool = setting(False, "Encrypt the connection with TLS.", "--mqtt-tls")
    ca_file: Path | None = setting(
        None, "CA certificates to trust (PEM); the system's if not given.", "--mqtt-ca-file", read=True
    )
    cert_file: Path | None = setting(
        None, "Certificate of the station (PEM), for a broker that asks for one.", "--mqtt-cert-file", read=True
    )
    key_file: Path | None = setting(
        None, "Key of that certificate (PEM); in the same file if not given.", "--mqtt-key-file", read=True
    )
    discovery: bool = setting(False, "Announce the station to Home Assistant.", "--mqtt-discovery")
    discovery_prefix: str = setting(
        PREFIX, "Topic under which Home Assistant looks for devices.", "--mqtt-discovery-prefix", metavar="TEXT"
    )
    retain: str = setting(
        RETAIN_STATES,
        "Messages the broker retains: the states of station and microphones, all with the last "
        "detection, or none. Availability is always kept.",
        "--mqtt-retain",
        metavar="|".join(RETAINS),
        choices=RETAINS,
    )
    updates: bool = setting(
        True,
        "Send a detection again, marked as updated, when its time, review, clip or extent has changed; without, each "
        "is sent once, and waits for its clip.",
        "--mqtt-updates",
    )


@dataclass(frozen=True)
class Webhook:
    """Delivery to a webhook."""

    url: str | None = setting(
        None,
        "URL to which detections are posted as JSON; no webhook if not given. A file of it is safer.",
        "--webhook-url",
        metavar="URL",
        secret=True,
    )
    url_file: Path | None = setting(None, "File with the URL.", "--webhook-url-file", read=True)
    header: tuple[str, ...] = setting(
        (), 'HTTP header, "Name: value". May be repeated.', "--webhook-header", metavar="HEADER", secret=True
    )
    header_file: Path | None = setting(None, "File with a header on each line.", "--webhook-header-file", read=True)
    ca_file: Path | None = setting(
        None, "CA certificates to trust (PEM); the system's if not given.", "--webhook-ca-file", read=True
    )
    template: Path | None = setting(
        None,
        "File with a template (Jinja) of the body; its variables are the fields of the detection document, which is "
        "the body if not given. Values of headers may be templates as well.",
        "--webhook-template",
        read=True,
    )
    probe: str = setting(
        HEAD,
        'How `doctor` tries the webhook: head, post (JSON with "probe": true) or none.',
        "--webhook-probe",
        choices=PROBES,
    )
    updates: bool = setting(
        True,
        "Send a detection again, marked as updated, when its time, review, clip or extent has changed; without, each "
        "is sent once, and waits for its clip.",
        "--webhook-updates",
    )


@dataclass(frozen=True)
class Notify:
    """Notifications to people, through Apprise (extra `notify`)."""

    url: tuple[str, ...] = setting(
        (),
        "Service that notifies, as a URL of Apprise (mailto://, ntfy://). May be repeated. A file of it is safer.",
        "--notify-url",
        metavar="URL",
        secret=True,
    )
    url_file: Path | None = setting(None, "File with a URL on each line.", "--notify-url-file", read=True)
    species: tuple[str, ...] = setting(
        (),
        'Only of this taxon, at any rank: "Strigiformes", "Crex crex"; of all if not given. May be repeated.',
        "--notify-species",
        metavar="TAXON",
    )
    first: str = setting(
        EVERY,
        "Of every detection, or only of the first of a species of the day, of the season (after 90 days without), or "
        "ever.",
        "--notify-first",
        metavar="|".join(FIRSTS),
        choices=FIRSTS,
    )
    min_confidence: float = setting(
        0.0,
        "Minimum confidence of what is notified.",
        "--notify-min-confidence",
        metavar="CONFIDENCE",
        minimum=0,
        maximum=1,
    )
    quiet: str | None = setting(
        None,
        "Quiet hours in local time, such as 22:00-06:30; what happens then is not told later.",
        "--notify-quiet",
        metavar="TIME",
    )
    cool_down: float = setting(
        3600.0, "Time after a notification in which there is none of the same species.", "--notify-cool-down", minimum=0
    )
    max_age: float = setting(
        86_400.0, "Age of a detection above which nobody is notified, as after an outage.", "--notify-max-age", above=0
    )
    title: str = setting(TITLE, "Template (Jinja) of the title.", "--notify-title", metavar="TEXT")
    template: Path | None = setting(
        None, "File with a template (Jinja) of the text; a line if not given.", "--notify-template", read=True
    )
    picture: str = setting(
        NONE,
        "Picture for services that take attachments: a photo of the species from the gallery, with its credits, or "
        "the spectrogram of the clip, for which the notification waits.",
        "--notify-picture",
        metavar="|".join(PICTURES),
        choices=PICTURES,
    )


@dataclass(frozen=True)
class BirdWeather:
    """Upload of detections and their clips to BirdWeather."""

    token: str | None = setting(None, "Token of the station at BirdWeather; a file of it is safer.", secret=True)
    token_file: Path | None = setting(None, "File with the token.", "--birdweather-token-file", read=True)
    url: str = setting(birdweather.URL, "Address of its API.", "--birdweather-url", metavar="URL")
