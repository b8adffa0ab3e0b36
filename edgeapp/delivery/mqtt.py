"""Messages to an MQTT broker, each counted as sent only when the broker has acknowledged it.

The station's queue is the journal, not the client: a connection that fails is thrown away with what it still held, and
the outbox begins a new one. MQTT 5 is spoken, since there a broker says why it rejects a message (a message
that its access rules forbid is acknowledged in 3.1.1 and lost); a broker that knows only 3.1.1 gets that.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import math
import re
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from edgeapp.delivery.addresses import RETAIN_ALL, RETAIN_NONE, RETAIN_STATES, check_host, check_topic
from edgeapp.delivery.home_assistant import OFFLINE, ONLINE, PREFIX, Topics, device_config, earlier_topics
from edgeapp.delivery.station_state import ENDED, StationState
from edgeapp.delivery.target import NotSent, Probed, Refused
from edgeapp.delivery.tls import context as tls_context
from edgeapp.delivery.tls import ended as certificate_ended

if TYPE_CHECKING:
    from paho.mqtt.client import Client

log = logging.getLogger(__name__)

PORT, TLS_PORT = 1883, 8883
QOS = 1  # at least once, and the broker acknowledges it
CONNECT_S = 10.0
ACKNOWLEDGE_S = 15.0
KEEPALIVE_S = 90  # three times what the outbox lets pass between two looks at an idle target
GOODBYE_S = 2.0
STATE_S = 30.0  # between two publications of a state in which nothing but figures has changed
FAILED = 0x80  # reason codes from here on
UNSUPPORTED_VERSION = 0x84
TLS_REMEDY = "check the port, mqtt.tls, and whether the broker asks for a valid certificate (mqtt.cert_file)"
SIZE_REMEDY = "if messages are too large for the broker, raise its limit or set station.pictures to 0"
NO_ENTRY = frozenset({0x86, 0x87})  # wrong user name or password; not authorised
OF_A_SIZE = frozenset({0x95, 0x97})  # 0x97 is a quota, which mosquitto answers for a size
OF_THE_MESSAGE = OF_A_SIZE | {0x83, 0x99}
TAKEN_OVER = 0x8E
ENDS, ENDS_S = 3, 600.0  # so many connections that ended in so short a time are no accident


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
    cert_file, key_file : path or None
        Certificate of the station and its key, where the broker asks for one; the key may be in the same file.
    client_id : str
        Must be unique: the broker disconnects an older client with the same id.
    discovery : bool
        Tell Home Assistant about the station, its detections and microphones.
    node : str or None
        Id of the station there; that of the client when None.
    timeout_s : float
        For the broker's acknowledgement.
    retain : str
        What the broker keeps for those who come later, of `edgeapp.delivery.addresses.RETAINS`; availability always.
    prefix : str
        Under which Home Assistant looks for devices.
    name, version : str
        Of the station, and of this program.

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
        cert_file: str | None = None,
        key_file: str | None = None,
        client_id: str = "biovita-edge",
        discovery: bool = False,
        node: str | None = None,
        timeout_s: float = ACKNOWLEDGE_S,
        retain: str = RETAIN_STATES,
        prefix: str = PREFIX,
        name: str = "",
        version: str = "",
    ) -> None:
        check_host(host)
        check_topic(topic)
        self._context = tls_context(ca_file, cert_file, key_file) if tls else None
        self._cert_file = cert_file
        self._host = host.strip("[]")  # of an address of IPv6 in a URL
        self._port = port if port is not None else TLS_PORT if tls else PORT
        self.label = f"mqtt{'s' if tls else ''}://{host}:{self._port}"
        self._topic = topic
        self.topics = Topics(topic)
        self.availability_topic = self.topics.availability
        self._username, self._password = username, password
        self._client_id = client_id
        self._discovery = discovery
        self._node = node or re.sub(r"[^a-zA-Z0-9_-]", "_", client_id)
        self._retain, self._prefix = retain, prefix
        self._name, self._version = name or self.topics.base.rpartition("/")[2], version
        self._state: StationState | None = None  # as it was told last, and as it was published
        self._published: StationState | None = None
        self._published_s = -math.inf
        self._announced: tuple[str, ...] | None = None  # microphones that Home Assistant knows
        self._timeout_s = timeout_s
        self._old_protocol = False
        self._is_probe = False
        self._not_allowed: set[str] = set()
        self._link: _Link | None = None
        self._ends: deque[float] = deque(maxlen=ENDS)

    def ready(self) -> bool:
        """Connect, unless connected."""
        if self._link is not None:
            self._link.exchange()
            if self._link.lost is None:
                self._publish_state()
                return True
            self._ended()
        self._hang_up()
        try:
            self._connect()
        except NotSent:
            self._hang_up()
            raise
        return True

    def tell(self, state: StationState) -> bool:
        """Take the state of the station, to be published by the thread of this target; whether that is urgent."""
        before, self._state = self._state, state
        return before is None or before.condition != state.condition

    def send(self, payload: Mapping[str, Any]) -> None:
        """Publish one message and wait for its acknowledgement."""
        body = json.dumps(payload, ensure_ascii=False, allow_nan=False)
        try:
            try:
                self.ready()
                self._publish(self._topic, body, self._retain == RETAIN_ALL)
            except _Cut:
                self.ready()
                self._publish(self._topic, body, self._retain == RETAIN_ALL)
        except _Cut as error:
            # The broker is there, and cuts the line at this message: so brokers answer what is too large for them.
            taken_over = self._link is not None and self._link.taken_over
            self._hang_up()
            if taken_over:
                raise NotSent(f"{error}: another client has its id", "give each station a name of its own") from None
            raise Refused(f"{error}, twice for the same message", SIZE_REMEDY) from None
        except NotSent:
            self._hang_up()  # a message without acknowledgement would be repeated by the client and by the outbox
            raise

    def close(self) -> None:
        """Publish that the station is offline, and disconnect."""
        try:
            if self._link is not None and self._link.lost is None:
                if self._published is not None:
                    ended = json.dumps(self._published.station | {"state": ENDED}, ensure_ascii=False)
                    self._publish(self.topics.state, ended, self._retain != RETAIN_NONE, GOODBYE_S)
                self._publish(self.availability_topic, OFFLINE, True, GOODBYE_S)
        except NotSent:
            pass  # the broker says it, as the will asks
        self._hang_up()

    def probe(self) -> Probed:
        """Log in as another client, which leaves a running station connected, and publish to a topic for that."""
        other = copy.copy(self)
        other._client_id, other._link, other._is_probe = f"{self._client_id}-probe", None, True
        topic = self.topics.probe
        try:
            other._log_in()
            try:
                other._publish(topic, json.dumps({"probe": True}))
            except Refused:
                raise
            except NotSent as error:
                if other._link is None or other._link.lost is not None:
                    raise
                return Probed(f"{self.label} takes the log-in", error.what, error.remedy or f"allow {topic}")
        finally:
            other._hang_up()
        return Probed(f"{self.label} takes the log-in and a message to {topic}")

    def _ended(self) -> None:
        """Tell of connections that end again and again. What the broker says of it, the client does not pass on."""
        self._ends.append(time.monotonic())
        if len(self._ends) == ENDS and self._ends[-1] - self._ends[0] < ENDS_S:
            self._ends.clear()
            log.warning(
                "%s: %d connections have ended in a short time; another client may have the id %s: give each station a"
                " name of its own",
                *(self.label, ENDS, self._client_id),
            )

    def _connect(self) -> None:
        self._log_in()
        self._announce(self.availability_topic, ONLINE)
        self._announced = self._published = None
        if self._discovery:
            for topic in earlier_topics(self._node, self._prefix):
                self._announce(topic, "")
        self._publish_state()

    def _publish_state(self) -> None:
        """Publish the state, at once where it is another one and else once in a while; announce what is new."""
        state, now_s = self._state, time.monotonic()
        microphones = () if state is None else tuple(one["name"] for one in state.microphones)
        if self._discovery and microphones != self._announced:
            config = device_config(self.topics, self._node, self._name, self._version, microphones, self._prefix)
            self._announce(config[0], json.dumps(config[1], ensure_ascii=False))
            self._announced = microphones
        before = self._published
        if state is None or state is before:
            return
        if before is not None and before.condition == state.condition and now_s - self._published_s < STATE_S:
            return
        keep = self._retain != RETAIN_NONE
        for number, microphone in enumerate(state.microphones, start=1):
            self._announce(self.topics.microphone(number), json.dumps(microphone, ensure_ascii=False), keep)
        self._announce(self.topics.state, json.dumps(state.station, ensure_ascii=False), keep)
        self._published, self._published_s = state, now_s

    def _log_in(self) -> None:
        link = self._dial()
        reason = link.wait(lambda: link.answered, CONNECT_S)
        if reason is None and self._cert_file is not None:
            end = certificate_ended(self._cert_file, datetime.now(timezone.utc))
            if end is not None:
                raise NotSent(f"{self.label}: {self._cert_file} was valid until {end:%Y-%m-%d}", "renew it")
        if reason is None:
            # TLS 1.3 has no other way to say that a certificate is missing than to cut the line.
            raise NotSent(f"{self.label}: {link.lost or f'no answer in {CONNECT_S:g} s'}", TLS_REMEDY)
        if reason.value == UNSUPPORTED_VERSION and not self._old_protocol:
            self._old_protocol = True
            self._hang_up()
            return self._log_in()
        if reason.value in NO_ENTRY:
            raise NotSent(f"{self.label} refuses the user name or password", "correct them")
        if reason.value >= FAILED:
            raise NotSent(f"{self.label} refuses the connection: {reason}")

    def _announce(self, topic: str, body: str, retain: bool = True) -> None:
        """Publish what is useful beside the detections; they go out even where the broker does not allow it."""
        try:
            self._publish(topic, body, retain)
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
        if not self._is_probe:  # whose end says nothing about the station
            client.will_set(self.availability_topic, OFFLINE, QOS, retain=True)
        link = _Link(client)
        try:
            client.connect(self._host, self._port, KEEPALIVE_S)
        except TimeoutError:
            raise NotSent(f"{self.label} does not answer in {CONNECT_S:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise NotSent(f"{self.label}: {error.verify_message}", "give its CA as mqtt.ca_file") from error
        except ssl.SSLError as error:
            raise NotSent(f"{self.label}: no TLS ({error.reason or 'the connection was cut'})", TLS_REMEDY) from error
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
            remedy = SIZE_REMEDY if reason.value in OF_A_SIZE else ""
            if reason.value in NO_ENTRY:
                remedy = f"let the user write to {topic}"
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
        self.taken_over = False  # as far as the client passes on what a broker says of an end
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
        self.taken_over = getattr(reason, "value", 0) == TAKEN_OVER
