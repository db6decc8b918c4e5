"""AWS Signature Version 4 for requests that differ only in time, credentials and payload."""

import hashlib
import hmac
from typing import Protocol

ALGORITHM = "AWS4-HMAC-SHA256"

DATE = "\x00date\x00"
"""Stands for the time in a canonical request."""

TOKEN = "\x00token\x00"  # noqa: S105  # stands for one, is none
"""Stands for the session token in a canonical request."""


class Credentials(Protocol):
    """Frozen credentials, as botocore gives them."""

    @property
    def access_key(self) -> str:
        """The access key id."""
        ...

    @property
    def secret_key(self) -> str:
        """The secret access key."""
        ...

    @property
    def token(self) -> str | None:
        """The session token, for temporary credentials."""
        ...


class Signer:
    """Signs one kind of request; the key of the day is derived once.

    Args:
        canonical: The canonical request up to the payload's hash, with `DATE` and `TOKEN` in it.
        signed_headers: The names of the signed headers, as the signature lists them.
        region: The region of the credential scope.
        service: The signing name of the credential scope.
    """

    __slots__ = (
        "_canonical",
        "_day",
        "_key",
        "_region",
        "_scope",
        "_secret",
        "_service",
        "_signed_headers",
    )

    def __init__(self, *, canonical: str, signed_headers: str, region: str, service: str) -> None:
        self._canonical = canonical
        self._signed_headers = signed_headers
        self._region = region
        self._service = service
        self._day = self._secret = self._scope = ""
        self._key = b""

    def authorization(self, credentials: Credentials, timestamp: str, payload: bytes) -> str:
        """Return the `Authorization` header of a request.

        Args:
            credentials: Whose request it is.
            timestamp: The time as it is in `X-Amz-Date`.
            payload: The body.
        """
        if timestamp[:8] != self._day or credentials.secret_key != self._secret:
            self._derive(credentials.secret_key, timestamp[:8])
        canonical = self._canonical.replace(DATE, timestamp)
        if credentials.token is not None:
            canonical = canonical.replace(TOKEN, " ".join(credentials.token.split()))
        canonical += hashlib.sha256(payload).hexdigest()
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"{ALGORITHM}\n{timestamp}\n{self._scope}\n{digest}"
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        return (
            f"{ALGORITHM} Credential={credentials.access_key}/{self._scope}, "
            f"SignedHeaders={self._signed_headers}, Signature={signature}"
        )

    def _derive(self, secret: str, day: str) -> None:
        key = f"AWS4{secret}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key, self._secret, self._day = key, secret, day
        self._scope = f"{day}/{self._region}/{self._service}/aws4_request"
