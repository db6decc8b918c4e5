"""AWS Signature Version 4 for requests that differ only in a few values and in the payload.

Work is cached in layers, by lifetime: a `Signer` belongs to one kind of request, a `Moment` to one
second of one set of credentials. Each request then needs only two hashes of what differs. SHA-256
and HMAC states are cached up to the first byte that differs, and copied.
"""

import hmac
import itertools
import os
import time
import uuid
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Protocol

ALGORITHM = "AWS4-HMAC-SHA256"

DATE = "\x00date\x00"
"""The placeholder of the time in a canonical request."""

TOKEN = "\x00token\x00"  # noqa: S105  # a placeholder, not a token
"""The placeholder of the session token in a canonical request."""

HOLE = "\x00hole\x00"
"""The placeholder of a value of one call in a canonical request."""

# HMAC hashes the key XOR one constant with the message, and then the key XOR another constant with
# that hash. These are the two XORs, as tables for `bytes.translate`.
_BLOCK_SIZE = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class FrozenCredentials(Protocol):
    """A snapshot of credentials, as returned by botocore."""

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


class Moment:
    """One second of one set of credentials; its `repr` shows nothing.

    Args:
        credentials: The credentials to sign with.
        second: The time, in whole seconds since the epoch.
    """

    __slots__ = ("_begin", "_keys", "_numbers", "credentials", "second", "timestamp", "token")

    def __init__(self, credentials: FrozenCredentials, second: int) -> None:
        self.credentials = credentials
        # As in the SDK, an empty token counts as none.
        self.token = credentials.token or None
        self.second = second
        self.timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        self._keys: dict[tuple[str, str, str], bytes] = {}
        # A counter within a random UUID is just as unique, at a tenth of the cost.
        self._begin = str(uuid.uuid4())[:24]
        self._numbers = itertools.count(int.from_bytes(os.urandom(5), "big"))

    def at(self, second: int) -> "Moment":
        """Return a moment of the same credentials at another second."""
        moment = Moment(self.credentials, second)
        moment._keys = self._keys
        return moment

    def new_id(self) -> str:
        """Return a unique UUID for a request."""
        return f"{self._begin}{next(self._numbers):012x}"

    def signing_key(self, region: str, service: str) -> bytes:
        """Return the signing key of a credential scope, which is valid for one day."""
        scope = (self.timestamp[:8], region, service)
        key = self._keys.get(scope)
        if key is None:
            key = f"AWS4{self.credentials.secret_key}".encode()
            for part in (*scope, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._keys.clear()
            self._keys[scope] = key
        return key


class Signer:
    """Signs one kind of request.

    Args:
        canonical: The canonical request up to the payload's hash, with `DATE`, `TOKEN` and a `HOLE`
            for each value that differs between calls.
        signed_headers: The names of the signed headers, as listed in the signature.
        region: The region of the credential scope.
        service: The signing name of the credential scope.
    """

    __slots__ = ("_canonical", "_moment", "_region", "_second", "_service", "_signed_headers")

    def __init__(self, *, canonical: str, signed_headers: str, region: str, service: str) -> None:
        self._canonical = canonical
        self._signed_headers = signed_headers
        self._region = region
        self._service = service
        self._moment: Moment | None = None
        self._second: _Second

    def with_canonical(self, change: Callable[[str], str]) -> "Signer":
        """Return a signer with a changed canonical request."""
        return Signer(
            canonical=change(self._canonical),
            signed_headers=self._signed_headers,
            region=self._region,
            service=self._service,
        )

    @property
    def signs(self) -> tuple[str, ...]:
        """What the signatures depend on, apart from moment, payload and the values of holes."""
        return (self._canonical, self._signed_headers, self._region, self._service)

    def prefix(self, moment: Moment) -> str:
        """Return the `Authorization` header up to the signature."""
        return (
            f"{ALGORITHM} Credential={moment.credentials.access_key}/{self._scope(moment)}, "
            f"SignedHeaders={self._signed_headers}, Signature="
        )

    def signature(self, moment: Moment, payload: bytes, values: Sequence[str] = ()) -> str:
        """Return the signature of a request.

        Args:
            moment: The time and the credentials.
            payload: The body.
            values: The values of the holes, in order.
        """
        if self._moment is not moment:
            self._second = self._begin(moment)
            self._moment = moment
        second = self._second
        canonical = second.canonical.copy()
        if values or second.rest:
            for value, after in zip(values, second.rest, strict=True):
                canonical.update(" ".join(value.split()).encode())
                canonical.update(after)
        canonical.update(sha256(payload).hexdigest().encode())
        inner = second.inner.copy()
        inner.update(canonical.hexdigest().encode())
        outer = second.outer.copy()
        outer.update(inner.digest())
        signature: str = outer.hexdigest()
        return signature

    def _scope(self, moment: Moment) -> str:
        return f"{moment.timestamp[:8]}/{self._region}/{self._service}/aws4_request"

    def _begin(self, moment: Moment) -> "_Second":
        canonical = self._canonical.replace(DATE, moment.timestamp)
        if moment.token is not None:
            canonical = canonical.replace(TOKEN, " ".join(moment.token.split()))
        first, *rest = canonical.split(HOLE)
        to_sign = f"{ALGORITHM}\n{moment.timestamp}\n{self._scope(moment)}\n"
        return _Second(
            sha256(first.encode()),
            tuple(after.encode() for after in rest),
            moment.signing_key(self._region, self._service).ljust(_BLOCK_SIZE, b"\0"),
            to_sign.encode(),
        )


class _Second:
    """The state shared by all requests of one kind and one second; its `repr` shows nothing."""

    __slots__ = ("canonical", "inner", "outer", "rest")

    def __init__(
        self, canonical: Any, rest: tuple[bytes, ...], block: bytes, to_sign: bytes
    ) -> None:
        self.canonical = canonical
        self.rest = rest
        self.inner: Any = sha256(block.translate(_INNER) + to_sign)
        self.outer: Any = sha256(block.translate(_OUTER))
