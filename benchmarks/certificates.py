"""Certificates for a server on loopback, made by the openssl command."""

import subprocess
from pathlib import Path


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate that is its own authority, for 127.0.0.1, ::1 and localhost.

    Returns:
        The paths of the certificate and of its key.
    """
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key
