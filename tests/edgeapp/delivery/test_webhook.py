"""Messages reach a real HTTP server that fails, hangs and comes back; its secrets are never shown."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edgeapp.delivery.outbox import Outbox
from edgeapp.delivery.target import NotSent, Refused
from edgeapp.delivery.target_queue import TRIES
from edgeapp.delivery.webhook import WebhookTarget
from edgeapp.errors import UsageError
from tests.edgeapp.delivery.message_stores import MemoryStore, SteppedClock


class Hook:
    """Answers as the test says, 200 when it says nothing."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.bad: set[int] = set()
        self.got: list[tuple[dict[str, str], dict]] = []
        self.requests: list[str] = []
        self.hang = threading.Event()
        self.hang.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.requests.append(f"{self.command} {self.path}")
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.hang.wait(10)
                code, headers = hook.answers.pop(0) if hook.answers else (200, {})
                code = 400 if payload.get("n") in hook.bad else code
                if 200 <= code < 300:
                    hook.got.append((dict(self.headers), payload))
                self.send_response(code, "secret-phrase")
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def do_GET(self) -> None:
                hook.requests.append(f"{self.command} {self.path}")
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.address}/hook/secret-path?key=secret-key"

    @contextmanager
    def serving(self):
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.hang.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join(5)


@pytest.fixture
def hook():
    with Hook().serving() as hook:
        yield hook


def message(n: int) -> dict:
    return {"id": f"id-{n}", "n": n, "common_name": "Kohlmeise ♪"}


def queued(numbers) -> MemoryStore:
    store = MemoryStore()
    for n in numbers:
        store.queue("web", message(n))
    return store


def test_a_message_is_posted_as_json_with_its_headers_and_its_id(hook):
    target = WebhookTarget(hook.url, {"X-Token": "secret-token"})
    assert target.ready() is False, "only a message tells"
    target.send(message(1))
    headers, payload = hook.got[0]
    assert payload == message(1)
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Token"] == "secret-token" and headers["Idempotency-Key"] == "id-1"
    assert hook.requests == ["POST /hook/secret-path?key=secret-key"]


@pytest.mark.parametrize("length", ["100", "abc"])
def test_a_delivery_whose_answer_is_cut_is_one_all_the_same(hook, length):
    hook.answers = [(200, {"Content-Length": length})]
    WebhookTarget(hook.url).send(message(1))
    assert len(hook.got) == 1


def test_name_and_password_in_the_address_become_a_header(hook):
    target = WebhookTarget(f"http://user:p%40ss@{hook.address}/x")
    target.send(message(1))
    assert hook.got[0][0]["Authorization"] == "Basic dXNlcjpwQHNz"
    assert "ss" not in target.label


@pytest.mark.parametrize("code", [201, 202, 204, 299])
def test_every_2xx_is_a_delivery(hook, code):
    hook.answers = [(code, {})]
    WebhookTarget(hook.url).send(message(1))


@pytest.mark.parametrize("code", [301, 302, 307, 401, 403, 404, 408, 410, 429, 500, 502, 503])
def test_what_speaks_of_the_server_or_the_address_keeps_the_message(hook, code):
    hook.answers = [(code, {"Location": f"http://{hook.address}/elsewhere"})]
    with pytest.raises(NotSent, match=f"answers {code} ") as caught:
        WebhookTarget(hook.url).send(message(1))
    assert not isinstance(caught.value, Refused)
    assert len(hook.requests) == 1, "a redirect is not followed: it would become a GET without the message"


@pytest.mark.parametrize("code", [400, 406, 413, 415, 422])
def test_what_speaks_of_the_message_refuses_it(hook, code):
    hook.answers = [(code, {})]
    with pytest.raises(Refused):
        WebhookTarget(hook.url).send(message(1))


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": formatdate(90.0, usegmt=True), "Date": formatdate(0.0, usegmt=True)}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, 0.0),
        ({}, None),
    ],
)
def test_retry_after_is_obeyed(hook, headers, seconds):
    hook.answers = [(429, headers)]
    with pytest.raises(NotSent) as caught:
        WebhookTarget(hook.url).send(message(1))
    if "Date" in headers:
        assert caught.value.retry_after_s == 0.0, "long ago on the server's own clock"
    else:
        assert caught.value.retry_after_s == seconds


def test_the_outbox_waits_as_long_as_the_server_asks(hook):
    hook.answers = [(503, {"Retry-After": "77"})]
    clock, store = SteppedClock(), queued([1])
    outbox = Outbox(store, {"web": WebhookTarget(hook.url)}, clock, jitter=lambda: 0.0)
    assert outbox.turn("web") == 77.0
    clock.pass_time(76.0)
    outbox.turn("web")
    assert len(hook.requests) == 1
    clock.pass_time(1.0)
    outbox.turn("web")
    assert store.queue_length() == 0


def test_a_server_that_fails_and_hangs_gets_every_message_in_the_end(hook):
    clock, store = SteppedClock(), queued(range(6))
    hook.bad = {2}
    hook.answers = [(500, {}), (429, {})]
    outbox = Outbox(store, {"web": WebhookTarget(hook.url, timeout_s=0.3)}, clock)
    hook.hang.clear()
    clock.pass_time(outbox.turn("web"))
    assert outbox.states()["web"].last_error == f"http://{hook.address} does not answer in 0.3 s"
    hook.hang.set()
    for _ in range(TRIES + 5):
        clock.pass_time(outbox.turn("web"))
        clock.pass_time(3600.0)
    numbers = [payload["n"] for _, payload in hook.got]
    assert set(numbers) == {0, 1, 3, 4, 5} and store.queue_length() == 0
    assert list(store.dropped) == [3] and "answers 400 Bad Request" in store.dropped[3]


def test_a_server_that_is_not_there_is_named():
    hook = Hook()
    hook._server.server_close()
    with pytest.raises(NotSent, match=f"http://{hook.address} cannot be reached: Connection refused"):
        WebhookTarget(hook.url).send(message(1))


@pytest.mark.parametrize("code", [400, 401, 302, 500])
def test_secrets_are_in_no_log_no_error_and_no_state(hook, caplog, code):
    caplog.set_level(0)
    hook.answers = [(code, {"Location": "http://x/secret-place"})] * 3
    clock, store = SteppedClock(), queued([1])
    target = WebhookTarget(hook.url, {"Authorization": "Bearer secret-token"})
    outbox = Outbox(store, {"web": target}, clock)
    outbox.turn("web")
    hook._server.server_close()
    clock.pass_time(60)
    outbox.turn("web")
    assert store.errors
    assert "secret" not in caplog.text + str(store.errors) + str(outbox.states()) + target.label


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "http://", "host/secret", "http://h/secret x", "http://h:x/secret"]
)
def test_an_address_that_cannot_be_used_is_refused_without_showing_it(url):
    with pytest.raises(UsageError) as caught:
        WebhookTarget(url)
    assert "secret" not in str(caught.value)


def test_a_header_that_would_break_the_request_is_refused_unshown():
    with pytest.raises(UsageError) as caught:
        WebhookTarget("http://host/", {"X-Token": "secret\r\nX-Other: 1"})
    assert "secret" not in str(caught.value)
