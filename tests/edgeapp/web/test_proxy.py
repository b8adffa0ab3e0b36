"""The page behind a reverse proxy with TLS, which is set up as the documentation says."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from edgeapp.errors import UsageError
from edgeapp.web.access import FREE_TRIES, write_password
from tests.conftest import PROJECT
from tests.edgeapp.web.conftest import Served, serving

NAME, PASSWORD = "birds.example.org", "a long password"
EXAMPLES = re.findall(
    r"```(?:nginx)?\n((?:server|birds).*?)```", (PROJECT / "docs" / "web.md").read_text(), flags=re.DOTALL
)
WITHIN_S = 30.0


@pytest.fixture(scope="module")
def behind(recorded, starter_pack, gallery, tmp_path_factory) -> Iterator[Served]:
    """A page with a password, made for a proxy on this machine."""
    folder = tmp_path_factory.mktemp("behind")
    write_password(folder / "password", PASSWORD)
    web = f'host = ["{NAME}"]\nproxy = ["127.0.0.1"]'
    with serving(folder, recorded, starter_pack, gallery, web) as served:
        yield served


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate of the name, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made = (folder / "cert.pem", folder / "key.pem")
    words = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={NAME}"
    more = ("-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1", "-out", made[0], "-keyout", made[1])
    subprocess.run(["openssl", *words.split(), *map(str, more)], check=True, capture_output=True)
    return made


def nginx(folder: Path, example: str, port: int, certificate: tuple[Path, Path]) -> list[str]:
    """Its configuration of the documentation, with the paths of a test."""
    for before, after in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/birds.pem", str(certificate[0])),
        ("/etc/ssl/birds.key", str(certificate[1])),
    ):
        assert before in example
        example = example.replace(before, after)
    own = " ".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    head = f"daemon off; pid {folder / 'pid'}; error_log stderr;\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{head}http {{ access_log off; {own}\n{example} }}\n")
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, example: str, port: int, certificate: tuple[Path, Path]) -> list[str]:
    """The same; its own certificates come from an authority."""
    assert f"{NAME} {{" in example
    tls = f"bind 127.0.0.1\n    tls {certificate[0]} {certificate[1]}"
    example = example.replace(f"{NAME} {{", f"https://{NAME}:{port}, https://127.0.0.1:{port} {{\n    {tls}")
    (folder / "Caddyfile").write_text(f"{{\n    admin off\n    auto_https disable_redirects\n}}\n{example}")
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


Client = Callable[..., httpx.Client]


@pytest.fixture(scope="module", params=[nginx, caddy], ids=lambda one: one.__name__)
def visitor(request, behind, certificate, tmp_path_factory) -> Iterator[Client]:
    """Makes clients of the proxy, each from an address of its own."""
    program = request.param.__name__
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    [example] = [one for one in EXAMPLES if one.startswith("server") == (program == "nginx")]
    address = behind.url.partition("://")[2]
    assert "127.0.0.1:8080" in example
    folder = tmp_path_factory.mktemp(program)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = request.param(folder, example.replace("127.0.0.1:8080", address), port, certificate)
    environment = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    with open(folder / "log", "wb") as log:
        proxy = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        end = time.monotonic() + WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert proxy.poll() is None and time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.05)

        def call(number: int, **headers: str) -> httpx.Client:
            own_address = f"127.0.{1 + (program == 'caddy')}.{number}"
            transport = httpx.HTTPTransport(verify=trusted, local_address=own_address)
            own = {"Host": f"{NAME}:{port}", "Origin": f"https://{NAME}:{port}", **headers}
            url = f"https://127.0.0.1:{port}"
            return httpx.Client(base_url=url, transport=transport, headers=own, timeout=WITHIN_S)

        yield call
    finally:
        proxy.terminate()
        proxy.wait(30)


def log_in(client: httpx.Client, password: str = PASSWORD) -> httpx.Response:
    return client.post("/login?next=/detections", data={"password": password})


def test_a_visitor_logs_in_reviews_and_gets_the_event_at_once(visitor):
    with visitor(3) as client:
        assert client.get("/").headers["location"] == "/login?next=%2F"
        answer = log_in(client)
        assert (answer.status_code, answer.headers["location"]) == (303, "/detections")
        assert "Secure" in answer.headers["set-cookie"]
        [cookie] = re.findall(r"biovita_session=([^;]+)", answer.headers["set-cookie"])
        client.headers["Cookie"] = f"biovita_session={cookie}"  # of the name, not of the address that was asked
        assert "Great Tit" in client.get("/detections").text
        with client.stream("GET", "/api/v1/events") as events:
            lines = events.iter_lines()
            assert next(lines).startswith("retry:")
            sent = client.post("/api/v1/reviews", json={"detections": [1], "verdict": "confirmed"})
            assert sent.status_code == 201
            told = next(line for line in lines if line.startswith("data: ") and "confirmed" in line)
            assert json.loads(told.removeprefix("data: "))["detections"][0]["number"] == 1
        client.post("/api/v1/reviews/undo", json=sent.json())


def test_a_page_of_another_site_changes_nothing(visitor):
    with visitor(4, Origin="https://elsewhere.example.org") as client:
        assert client.post("/api/v1/reviews", json={"detections": [1], "verdict": "confirmed"}).status_code == 403
    with visitor(4, Host="elsewhere.example.org") as client:
        assert client.get("/").status_code in (421, 200) and "Great Tit" not in client.get("/detections").text


def test_who_tries_passwords_makes_nobody_else_wait(visitor):
    # Who lies about the own address is counted by the address that the proxy has seen.
    with visitor(5, **{"X-Forwarded-For": "192.0.2.7"}) as guesser, visitor(6) as owner:
        tries = [log_in(guesser, "a wrong password").status_code for _ in range(FREE_TRIES + 1)]
        assert tries == [403] * FREE_TRIES + [429]
        guesser.headers["X-Forwarded-For"] = "192.0.2.8"
        assert log_in(guesser).status_code == 429
        assert log_in(owner).status_code == 303


def test_whoever_is_no_proxy_is_not_believed(recorded, starter_pack, gallery, tmp_path):
    write_password(tmp_path / "password", PASSWORD)
    with serving(tmp_path, recorded, starter_pack, gallery, 'proxy = ["192.0.2.1"]') as served:
        for number in range(FREE_TRIES + 1):
            lie = {"X-Forwarded-For": f"192.0.2.{10 + number}", "X-Forwarded-Proto": "https"}
            answer = httpx.post(f"{served.url}/login", data={"password": "a wrong password"}, headers=lie)
        assert answer.status_code == 429


def test_a_proxy_that_is_no_address_is_an_error_of_one_line(recorded, starter_pack, gallery, tmp_path):
    with (
        pytest.raises(UsageError, match="web.proxy 'my proxy' is neither an address nor a network"),
        serving(tmp_path, recorded, starter_pack, gallery, 'proxy = ["my proxy"]'),
    ):
        pass


def test_a_page_for_a_proxy_without_a_password_says_so(recorded, starter_pack, gallery, tmp_path, capsys):
    with serving(tmp_path, recorded, starter_pack, gallery, 'proxy = ["127.0.0.1", "172.16.0.0/12"]'):
        assert "the page has no password" in capsys.readouterr().err
