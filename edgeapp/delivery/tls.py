"""TLS for targets: whom they trust, and the certificate of the station."""

from __future__ import annotations

import ssl
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path

from edgeapp import read_once
from edgeapp.errors import UsageError


def context(ca_file: str | None = None, cert_file: str | None = None, key_file: str | None = None) -> ssl.SSLContext:
    """A context that checks certificates and the names in them.

    Parameters
    ----------
    ca_file : str or None
        Certificates to trust instead of the system's (PEM).
    cert_file, key_file : str or None
        Certificate of the station, and its key where that is in a file of its own (PEM).

    Raises
    ------
    UsageError
        A file has not what it should have.
    """
    if ca_file is None and cert_file is None:
        return of_the_system()
    try:
        with nullcontext() if ca_file is None else _opened(ca_file) as ca:
            made = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{ca_file}: no certificates: {error}", "give a file in PEM format") from error
    if cert_file is not None:
        try:
            with _opened(cert_file) as certificate, _opened(key_file or cert_file) as key:
                # An empty passphrase: OpenSSL would ask for one at the terminal otherwise, and wait there.
                made.load_cert_chain(certificate, key, password="")
        except (OSError, ssl.SSLError, ValueError) as error:
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
            files = cert_file if key_file is None else f"{cert_file} and {key_file}"
            remedy = "give a certificate and its key in PEM format, the key without a passphrase"
            raise UsageError(f"{files}: no certificate with its key: {why}", remedy) from error
    return made


def _opened(file: str) -> AbstractContextManager[str]:
    return read_once.opened_by_others(Path(file))


@lru_cache(maxsize=1)
def of_the_system() -> ssl.SSLContext:
    """One for all targets that trust what the system trusts: to read its certificates takes long."""
    return ssl.create_default_context()


def ended(cert_file: str, now: datetime) -> datetime | None:
    """When the certificate in a file (PEM) ceased to be valid; None where it has not, or nobody can tell.

    A broker that refuses one need not say why. Python's public functions read certificates of the other side alone;
    where it has not the function that its own tests use, nothing is told.
    """
    read = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)
    try:
        with _opened(cert_file) as path:
            end_s = ssl.cert_time_to_seconds(read(path)["notAfter"]) if read is not None else float("inf")
    except (OSError, ssl.SSLError, KeyError, ValueError):
        return None
    return datetime.fromtimestamp(end_s, timezone.utc) if end_s < now.timestamp() else None
