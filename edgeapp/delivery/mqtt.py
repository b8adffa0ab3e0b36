"""Messages to an MQTT broker, each counted as sent only when the broker has acknowledged it.

The station's queue is the journal, not the client: a connection that fails is thrown away with what it still held, and
the outbox begins a new one. MQTT 5 is spoken, since there a broker says why it rejects a message (a message
that its access rules forbid is acknowledged in 3.1.1 and lost); a broker that knows only 3.1.1 gets that.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import ssl
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from edgeapp.delivery.addresses import check_host, check_topic
from edgeapp.delivery.target import NotSent, Refused
from edgeapp.errors import UsageError

if TYPE_CHECKING:
    from paho.mqtt.client import Client

log = logging.getLogger(__name__)

PORT, TLS_PORT = 1883, 8883
QOS = 1  # at least once, and the broker acknowledges it
CONNECT_S = 10.0
ACKNOWLEDGE_S = 15.0
KEEPALIVE_S = 90  # three times what the outbox lets pass between two looks at an idle target
GOODBYE_S = 2.0
ONLINE, OFFLINE = "online", "offline"
FAILED = 0x80  # reason codes from here on
UNSUPPORTED_VERSION = 0x84
NO_ENTRY = frozenset({0x86, 0x87})  # wrong user name or password; not authorised
OF_THE_MESSAGE = frozenset({0x83, 0x95, 0x97, 0x99})  # 0x97 is a quota, which mosquitto answers for a size


class MqttTarget:
    """See `edgeapp.delivery.target.Target`.

    Parameters
    ----------
    host, port : str, int or None
        The broker; the port is 1883, or 8883 with TLS, when None.
    topic : str
        For instance ``biovita/garden/detections``. Beside it, ``biovita/garden/availability`` holds
        ``online`` or ``offline``, retained; the broker itself writes ``offline`` when the station vanishes.
    username, password : str or None
        The password is never shown.
    tls : bool
        Encrypt, and check the broker's certificate.
    ca_file : path or None
        Certificates to trust instead of the system's.
    client_id : str
        Must be unique: the broker disconnects an older client with the same id.
    discovery : bool
        Tell Home Assistant about the station: sensors with the name and the confidence of the last detection.
    timeout_s : float
        For the broker's acknowledgement.

    Raises
    ------
    UsageError
        When a setting cannot be used.
    """

    def __init__(
        self,
        host: str,
        port: int | None = None,
        topic: str = "biovita/station/detections",
        username: str | None = None,
        password: str | None = None,
        tls: bool = False,
        ca_file: str | None = None,
        client_id: str = "biovita-edge",
        discovery: bool = False,
        timeout_s: float = ACKNOWLEDGE_S,
    ) -> None:
        check_host(host)
        check_topic(topic)
        self._context = _context(ca_file) if tls else None
        self._host = host
        self._port = port if port is not None else TLS_PORT if tls else PORT
        self.label = f"mqtt{'s' if tls else ''}://{host}:{self._port}"
        self._topic = topic
        self.availability_topic = f"{topic.rpartition('/')[0] or topic}/availability"
        self._username, self._password = username, password
        self._client_id = client_id
        self._discovery = discovery
        self._timeout_s = timeout_s
        self._old_protocol = False
        self._not_allowed: set[str] = set()
        self._link: _Link | None = None

    def ready(self) -> bool:
        """Connect, unless connected."""
        if self._link is not None:
            self._link.exchange()
            if self._link.lost is None:
                return True
        self._hang_up()
        try:
            self._connect()
        except NotSent:
            self._hang_up()
            raise
        return True

    def send(self, payload: Mapping[str, Any]) -> None:
        """Publish one message and wait for its acknowledgement."""
        body = json.dumps(payload, ensure_ascii=False, allow_nan=False)
        try:
            try:
                self.ready()
                self._publish(self._topic, body)
            except _Cut:
                self.ready()
                self._publish(self._topic, body)
        except _Cut as error:
            # The broker is there, and cuts the line at this message: so brokers answer what is too large for them.
            self._hang_up()
            raise Refused(f"{error}, twice for the same message") from None
        except NotSent:
            self._hang_up()  # a message without acknowledgement would be repeated by the client and by the outbox
            raise

    def close(self) -> None:
        """Publish that the station is offline, and disconnect."""
        try:
            if self._link is not None and self._link.lost is None:
                self._publish(self.availability_topic, OFFLINE, True, GOODBYE_S)
        except NotSent:
            pass  # the broker says it, as the will asks
        self._hang_up()

    def _connect(self) -> None:
        link = self._dial()
        reason = link.wait(lambda: link.answered, CONNECT_S)
        if reason is None:
            raise NotSent(f"{self.label}: {link.lost or f'no answer in {CONNECT_S:g} s'}")
        if reason.value == UNSUPPORTED_VERSION and not self._old_protocol:
            self._old_protocol = True
            self._hang_up()
            return self._connect()
        if reason.value in NO_ENTRY:
            raise NotSent(f"{self.label} refuses the user name or password", "correct them")
        if reason.value >= FAILED:
            raise NotSent(f"{self.label} refuses the connection: {reason}")
        self._announce(self.availability_topic, ONLINE)
        if self._discovery:
            for topic, config in discovery_configs(self._topic, self.availability_topic, self._client_id):
                self._announce(topic, json.dumps(config, ensure_ascii=False))

    def _announce(self, topic: str, body: str) -> None:
        """Publish what is useful beside the detections; they go out even where the broker does not allow it."""
        try:
            self._publish(topic, body, True)
        except NotSent as error:
            if self._link is None or self._link.lost is not None:
                raise
            if topic not in self._not_allowed:
                self._not_allowed.add(topic)
                log.warning("%s", error)

    def _dial(self) -> _Link:
        from paho.mqtt.client import Client, MQTTv5, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=MQTTv311 if self._old_protocol else MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        if self._username is not None:
            client.username_pw_set(self._username, self._password)
        if self._context is not None:
            client.tls_set_context(self._context)
        client.will_set(self.availability_topic, OFFLINE, QOS, retain=True)
        link = _Link(client)
        try:
            client.connect(self._host, self._port, KEEPALIVE_S)
        except TimeoutError:
            raise NotSent(f"{self.label} does not answer in {CONNECT_S:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise NotSent(f"{self.label}: {error.verify_message}", "give its certificate as ca_file") from error
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise NotSent(f"{self.label} cannot be reached: {why}") from error
        self._link = link
        return link

    def _publish(self, topic: str, body: str, retain: bool = False, timeout_s: float | None = None) -> None:
        link = self._link
        assert link is not None
        try:
            mid = link.client.publish(topic, body.encode(), QOS, retain).mid
        except ValueError as error:
            raise Refused(f"{self.label}: {error}") from error
        reason = link.wait(lambda: link.acknowledged.pop(mid, None), timeout_s or self._timeout_s)
        if reason is None and link.lost is None:
            raise NotSent(f"{self.label} does not acknowledge in {timeout_s or self._timeout_s:g} s")
        if reason is None:
            raise _Cut(f"{self.label}: {link.lost}")
        if reason.value >= FAILED:
            kind = Refused if reason.value in OF_THE_MESSAGE else NotSent
            remedy = f"let the user write to {topic}" if reason.value in NO_ENTRY else ""
            raise kind(f"{self.label} rejects a message: {reason}", remedy)

    def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.hang_up()


class _Cut(NotSent):
    """The connection ended before the acknowledgement came."""


class _Link:
    """One connection, from its beginning to its end, driven by the thread that uses it.

    The client has no thread of its own: what it raises at an answer that it does not know would end that thread unseen.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.answered: Any = None
        self.acknowledged: dict[int, Any] = {}
        self.lost: str | None = None
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish

    def wait(self, news: Callable[[], Any], timeout_s: float) -> Any:
        """What `news` gives once it is not None; None when the connection is lost or the time is over."""
        end = time.monotonic() + timeout_s
        while (found := news()) is None and self.lost is None and (left_s := end - time.monotonic()) > 0:
            self.exchange(min(left_s, 1.0))
        return found

    def exchange(self, timeout_s: float = 0.0) -> None:
        """Read and write what is there; keeps the connection alive when called more often than `KEEPALIVE_S`."""
        try:
            code = self.client.loop(timeout_s)
        except Exception as error:  # paho 2.1 raises ValueError at some ends of a connection
            self.lost = self.lost or f"connection lost: {type(error).__name__}"
        else:
            if code:
                self.lost = self.lost or f"connection lost: {code.name}"

    def hang_up(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.client.disconnect()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.answered = reason

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        self.acknowledged[mid] = reason

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.lost = f"connection lost: {reason}"


def discovery_configs(topic: str, availability_topic: str, client_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Topics and texts that make Home Assistant show the last detection and its confidence as sensors."""
    node = re.sub(r"[^a-zA-Z0-9_-]", "_", client_id)
    name = topic.split("/")[-2] if "/" in topic else topic
    of_both = {
        "state_topic": topic,
        "availability_topic": availability_topic,
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "device": {"identifiers": [node], "name": f"biovita-edge {name}", "model": "biovita-edge"},
    }
    detection = {
        "name": "Last detection",
        "unique_id": f"{node}_last_detection",
        "value_template": _newest("value_json.taxon.scientific_name", "this.state"),
        "json_attributes_topic": topic,
        "json_attributes_template": _newest("value_json | tojson", "this.attributes | tojson"),
        "icon": "mdi:bird",
    }
    confidence = {
        "name": "Confidence of the last detection",
        "unique_id": f"{node}_last_confidence",
        "value_template": _newest("(value_json.confidence * 100) | round(1)", "this.state"),
        "unit_of_measurement": "%",
        "icon": "mdi:percent",
    }
    return [
        (f"homeassistant/sensor/{node}/last_detection/config", detection | of_both),
        (f"homeassistant/sensor/{node}/last_confidence/config", confidence | of_both),
    ]


def _newest(value: str, before: str) -> str:
    """A template of Home Assistant that an update of an earlier detection does not change."""
    return f"{{{{ ({before}) if value_json.updated else ({value}) }}}}"


def slug(name: str) -> str:
    """A name as one level of a topic: in lower case, with what a topic cannot hold made ``_``."""
    return re.sub(r"[^\w-]+", "_", name.strip().lower()).strip("_") or "station"


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{ca_file}: no certificates: {error}", "give a file in PEM format") from error
