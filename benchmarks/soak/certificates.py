"""A certificate authority of the run's own, and the certificate of its broker."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: the authority, and the broker's certificate and key."""

    authority: Path
    certificate: Path
    key: Path


def certificates(folder: Path) -> Certificates | None:
    """Make them; None without openssl."""
    if shutil.which("openssl") is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(folder / "ca.pem", folder / "broker.pem", folder / "broker.key")
    ca_key, request, extension = folder / "ca.key", folder / "broker.csr", folder / "broker.ext"
    extension.write_text("subjectAltName = IP:127.0.0.1\n")
    curve = "ec_paramgen_curve:prime256v1"  # keys are made at once, those of RSA are searched for
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", curve, "-nodes", "-days", "30"]
    for command in (
        [*new, "-x509", "-subj", "/CN=soak", "-keyout", ca_key, "-out", made.authority],
        [*new[:-2], "-subj", "/CN=127.0.0.1", "-keyout", made.key, "-out", request],
        [
            *["openssl", "x509", "-req", "-days", "30", "-in", request, "-CA", made.authority, "-CAkey", ca_key],
            *["-CAcreateserial", "-extfile", extension, "-out", made.certificate],
        ],
    ):
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return made
