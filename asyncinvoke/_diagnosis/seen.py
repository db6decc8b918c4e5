"""Protocols for the facts being judged, which `_transport` collects."""

from datetime import datetime
from typing import Protocol


class Setting(Protocol):
    """A setting and where it comes from."""

    @property
    def value(self) -> str | None:
        """What it is."""
        ...

    @property
    def source(self) -> str:
        """Who says so."""
        ...

    @property
    def flaw(self) -> str | None:
        """What is wrong with it."""
        ...


class Credentials(Protocol):
    """What may be told of credentials."""

    @property
    def source(self) -> str | None:
        """Where they come from; `None` where there are none."""
        ...

    @property
    def is_temporary(self) -> bool:
        """Whether they have a session token."""
        ...

    @property
    def expires(self) -> datetime | None:
        """When they end, where that is known."""
        ...

    @property
    def flaw(self) -> str | None:
        """Why they cannot be used."""
        ...


class Answered(Protocol):
    """What came of one request."""

    @property
    def status(self) -> int:
        """The answer's status."""
        ...

    @property
    def elapsed(self) -> float:
        """Seconds that it took."""
        ...

    @property
    def tls(self) -> str | None:
        """What TLS has agreed upon."""
        ...

    @property
    def issuer(self) -> str | None:
        """Who has signed the certificate."""
        ...

    @property
    def session(self) -> str | None:
        """Why connections of ours were not used; `None` if they were."""
        ...
