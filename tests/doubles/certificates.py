"""Certificates that are made while the tests run, by the `openssl` program."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate with its key, as PEM files."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Make a context that presents this certificate to clients."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Authority:
    """Signs certificates; `bundle` is what trusts them (`AWS_CA_BUNDLE`).

    Args:
        directory: Where its files go; one authority a directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.bundle = directory / "authority.pem"
        self._key = directory / "authority.key"
        _openssl(
            *("req", "-x509", *_CURVE, "-days", "2", "-subj", "/CN=authority of the tests"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", self._key, "-out", self.bundle),
        )

    def issue(self, name: str) -> Identity:
        """Sign a certificate for 127.0.0.1, ::1 and localhost, for servers and for clients."""
        base = self._directory / name
        key, request, certificate = (base.with_suffix(end) for end in (".key", ".csr", ".pem"))
        extensions = base.with_suffix(".ext")
        extensions.write_text(
            "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\n"
            "basicConstraints=critical,CA:FALSE\n"
            "extendedKeyUsage=serverAuth,clientAuth\n"
            "authorityKeyIdentifier=keyid\n"
        )
        _openssl("req", "-new", *_CURVE, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        _openssl(
            *("x509", "-req", "-in", request, "-days", "2", "-extfile", extensions),
            *("-CA", self.bundle, "-CAkey", self._key, "-CAcreateserial", "-out", certificate),
        )
        return Identity(certificate=certificate, key=key)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate that is its own authority, for 127.0.0.1, ::1 and localhost.

    Returns:
        The paths of the certificate and of its key.
    """
    certificate, key = folder / "cert.pem", folder / "key.pem"
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-keyout", key, "-out", certificate, "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost"),
    )
    return certificate, key


def _openssl(*arguments: object) -> None:
    ended = subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {ended.stderr}")
