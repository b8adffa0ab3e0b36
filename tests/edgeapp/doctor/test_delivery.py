"""The doctor tries the targets as they are configured: it never says that all is well of one that takes nothing."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edgeapp.config.sections import Station
from edgeapp.config.target_sections import Mqtt, Webhook
from edgeapp.doctor.delivery import delivery
from edgeapp.doctor.finding import State
from edgeapp.station.targets import targets
from tests.edgeapp.delivery.certificates import certificates
from tests.edgeapp.delivery.mosquitto_broker import Broker, free_port

__all__ = ["certificates"]


@pytest.fixture(scope="module")
def broker(tmp_path_factory, certificates) -> Iterator[Broker]:
    """With TLS, for stations with a certificate and a password."""
    folder = tmp_path_factory.mktemp("guarded")
    passwords = folder / "passwords"
    passwords.write_text("")
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "garden", "right-word"], check=True)
    (folder / "rules").write_text("user garden\ntopic write birds/garden/#\nuser narrow\n")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    made = Broker(
        folder,
        *("allow_anonymous false", f"password_file {passwords}", f"acl_file {folder}/rules"),
        *(f"cafile {certificates.ca}", f"certfile {certificates.server}", f"keyfile {certificates.server_key}"),
        "require_certificate true",
    )
    yield made.start()
    made.stop()


@pytest.fixture
def mqtt(broker, certificates, tmp_path):
    """Settings with which the broker takes messages."""
    (tmp_path / "word").write_text("right-word\n")
    return dict(
        host="localhost",
        port=broker.port,
        topic="birds",
        username="garden",
        password_file=tmp_path / "word",
        tls=True,
        ca_file=certificates.ca,
        cert_file=certificates.client,
        key_file=certificates.client_key,
    )


def found(context, **sections):
    """State and text of what is found of each target."""
    return [
        (one.state, f"{one.what}; {one.remedy}")
        for one in delivery(context(station=Station(name="garden"), **sections))
    ]


def test_a_broker_that_takes_messages_is_well(context, mqtt, broker):
    [(state, told)] = found(context, mqtt=Mqtt(**mqtt))
    assert (state, told) == (
        State.OK,
        f"mqtt: mqtts://localhost:{broker.port} takes the log-in and a message to birds/garden/probe; ",
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"password_file": None, "password": "wrong-word"}, "refuses the user name or password"),
        ({"ca_file": None}, "certificate verify failed"),
        ({"cert_file": None, "key_file": None}, "mqtt.cert_file"),
        ({"host": "nowhere.invalid"}, "cannot be reached"),
        ({"port": free_port()}, "cannot be reached"),
        ({"tls": False, "ca_file": None, "cert_file": None, "key_file": None}, "mqtt://localhost"),
    ],
)
def test_a_broker_that_does_not_is_an_error_with_a_remedy(context, mqtt, wrong, told, monkeypatch):
    monkeypatch.setattr("edgeapp.delivery.mqtt.CONNECT_S", 3.0)
    [(state, text)] = found(context, mqtt=Mqtt(**{**mqtt, **wrong}))
    assert state is State.ERROR and text.split("; ", 1)[1]
    assert told in text or (told == "certificate verify failed" and "certificate" in text)
    assert "wrong-word" not in text


def test_a_topic_that_is_not_allowed_is_a_doubt(context, mqtt):
    [(state, told)] = found(context, mqtt=Mqtt(**{**mqtt, "topic": "elsewhere"}))
    assert state is State.WARNING and "takes the log-in, but" in told and "elsewhere/garden/probe" in told


def test_a_station_that_is_connected_stays_so(context, mqtt):
    settings = context(station=Station(name="garden"), mqtt=Mqtt(**mqtt)).settings
    target = targets(settings)["mqtt"]
    target.ready()
    link = target._link
    found(context, mqtt=Mqtt(**mqtt))
    target.send({"id": "1"})
    assert target._link is link
    target.close()


@contextmanager
def answering(
    code: int, head: int | None = None, context: ssl.SSLContext | None = None, kind: str = ""
) -> Iterator[tuple[str, list]]:
    """A web server that answers with a code; its address, and what it was asked."""
    asked: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append((self.command, self.rfile.read(int(self.headers.get("Content-Length", 0)))))
            self.send_response(head if head is not None and self.command == "HEAD" else code)
            self.send_header("Content-Length", "0")
            if kind:
                self.send_header("Content-Type", kind)
            self.end_headers()

        do_POST = do_HEAD

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"{'http' if context is None else 'https'}://localhost:{server.server_port}/tok3n", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("code", "state", "told"),
    [
        (200, State.OK, "answers a HEAD with 200"),
        (405, State.OK, "does not know this method"),
        (404, State.OK, "only a message tells more"),
        (401, State.ERROR, "check the URL, and the key in its headers"),
        (302, State.ERROR, "give the new URL"),
        (500, State.WARNING, "answers a HEAD with 500"),
    ],
)
def test_a_webhook_is_asked_whether_it_is_there(context, code, state, told):
    with answering(code) as (url, asked):
        [(got, text)] = found(context, webhook=Webhook(url=url))
    assert (got, asked) == (state, [("HEAD", b"")])
    assert told in text and "tok3n" not in text


def test_a_page_in_the_place_of_a_webhook_is_doubted(context):
    with answering(200, kind="text/html; charset=utf-8") as (url, _):
        [(state, text)] = found(context, webhook=Webhook(url=url))
    assert state is State.WARNING and "answers with a web page" in text


def test_a_webhook_may_be_tried_by_a_message(context):
    with answering(404, head=200) as (url, asked):
        [(state, _)] = found(context, webhook=Webhook(url=url, probe="post"))
    assert (state, asked) == (State.ERROR, [("POST", b'{"probe": true}')])


def test_a_webhook_that_is_not_to_be_tried_is_not(context):
    with answering(500) as (url, asked):
        [(state, _)] = found(context, webhook=Webhook(url=url, probe="none"))
    assert (state, asked) == (State.OK, [])


def test_a_closed_port_is_an_error(context):
    [(state, text)] = found(context, webhook=Webhook(url=f"http://127.0.0.1:{free_port()}/tok3n"))
    assert state is State.ERROR and "cannot be reached" in text and "tok3n" not in text


def test_a_certificate_that_ended_is_named(context, certificates, mqtt):
    [(state, text)] = found(context, mqtt=Mqtt(**mqtt | {"cert_file": certificates.ended}))
    assert state is State.ERROR and "ended.pem was valid until 2020-02-01; renew it" in text


def test_a_webhook_has_a_ca_of_its_own(context, certificates):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.server, certificates.server_key)
    with answering(200, context=server) as (url, _):
        [(unknown, text)] = found(context, webhook=Webhook(url=url))
        [(trusted, _)] = found(context, webhook=Webhook(url=url, ca_file=certificates.ca))
    assert unknown is State.ERROR and "ca_file" in text
    assert trusted is State.OK


def test_nothing_configured_and_no_network_are_skipped(context):
    assert [state for state, _ in found(context)] == [State.SKIPPED]
