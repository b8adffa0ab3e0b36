"""Asking servers, and what they say when they refuse."""

from __future__ import annotations

from collections import deque

import pytest

from edgeapp.collect.client import TRIES, Again, Client, FetchError, Flow, Trickle
from edgeapp.errors import UsageError
from tests.edgeapp.collect.archive_server import http_date


def test_an_answer_is_values(archives, client):
    assert client.json(f"{archives.url}/gbif/v1/occurrence/search", {"limit": 0})["count"] == 0
    assert all(agent.startswith("biovita-edge/") for agent in archives.agents)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_again(status, archives, client):
    archives.refusals.extend([(status, {}, b"")] * 2)
    assert client.json(f"{archives.url}/gbif/v1/occurrence/search")["count"] == 0
    assert len(archives.asked) == 3


def test_a_host_that_asks_for_pauses_gets_them(archives, client, monkeypatch):
    asked, refused = [], client.pace.refused
    monkeypatch.setattr(client.pace, "refused", lambda host, asked_s: asked.append(asked_s) or refused(host, asked_s))
    archives.refusals.append((429, {"Retry-After": "0.2"}, b""))
    archives.refusals.append((503, {"Retry-After": http_date(1001), "Date": http_date(1000)}, b""))
    archives.refusals.extend([(429, {"Retry-After": "0"}, b"")] * TRIES)  # these are no failures
    archives.refusals.append((429, {}, b""))
    client.json(f"{archives.url}/gbif/v1/occurrence/search")
    assert asked == [0.2, 1.0, *[0.0] * TRIES, None]


def test_a_host_that_asks_for_too_long_a_pause_is_left(archives, client):
    archives.refusals.append((429, {"Retry-After": "7200"}, b""))
    with pytest.raises(FetchError, match="429.*asks for a pause of 7200 s") as caught:
        client.json(f"{archives.url}/gbif/v1/occurrence/search")
    assert not caught.value.lasting


def test_what_never_passes_is_an_error_in_the_end(archives, client):
    archives.refusals.extend([(503, {}, b"")] * TRIES)
    with pytest.raises(FetchError, match=r"search: the server answers 503 .*; try again later") as caught:
        client.json(f"{archives.url}/gbif/v1/occurrence/search")
    assert not caught.value.lasting


def test_a_refusal_is_told_in_the_servers_words(archives, client):
    archives.refusals.append((400, {}, {"error": "client_error", "message": "no such\ncountry"}))
    with pytest.raises(FetchError, match=r"400 \(Bad Request\): no such country$") as caught:
        client.json(f"{archives.url}/gbif/v1/occurrence/search")
    assert caught.value.lasting


def test_a_page_where_an_answer_should_be_is_named(archives, client):
    archives.refusals.append((200, {}, b"<html><body>Please log in</body></html>"))
    with pytest.raises(FetchError, match="the answer is an HTML page, not JSON"):
        client.json(f"{archives.url}/gbif/v1/occurrence/search")


def test_a_secret_is_never_shown(archives, client):
    client.keep_secret("hush")
    archives.refusals.append((403, {}, {"message": "the key hush is not valid"}))
    with pytest.raises(FetchError) as caught:
        client.json(f"{archives.url.replace('//', '//user:word@')}/gbif/v1/occurrence/search", {"key": "hush"})
    assert "not valid" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("hush", "user", "word"))


def test_redirections_are_followed_but_not_for_ever(archives, client):
    goal = archives.serve("/files/a.json", b'{"a": 1}')
    archives.serve("/files/moved", b"", location=goal)
    assert client.json(f"{archives.url}/files/moved") == {"a": 1}
    archives.serve("/files/circle", b"", location="/files/circle")
    with pytest.raises(FetchError, match="redirected more than 5 times"):
        client.json(f"{archives.url}/files/circle")
    archives.serve("/files/away", b"", location="file:///etc/hostname")
    with pytest.raises(FetchError, match="is no web address"):
        client.json(f"{archives.url}/files/away")


def test_nobody_there_is_said(client):
    with pytest.raises(FetchError, match=r"http://127.0.0.1:1/x: cannot be reached \(.*refused") as caught:
        client.json("http://127.0.0.1:1/x?key=1")
    assert caught.value.unreachable and not caught.value.lasting


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/a", "http://", "https://[::1", ""])
def test_what_is_no_web_address_is_told(url, client):
    with pytest.raises(FetchError, match="no web address"):
        client.json(url)


def test_a_proxy_that_cannot_be_is_told(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://a")
    with pytest.raises(UsageError, match="proxy of the environment"):
        Client()


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"count": ' + b"9" * 5000 + b"}"])
def test_json_that_no_reader_takes_is_named(body, archives, client):
    archives.refusals.append((200, {}, body))
    with pytest.raises(FetchError, match="the answer is .*, not JSON"):
        client.json(f"{archives.url}/gbif/v1/occurrence/search")


def test_a_host_that_is_to_be_left_alone_is_not_asked_again(archives, client):
    archives.refusals.append((429, {"Retry-After": "86400"}, b""))
    for _ in range(2):
        with pytest.raises(FetchError, match="asks for a pause of 86[34]"):
            client.json(f"{archives.url}/gbif/v1/occurrence/search")
    assert len(archives.asked) == 1


def test_bytes_that_trickle_are_told_from_a_slow_line():
    now = [0.0]
    flow = Flow(lambda: now[0])
    for _ in range(1000):  # a modem, shared by eight
        now[0] += 1.0
        flow.came(600)
    with pytest.raises(Trickle, match=r"only \d+ bytes came in 60 s"):
        for _ in range(100):
            now[0] += 1.0
            flow.came(1)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"original": {"error": "Unknown taxon_id 7"}}, "status": 422}, ": Unknown taxon_id 7"),
        (b"Bad Request: no country is called XX", ": Bad Request: no country is called XX"),
        (b"<html>", ""),
        (b"two\nlines", ""),
        ({"error": {"status": 400}}, ""),
    ],
)
def test_words_of_a_refusal_are_found_where_servers_put_them(body, words, archives, client):
    archives.refusals.append((400, {}, body))
    with pytest.raises(FetchError) as caught:
        client.json(f"{archives.url}/gbif/v1/occurrence/search")
    assert str(caught.value).endswith(f"400 (Bad Request){words}")


def test_what_a_server_sends_is_told_in_a_short_line(archives, client):
    url = archives.serve("/files/a.mp3", b"", statuses=deque([(200, {"bad header\r\n" + "x" * 5000: "1"})]))
    with pytest.raises(Again) as broken, client.open(url):
        pass
    assert "the connection broke" in broken.value.reason and len(broken.value.reason) < 300
