"""Messages reach a real broker that comes late, dies and returns; a password is never shown."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time

import pytest

from edgeapp.clock.system import SystemClock
from edgeapp.delivery import mqtt as mqtt_module
from edgeapp.delivery import outbox as outbox_module
from edgeapp.delivery import target_queue
from edgeapp.delivery.home_assistant import device_config
from edgeapp.delivery.mqtt import MqttTarget
from edgeapp.delivery.outbox import Outbox
from edgeapp.delivery.station_state import StationState
from edgeapp.delivery.target import NotSent, Refused
from edgeapp.errors import UsageError
from tests.edgeapp.delivery.message_stores import MemoryStore, SqliteStore, SteppedClock
from tests.edgeapp.delivery.mosquitto_broker import Broker, Subscriber, free_port, until

TOPIC = "biovita/garden/detections"


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path / "broker")
    yield broker
    broker.stop()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(target_queue, "FIRST_DELAY_S", 0.1)
    monkeypatch.setattr(target_queue, "LONGEST_DELAY_S", 0.3)
    monkeypatch.setattr(outbox_module, "CHECK_S", 0.2)
    monkeypatch.setattr(target_queue, "CHECK_S", 0.2)


def target_of(broker, **settings) -> MqttTarget:
    return MqttTarget("127.0.0.1", broker.port, TOPIC, **settings)


def message(n: int) -> dict:
    return {"id": f"id-{n}", "n": n, "name": "Parus major"}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_lost_when_the_broker_comes_late_and_dies(broker, tmp_path, quick, how):
    broker.start()
    subscriber = Subscriber(broker.port)  # its session is the broker's, so what comes while it is away is kept
    broker.stop()
    store = SqliteStore(tmp_path / "messages.sqlite")
    outbox = Outbox(store, {"mqtt": target_of(broker)}, SystemClock())
    outbox.start()
    for n in range(20):
        store.queue("mqtt", message(n))
    assert until(lambda: outbox.states()["mqtt"].state == "down")
    assert store.sent_ids == []

    broker.start()
    for n in range(20, 220):
        store.queue("mqtt", message(n))
    assert until(lambda: len(store.sent_ids) > 80)
    acknowledged = len(store.sent_ids)
    broker.stop(how)
    for n in range(220, 260):
        store.queue("mqtt", message(n))
    assert until(lambda: outbox.states()["mqtt"].state == "down")
    broker.start()
    assert until(lambda: store.queue_length() == 0), outbox.states()
    assert until(lambda: 259 in subscriber.numbers())
    outbox.close()
    numbers = subscriber.numbers()
    lost = set(range(260)) - set(numbers)
    # A broker that is killed loses what it has acknowledged and not yet passed on: not the station's to repair.
    assert not lost or (how == signal.SIGKILL and lost <= set(range(acknowledged - 10, acknowledged + 1)))
    firsts = list(dict.fromkeys(numbers))
    assert firsts == sorted(firsts), "in their order"
    ids = [json.loads(payload)["id"] for topic, payload, _ in subscriber.got if topic == TOPIC]
    assert all(id == f"id-{n}" for id, n in zip(ids, numbers)), "a double has the id of the first"
    subscriber.close()


def test_a_station_that_restarts_sends_what_it_had_queued(broker, tmp_path):
    path = tmp_path / "messages.sqlite"
    before = SqliteStore(path)
    for n in range(5):
        before.queue("mqtt", message(n))
    Outbox(before, {"mqtt": target_of(broker)}, SystemClock()).turn("mqtt")
    before.close()
    broker.start()
    subscriber = Subscriber(broker.port)
    after = SqliteStore(path)
    outbox = Outbox(after, {"mqtt": target_of(broker)}, SystemClock())
    outbox.turn("mqtt")
    outbox.start()
    outbox.close()
    assert until(lambda: subscriber.numbers() == [0, 1, 2, 3, 4])
    subscriber.close()


def test_a_message_counts_only_once_the_broker_has_acknowledged_it(broker):
    broker.start()
    target = target_of(broker, timeout_s=0.5)
    target.send(message(1))
    broker.pause()
    with pytest.raises(NotSent, match="does not acknowledge in 0.5 s"):
        target.send(message(2))
    broker.go_on()
    target.send(message(2))
    target.close()


def test_the_broker_tells_who_is_there(broker):
    broker.start()
    target = target_of(broker)
    target.send(message(1))
    late = Subscriber(broker.port)
    assert until(lambda: late.availability() == ["online"]), "retained for who comes late"
    target._link.client.socket().shutdown(socket.SHUT_RDWR)  # the station's power is cut
    assert until(lambda: late.availability() == ["online", "offline"])
    assert target.ready()
    assert until(lambda: late.availability()[2:] == ["online"])
    target.close()
    assert until(lambda: late.availability()[3:] == ["offline"])
    late.close()


def test_an_idle_station_notices_that_its_broker_went_and_came_back(broker, quick):
    broker.start()
    outbox = Outbox(MemoryStore(), {"mqtt": target_of(broker)}, SystemClock())
    outbox.start()
    assert until(lambda: outbox.states()["mqtt"].state == "ok")
    broker.stop()
    assert until(lambda: outbox.states()["mqtt"].state == "down")
    broker.start()
    assert until(lambda: outbox.states()["mqtt"].state == "ok")
    outbox.close()


@pytest.fixture
def guarded(tmp_path):
    """A broker that knows one user, who may write only where the station writes."""
    folder = tmp_path / "guarded"
    folder.mkdir()
    (folder / "passwords").write_text("")
    broker = Broker(
        folder,
        *("allow_anonymous false", f"password_file {folder}/passwords", f"acl_file {folder}/rules"),
        "message_size_limit 2000",
    )
    (folder / "rules").write_text(f"user garden\ntopic write {TOPIC}\n")
    made = subprocess.run(["mosquitto_passwd", "-b", str(folder / "passwords"), "garden", "right-word"])
    assert made.returncode == 0
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    yield broker.start()
    broker.stop()


def test_a_wrong_password_is_named_once_and_never_shown(guarded, caplog):
    clock, store = SteppedClock(), MemoryStore()
    store.queue("mqtt", message(1))
    outbox = Outbox(store, {"mqtt": target_of(guarded, username="garden", password="wrong-word")}, clock)
    for _ in range(4):
        clock.pass_time(outbox.turn("mqtt"))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "refuses the user name or password" in said[0]
    assert "wrong-word" not in caplog.text + str(outbox.states()) + str(store.errors)
    assert store.queue_length() == 1
    right = Outbox(store, {"mqtt": target_of(guarded, username="garden", password="right-word")}, clock)
    right.turn("mqtt")
    assert store.queue_length() == 0


def test_a_topic_that_the_rules_forbid_is_not_a_delivery(guarded, caplog):
    target = MqttTarget("127.0.0.1", guarded.port, "biovita/other/detections", "garden", "right-word")
    with pytest.raises(NotSent, match="let the user write to biovita/other/detections") as caught:
        target.send(message(1))
    assert not isinstance(caught.value, Refused), "every message would be dropped"
    assert "let the user write to biovita/other/availability" in caplog.text
    target.close()


def test_a_message_that_is_too_large_is_refused_and_the_next_one_passes(guarded):
    target = target_of(guarded, username="garden", password="right-word")
    with pytest.raises(Refused, match=r"set station\.pictures to 0"):
        target.send(message(1) | {"text": "x" * 3000})
    target.send(message(2))
    target.close()


def test_two_clients_of_one_id_are_told(broker, caplog):
    broker.start()
    target, other = target_of(broker), target_of(broker)
    assert until(lambda: target.ready() and other.ready() and caplog.messages)
    assert "another client may have the id biovita-edge" in caplog.messages[0]
    target.send(message(1))
    target.close()
    other.close()


def test_a_broker_that_knows_only_the_old_protocol_gets_it():
    """Such a broker answers MQTT 5 with refusal 1 of 3.1.1, and closes."""
    levels: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in (b"\x20\x02\x00\x01", b"\x20\x02\x00\x00"):
                connection, _ = server.accept()
                levels.append(connection.recv(1000)[8])
                connection.sendall(answer)
                if answer[-1]:
                    connection.close()
            packet = connection.recv(1000)  # the availability, qos 1
            topic = int.from_bytes(packet[2:4], "big")
            connection.sendall(b"\x40\x02" + packet[4 + topic : 6 + topic])
            connection.recv(1000)
            connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        target = MqttTarget("127.0.0.1", server.getsockname()[1], TOPIC, timeout_s=5)
        assert target.ready()
        assert levels == [5, 4]
        target.close()
        thread.join(5)


STATUS = {
    "state": "listening",
    "station": "garden",
    "time_utc": "2026-05-01T04:12:09Z",
    "detections": 3,
    "journal": {"trouble": None},
    "targets": {"mqtt": {"state": "ok", "waiting": 2, "last_error": None}},
    "microphones": [{"name": "USB", "state": "hearing", "why": "", "level_dbfs": -41.0}],
}


def test_home_assistant_is_told_of_the_station_when_asked(broker):
    broker.start()
    heard = Subscriber(broker.port, "homeassistant/#")
    target_of(broker, client_id="biovita-garden").ready()
    target = target_of(broker, client_id="biovita-garden", discovery=True)
    target.tell(StationState.of(STATUS))
    target.send(message(1))
    told = device_config(target.topics, "biovita-garden", "garden", "", ["USB"])
    assert until(lambda: [json.loads(text) for topic, text, _ in heard.got if topic == told[0]] == [told[1]])
    target.close()
    heard.close()


def test_states_are_retained_for_those_who_come_later(broker):
    broker.start()
    target = target_of(broker)
    target.tell(StationState.of(STATUS))
    target.ready()
    late = Subscriber(broker.port, f"{target.topics.base}/#")
    assert until(lambda: len(late.got) >= 3)
    kept = {topic.removeprefix(target.topics.base): text for topic, text, _ in late.got}
    assert kept["/availability"] == b"online"
    station, microphone = json.loads(kept["/state"]), json.loads(kept["/microphones/1/state"])
    assert (station["state"], station["detections"], station["messages_waiting"]) == ("listening", 3, 2)
    assert (station["problem"], microphone["state"], microphone["problem"]) == (False, "hearing", False)

    lost = {**STATUS["microphones"][0], "state": "lost", "why": "unplugged"}
    assert target.tell(StationState.of(STATUS | {"microphones": [lost]}))  # at once
    target.ready()
    assert until(lambda: json.loads(late.got[-1][1]).get("problems") == ["USB: lost (unplugged)"])
    assert not target.tell(StationState.of(STATUS | {"microphones": [lost], "detections": 4}))
    target.close()
    assert until(lambda: late.got[-1][1] == b"offline")
    assert json.loads(late.got[-2][1])["state"] == "ended"
    late.close()


@pytest.mark.parametrize(
    ("retain", "kept"), [("none", {"availability"}), ("all", {"availability", "state", "detections"})]
)
def test_what_the_broker_keeps_can_be_chosen(broker, retain, kept):
    broker.start()
    target = target_of(broker, retain=retain)
    target.tell(StationState.of(STATUS | {"microphones": []}))
    target.send(message(1))
    late = Subscriber(broker.port, f"{target.topics.base}/#")
    assert until(lambda: {topic.rpartition("/")[2] for topic, _, _ in late.got} == kept)
    late.close()
    target.close()


def test_encryption_checks_the_brokers_certificate(tmp_path):
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    try:
        subprocess.run([*openssl, *names, *files], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl: apt-get install openssl")
    (tmp_path / "key.pem").chmod(0o644)
    tmp_path.chmod(0o755)
    broker = Broker(tmp_path / "broker", f"certfile {tmp_path}/cert.pem", f"keyfile {tmp_path}/key.pem").start()
    try:
        with pytest.raises(NotSent, match="certificate"):
            target_of(broker, tls=True).send(message(1))
        trusting = target_of(broker, tls=True, ca_file=str(tmp_path / "cert.pem"))
        trusting.send(message(1))
        trusting.close()
    finally:
        broker.stop()


def test_an_idle_connection_is_kept_alive(broker, monkeypatch):
    """The broker cuts a client that says nothing for one and a half times what it promised."""
    monkeypatch.setattr(mqtt_module, "KEEPALIVE_S", 1)
    broker.start()
    target = target_of(broker)
    assert target.ready()
    first, end = target._link, time.monotonic() + 4.0
    while time.monotonic() < end:
        target.ready()
        time.sleep(0.3)
    assert target._link is first
    target.close()


def test_a_broker_that_is_not_there_is_named():
    port = free_port()
    with pytest.raises(NotSent, match=f"mqtt://127.0.0.1:{port} cannot be reached: Connection refused"):
        MqttTarget("127.0.0.1", port, TOPIC).send(message(1))


@pytest.mark.parametrize("settings", [{"topic": "a/#"}, {"topic": ""}, {"tls": True, "ca_file": "none"}])
def test_settings_that_cannot_be_used_are_refused(settings):
    with pytest.raises(UsageError):
        MqttTarget("localhost", **settings)


def test_an_address_of_ipv6_may_be_in_brackets(monkeypatch):
    asked = []
    monkeypatch.setattr("paho.mqtt.client.Client.connect", lambda self, host, *_: asked.append(host) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        MqttTarget("[::1]", 1883, TOPIC).ready()
    assert asked == ["::1"]
