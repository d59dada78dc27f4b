"""A certificate for one run, made by the system's openssl; nobody vouches for it but the terminal that shows it."""

from __future__ import annotations

import ipaddress
import ssl
import subprocess
from pathlib import Path

from edgekit.errors import MissingError


def context(host: str, folder: Path) -> ssl.SSLContext:
    """TLS for a server at a host, with a key that ends with the folder; raises `MissingError` without openssl."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not certificate.is_file():
        _make(host, certificate, key)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(certificate, key)
    return made


def fingerprint(folder: Path) -> str:
    """The certificate's SHA-256, as browsers show it."""
    import hashlib

    der = ssl.PEM_cert_to_DER_cert((folder / "certificate.pem").read_text(encoding="ascii"))
    return hashlib.sha256(der).digest().hex(":").upper()


def _make(host: str, certificate: Path, key: Path) -> None:
    kind = "DNS" if _is_name(host) else "IP"
    arguments = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-noenc",
        "-days",
        "1",
    ]
    named = ["-subj", "/CN=edgekit", "-addext", f"subjectAltName={kind}:{host}"]
    places = ["-keyout", str(key), "-out", str(certificate)]
    try:
        made = subprocess.run(
            ["openssl", *arguments, *named, *places], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(
            f"https needs a certificate, and openssl did not make one: {error}",
            hint="apt-get install openssl, or serve without https=1",
        ) from error
    if made.returncode:
        raise MissingError(
            f"https needs a certificate, and openssl did not make one: {made.stderr.strip()[-300:]}",
            hint="OpenSSL 3 is needed; or serve without https=1",
        )


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False
