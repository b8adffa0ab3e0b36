"""Whom targets trust, and errors of certificate files in one line."""

from __future__ import annotations

import ssl
from datetime import datetime, timezone

import pytest

from edgeapp.delivery.tls import context, ended
from edgeapp.errors import UsageError
from tests.edgeapp.delivery.certificates import certificates

__all__ = ["certificates"]


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


def test_the_end_of_a_certificate_is_known(certificates, tmp_path):
    now = datetime(2026, 6, 1, tzinfo=timezone.utc)
    assert ended(str(certificates.ended), now) == datetime(2020, 2, 1, tzinfo=timezone.utc)
    assert ended(str(certificates.client), now) is None
    assert ended(str(tmp_path / "none.pem"), now) is None


def test_a_certificate_without_its_key_is_one_line(tmp_path):
    files = [tmp_path / "garden.pem", tmp_path / "garden.key"]
    for file in files:
        file.write_text("nothing")
    with pytest.raises(UsageError, match="garden.pem and .*garden.key: no certificate with its key"):
        context(None, *map(str, files))
