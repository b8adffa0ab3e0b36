"""Whom targets trust, and errors of certificate files in one line."""

from __future__ import annotations

import ssl

import pytest

from edgeapp.delivery.tls import context
from edgeapp.errors import UsageError


def test_certificates_and_names_are_always_checked():
    made = context()
    assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_file_without_certificates_is_one_line(tmp_path):
    file = tmp_path / "ca.pem"
    for content in (None, "", "no certificate"):
        if content is not None:
            file.write_text(content)
        with pytest.raises(UsageError, match="ca.pem: no certificates: .*; give a file in PEM format"):
            context(str(file))


def test_a_certificate_without_its_key_is_one_line(tmp_path):
    files = [tmp_path / "garden.pem", tmp_path / "garden.key"]
    for file in files:
        file.write_text("nothing")
    with pytest.raises(UsageError, match="garden.pem and .*garden.key: no certificate with its key"):
        context(None, *map(str, files))
