"""A certificate authority of the tests' own, with a certificate for this machine and one for a station."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificates:
    """Files in PEM format: the authority, a server at localhost with its key, a client with its key; one that ended."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    ended: Path


def made_in(folder: Path) -> Certificates:
    """Make them, readable for everybody: a broker may change its user."""

    def openssl(*words: object) -> None:
        try:
            subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=folder)
        except FileNotFoundError:
            pytest.skip("no openssl: apt-get install openssl")

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-days", 2, "-subj", "/CN=Test CA", "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name, subject, names in (("server", "/CN=localhost", ("-extfile", "names")), ("client", "/CN=garden", ())):
        openssl("req", *curve, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", 2)
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, *names, "-out", f"{name}.pem")
    (folder / "index").touch()
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca = d\n[d]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\n"
        "default_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n"
    )
    past = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
    signed = ("-cert", "ca.pem", "-keyfile", "ca.key", "-in", "client.csr", "-out", "ended.pem", "-notext")
    openssl("ca", "-batch", "-config", "ca.cnf", *past, *signed)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    names = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key", "ended.pem")
    return Certificates(*(folder / name for name in names))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Made once."""
    return made_in(tmp_path_factory.mktemp("certificates"))
