"""Who gets in, what is refused, and what bounds hold: requests as a stranger on the network would make them."""

from __future__ import annotations

import http.client
import re
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

import httpx
import pytest

from edgeapp.web import access
from edgeapp.web.access import Access, Password, Throttle, write_password
from tests.edgeapp.web.conftest import Served, client_of, environment, serving

PASSWORD = "a heron on the roof"
PAGES = ("/", "/day/2026-05-22", "/detections", "/detections/1", "/species", "/species/Parus%20major", "/health")
PAGES += ("/settings", "/login", "/no/such/page", "/detections?min_confidence=7", "/static/page.css", "/api/v1/status")
NASTY = "<img src=x onerror=alert(1)>\x1b[31m\u202e\"'><script>alert(2)</script>"


@pytest.fixture
def client(served) -> Iterator[httpx.Client]:
    with client_of(served.url) as client:
        yield client


@pytest.fixture(scope="module")
def locked(recorded, starter_pack, gallery, tmp_path_factory) -> Iterator[Served]:
    """A page with a password."""
    folder = tmp_path_factory.mktemp("locked")
    write_password(folder / "password", PASSWORD)
    with serving(folder, recorded, starter_pack, gallery, 'host = ["birds.example"]') as served:
        yield served


@pytest.fixture
def stranger(locked) -> Iterator[httpx.Client]:
    with client_of(locked.url) as client:
        yield client


# The password


def test_the_password_is_kept_as_a_hash_that_only_its_owner_reads(program, tmp_path):
    path, config = tmp_path / "folder" / "web-password", tmp_path / "station.toml"
    config.write_text(f'[web]\npassword_file = "{path}"\n')
    command = program("web", "password", "--stdin", "--config", config)
    done = subprocess.run(command, input=f"{PASSWORD}\n", capture_output=True, text=True, env=environment(tmp_path))

    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("scrypt$") and PASSWORD not in path.read_text()
    assert Password.read(path).matches(PASSWORD)
    assert not Password.read(path).matches(PASSWORD + " ")

    short = subprocess.run(command, input="heron\n", capture_output=True, text=True, env=environment(tmp_path))
    assert (short.returncode, short.stderr.count("\n")) == (2, 1)
    assert Password.read(path).matches(PASSWORD)

    gone = subprocess.run([*command, "--remove"], capture_output=True, text=True, env=environment(tmp_path))
    assert (gone.returncode, path.exists()) == (0, False)


@pytest.mark.parametrize(("words", "named"), [(("serve",), ""), (("listen", "-", "--web"), "--web-address: ")])
def test_another_address_without_a_password_is_refused_in_one_line(
    program, words, named, recorded, starter_pack, tmp_path
):
    journal = tmp_path / "journal.sqlite"
    journal.write_bytes((recorded / "journal.sqlite").read_bytes())
    command = program(*words, "--journal", journal, "--pack", starter_pack, "--web-address", "0.0.0.0", "--web-port", 0)
    done = subprocess.run(command, input="", capture_output=True, text=True, env=environment(tmp_path), timeout=60)

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"biovita-edge: {named}the page at 0.0.0.0 could be used by everybody; "
        "set a password with `biovita-edge web password`, or leave --web-address out"
    ]


def test_a_port_that_is_taken_is_an_error_of_one_line(program, recorded, starter_pack, tmp_path, served):
    journal = tmp_path / "journal.sqlite"
    journal.write_bytes((recorded / "journal.sqlite").read_bytes())
    port = urlsplit(served.url).port
    command = program("serve", "--journal", journal, "--pack", starter_pack, "--web-port", port)
    done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), timeout=60)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"port {port} (Address already in use)" in done.stderr


def test_nothing_is_shown_before_one_logs_in(stranger):
    for path in PAGES:
        answer = stranger.get(path)
        if path.startswith("/api/"):
            assert (answer.status_code, answer.json()["error"]) == (401, "the password is missing")
        elif path not in ("/login", "/static/page.css"):
            assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={quote(path, safe='')}")
        assert "Parus" not in answer.text.replace("Parus%20major", "").replace("Parus%2520major", "")
    assert stranger.post("/reviews", data={"detection": "1", "verdict": "rejected"}).headers["location"] == "/login"
    assert stranger.post("/api/v1/reviews", json={"detections": [1], "verdict": "rejected"}).status_code == 401


def test_the_cookie_of_a_session_is_kept_from_scripts_and_sites(stranger, locked):
    wrong = stranger.post("/login", data={"password": "a heron on the pond"})
    assert (wrong.status_code, wrong.headers.get("set-cookie")) == (403, None)

    answer = stranger.post("/login?next=/species%3Forder%3Dname", data={"password": PASSWORD})
    told = answer.headers["set-cookie"]
    assert (answer.status_code, answer.headers["location"]) == (303, "/species?order=name")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(told.split("; "))
    assert "Secure" not in told.split("; ")
    assert "Parus major" in stranger.get("/species").text
    assert stranger.get("/api/v1/species").status_code == 200

    stranger.post("/logout")
    stranger.cookies.set("biovita_session", told.partition("=")[2].partition(";")[0])
    assert stranger.get("/species").status_code == 303  # the session is over, not only the cookie gone


