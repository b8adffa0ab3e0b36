"""The commands of the page: where it is, how it ends, and what is said when its libraries are missing."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import urllib.request
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from edgeapp.journal import Journal
from tests.conftest import PROJECT

WITHOUT = "import sys; sys.modules[{!r}] = None; from edgeapp.cli import main; main()"


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "journal.sqlite"
    Journal.open(path).close()
    return path


def environment(folder) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT), "XDG_CONFIG_HOME": str(folder / "config")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_the_page_is_and_ends_with_clients(tmp_path, journal, toy_pack, number, forks):
    command = [*forks.python(), "-m", "edgeapp", "serve", "--journal", journal, "--pack", toy_pack, "--web-port", "0"]
    with subprocess.Popen(
        [str(word) for word in command], env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    ) as serving:
        try:
            assert serving.stderr is not None
            said = serving.stderr.readline()
            found = re.fullmatch(r"page at (http://127\.0\.0\.1:\d+/); Ctrl-C stops\n", said)
            assert found, said
            with urllib.request.urlopen(found[1]) as answer:
                assert b"No station runs." in answer.read()
            address = urlsplit(found[1])
            with closing(socket.create_connection((address.hostname, address.port), timeout=60)) as client:
                client.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert client.recv(4096).startswith(b"HTTP/1.1 200")
                serving.send_signal(number)
                rest = serving.communicate(timeout=60)[1]
        finally:
            serving.kill()  # or leaving would wait for one that was never told to end
    assert serving.returncode == 0
    assert "Traceback" not in rest and "rror" not in rest


def test_a_journal_that_is_not_there_is_not_made(tmp_path, run):
    done = run("serve", "--journal", tmp_path / "none.sqlite", "--web-port", 0)

    assert done.exit_code == 2
    assert "none.sqlite: no journal found" in done.output
    assert not (tmp_path / "none.sqlite").exists()


@pytest.mark.parametrize("words", [("serve",), ("listen", "-", "--web")])
@pytest.mark.parametrize("library", ["starlette", "uvicorn", "python_multipart"])
def test_a_missing_library_is_an_error_of_one_line(tmp_path, journal, toy_pack, words, library, forks):
    command = [*forks.python(), "-c", WITHOUT.format(library), *words, "--journal", journal, "--pack", toy_pack]
    done = subprocess.run(
        [*map(str, command), "--web-port", "0"],
        env=environment(tmp_path),
        input="",
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 2
    where = "--web: " if words[0] == "listen" else ""
    assert done.stderr == f"biovita-edge: {where}the live page needs {library}; pip install 'biovita-edge[web]'\n"


def test_a_password_takes_the_place_of_no_other_file(run, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('[web]\npassword_file = "config.toml"\n')
    for words in (("--stdin",), ("--remove",)):
        done = run("web", "password", *words, "--config", config, input=b"long enough a word\n")
        assert done.exit_code == 2 and "config.toml: is there, and no password of the page" in done.stderr
    assert config.read_text().startswith("[web]")
    config.write_text('[web]\npassword_file = "password"\n')
    for words in (("--stdin",), ("--stdin",), ("--remove",), ("--remove",)):
        done = run("web", "password", *words, "--config", config, input=b"long enough a word\n")
        assert done.exit_code == 0, done.stderr
    assert not (tmp_path / "password").exists()
