"""AWS Signature Version 4 for requests that differ only in time, credentials and payload."""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

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
    """Signs one kind of request. What is the same for all requests of a second is kept.

    Args:
        canonical: The canonical request up to the payload's hash, with `DATE` and `TOKEN` in it.
        signed_headers: The names of the signed headers, as the signature lists them.
        region: The region of the credential scope.
        service: The signing name of the credential scope.
    """

    __slots__ = ("_canonical", "_moment", "_region", "_service", "_signed_headers")

    def __init__(self, *, canonical: str, signed_headers: str, region: str, service: str) -> None:
        self._canonical = canonical
        self._signed_headers = signed_headers
        self._region = region
        self._service = service
        self._moment: _Moment | None = None

    def authorization(self, credentials: Credentials, timestamp: str, payload: bytes) -> str:
        """Return the `Authorization` header of a request.

        Args:
            credentials: Whose request it is.
            timestamp: The time as it is in `X-Amz-Date`.
            payload: The body.
        """
        moment = self._moment
        if (
            moment is None
            or moment.timestamp != timestamp
            or moment.secret != credentials.secret_key
            or moment.access_key != credentials.access_key
            or moment.token != credentials.token
        ):
            moment = self._moment = self._at(credentials, timestamp)
        canonical = moment.canonical.copy()
        canonical.update(sha256(payload).hexdigest().encode())
        to_sign = moment.to_sign + canonical.hexdigest().encode()
        return moment.authorization + hmac.digest(moment.key, to_sign, "sha256").hex()

    def _at(self, credentials: Credentials, timestamp: str) -> "_Moment":
        day = timestamp[:8]
        key = f"AWS4{credentials.secret_key}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        canonical = self._canonical.replace(DATE, timestamp)
        if credentials.token is not None:
            canonical = canonical.replace(TOKEN, " ".join(credentials.token.split()))
        return _Moment(
            timestamp=timestamp,
            access_key=credentials.access_key,
            secret=credentials.secret_key,
            token=credentials.token,
            key=key,
            canonical=sha256(canonical.encode()),
            to_sign=f"{ALGORITHM}\n{timestamp}\n{scope}\n".encode(),
            authorization=(
                f"{ALGORITHM} Credential={credentials.access_key}/{scope}, "
                f"SignedHeaders={self._signed_headers}, Signature="
            ),
        )


@dataclass(slots=True, kw_only=True, repr=False)
class _Moment:
    """What all requests of one second have in common. Holds secrets, so it shows nothing."""

    timestamp: str
    access_key: str
    secret: str
    token: str | None
    key: bytes
    canonical: Any
    to_sign: bytes
    authorization: str