def test_a_session_behind_tls_is_never_sent_without(stranger):
    headers = {"Host": "birds.example", "Origin": "https://birds.example"}
    told = stranger.post("/login", data={"password": PASSWORD}, headers=headers).headers["set-cookie"]

    assert "Secure" in told.split("; ")


def test_a_program_sends_the_password_with_each_request(locked):
    assert httpx.get(f"{locked.url}/api/v1/species", auth=("any", PASSWORD), timeout=60).status_code == 200
    assert httpx.get(f"{locked.url}/species", auth=("any", PASSWORD), timeout=60).status_code == 303  # pages: log in


@pytest.mark.parametrize("where", ["//evil.example/", "/\\evil.example", "https://evil.example", "javascript:alert(1)"])
def test_a_log_in_leads_to_no_other_site(stranger, where):
    answer = stranger.post("/login", params={"next": where}, data={"password": PASSWORD})

    assert answer.headers["location"] == "/"
    assert "evil" not in stranger.get("/login", params={"next": where}).text


def test_wrong_passwords_are_slowed_down(recorded, starter_pack, gallery, tmp_path, monkeypatch):
    monkeypatch.setattr(access, "time", SimpleNamespace(monotonic=lambda: 0.0))  # a slow machine would wait long enough
    write_password(tmp_path / "password", PASSWORD)
    with serving(tmp_path, recorded, starter_pack, gallery) as locked:
        wrong = {"password": "a heron on the pond"}
        told = [httpx.post(f"{locked.url}/login", data=wrong, timeout=60) for _ in range(8)]
        slowed = [answer for answer in told if answer.status_code == 429]

        assert [answer.status_code for answer in told][: access.FREE_TRIES] == [403] * access.FREE_TRIES
        assert slowed and all(int(answer.headers["retry-after"]) >= 1 for answer in slowed)
        right = httpx.post(f"{locked.url}/login", data={"password": PASSWORD}, timeout=60)
        assert right.status_code == 429  # even the right one waits
        assert httpx.get(f"{locked.url}/api/v1/status", auth=("any", PASSWORD), timeout=60).status_code == 429


def test_each_wrong_password_doubles_the_wait_and_the_right_one_ends_it(monkeypatch):
    now_s = 0.0
    monkeypatch.setattr(access.time, "monotonic", lambda: now_s)
    throttle = Throttle()
    waits = []
    for _ in range(access.FREE_TRIES + 12):
        throttle.failed("192.0.2.1")
        waits.append(throttle.wait_s("192.0.2.1"))

    assert waits[: access.FREE_TRIES - 1] == [0.0] * (access.FREE_TRIES - 1)
    assert waits[access.FREE_TRIES - 1 :][:4] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == access.LONGEST_WAIT_S
    assert throttle.wait_s("192.0.2.2") == 0.0
    throttle.succeeded("192.0.2.1")
    assert throttle.wait_s("192.0.2.1") == 0.0


def test_many_tries_at_once_are_slowed_down_as_well(tmp_path, monkeypatch):
    write_password(tmp_path / "password", PASSWORD)
    tried = []
    matches = Password.matches
    monkeypatch.setattr(Password, "matches", lambda self, given: tried.append(given) or matches(self, given))
    gate = Access(Password.read(tmp_path / "password"))
    threads = [threading.Thread(target=gate.begin, args=(f"wrong one {n}", "192.0.2.1")) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert access.FREE_TRIES <= len(tried) < 10


# Where requests come from


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", ""])
def test_the_name_of_a_stranger_is_refused(served, client, host):
    assert client.get("/", headers={"Host": host}).status_code == 421
    assert client.get("/api/v1/status", headers={"Host": host}).status_code == 421


def test_the_names_of_this_machine_and_of_its_proxy_are_known(client, stranger):
    for host in ("localhost", "127.0.0.1:8080", "[::1]:8080", "192.168.1.7"):
        assert client.get("/species", headers={"Host": host}).status_code == 200
    assert stranger.get("/login", headers={"Host": "Birds.Example"}).status_code == 200
    assert client.get("/login", headers={"Host": "birds.example"}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_somebody_else_changes_nothing(served, client, headers):
    asked = {"detection": "1", "verdict": "rejected"}
    for path in ("/reviews", "/reviews/undo", "/settings", "/learn", "/logout", "/login"):
        assert client.post(path, data=asked, headers=headers).status_code == 403
    sent = {"detections": [1], "verdict": "rejected"}
    assert client.post("/api/v1/reviews", json=sent, headers=headers).status_code == 403
    assert client.patch("/api/v1/settings", json={"detections.confirm": "2"}, headers=headers).status_code == 403
    assert served.reviews() == []


# What is sent


class Inline(HTMLParser):
    """Finds code and styles that stand in a page itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in given) or tag in ("iframe", "object", "embed", "base"):
            self.found.append(tag)
        self.links += [given[name] or "" for name in ("href", "src", "action") if name in given]


def test_every_answer_has_a_strict_policy_and_no_page_has_inline_code(served, client):
    for path in PAGES:
        answer = client.get(path)
        policy = dict(one.split(" ", 1) for one in answer.headers["content-security-policy"].split("; "))
        assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
        assert (policy["frame-ancestors"], policy["base-uri"]) == ("'none'", "'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        page = Inline()
        page.feed(answer.text if "html" in answer.headers["content-type"] else "")
        assert page.found == []
        assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in page.links)


def test_an_unexpected_error_has_the_policy_too_and_tells_nothing(served, client, monkeypatch):
    monkeypatch.setattr("edgeapp.web.health.log_of", lambda site: 1 / 0)
    answer = client.get("/health")

    assert answer.status_code == 500
    assert "the page failed" in answer.text and "Zero" not in answer.text and "Traceback" not in answer.text
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2f..%2f..%2f..%2fetc/passwd",
        "/static//etc/passwd",
        "/media/clips/../../etc/passwd",
        "/media/clips/%2e%2e%2fjournal.sqlite",
        "/media/clips/1%00",
        "/media/clips/-1",
        "/media/clips/99999999999999999999",
        f"/media/clips/{'9' * 5000}",
        "/media/clips/1/../../../station.toml",
        "/media/pictures/1/..%2f..%2fstation.toml",
        "/media/pictures/99999999999999999999/small",
        "/detections/99999999999999999999",
        "/detections/%D9%A1",  # a digit, but of another script
        "/api/v1/detections/99999999999999999999",
        "/day/..%2f..%2fetc",
        "/species/..%2f..%2fetc%2fpasswd",
        "/api/v1/days/9999-12-31",
    ],
)
def test_no_path_leads_to_a_file(served, path):
    address = urlsplit(served.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    connection.request("GET", path)  # as it is: other libraries tidy paths up
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")

    assert answer.status in (400, 404)
    assert "root:" not in text and "[station]" not in text and "Traceback" not in text


@pytest.mark.parametrize(
    "query",
    ["taxon=%00", "since=x", "since=0001-01-01", "until=9999-12-31", "min_confidence=nan", "limit=1e9", "before=a_b"]
    + ["before=_1", "review=maybe", "source=%ff%fe", "limit=-1", "since=2026-13-01", "before=x_99999999999999999999"],
)
def test_wrong_parameters_are_explained_and_no_fault(client, query):
    for path in ("/detections", "/api/v1/detections", "/api/v1/export"):
        answer = client.get(f"{path}?{query}")
        assert answer.status_code in (200, 400)
        if answer.status_code == 400 and path.startswith("/api"):
            assert answer.json()["error"]


@pytest.mark.parametrize("query", ["zone=Nowhere", "format=exe", "format=ebird"])
def test_an_export_that_cannot_be_is_explained(client, query):
    answer = client.get(f"/api/v1/export?{query}")

    assert answer.status_code == 400 and answer.json()["error"]


@pytest.mark.parametrize("sent", [b"", b"[]", b"{", b"[" * 100_000, b'{"detections": 1}', b'{"detections": [1e99]}'])
def test_what_is_no_review_is_refused(served, client, sent):
    assert client.post("/api/v1/reviews", content=sent).status_code == 400
    assert served.reviews() == []


# Names


def test_names_that_are_code_are_only_text(recorded, starter_pack, gallery, tmp_path):
    with serving(tmp_path, recorded, starter_pack, gallery) as served:
        served.rename(1, NASTY)
        with closing(sqlite3.connect(served.journal)) as connection, connection:
            connection.execute("UPDATE streams SET source = ?", [NASTY])
        with client_of(served.url) as client:
            client.post("/api/v1/reviews", json={"detections": [1], "verdict": "confirmed", "note": NASTY})
            paths = ("/", "/detections", "/detections/1", "/species", "/day/2026-05-22", f"/species/{quote(NASTY)}")
            for path in (*paths, f"/detections?taxon={quote(NASTY)}&source={quote(NASTY)}", f"/?said={quote(NASTY)}"):
                answer = client.get(path)
                page = Inline()
                page.feed(answer.text)
                assert answer.status_code == 200 and page.found == [], path
                assert "onerror=alert(1)" in answer.text, path
                assert not re.search("[\x1b\u202e]", answer.text), path
