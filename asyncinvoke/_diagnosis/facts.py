"""Protocols for the facts that checks examine, which `_transport` collects."""

from datetime import datetime
from typing import Protocol


class Setting(Protocol):
    """A setting and where it comes from."""

    @property
    def value(self) -> str | None:
        """The value."""
        ...

    @property
    def source(self) -> str:
        """Where the value comes from."""
        ...

    @property
    def flaw(self) -> str | None:
        """What is wrong with it, if anything."""
        ...


class Credentials(Protocol):
    """Facts about credentials that are not secret."""

    @property
    def source(self) -> str | None:
        """Where they come from; `None` if there are none."""
        ...

    @property
    def is_temporary(self) -> bool:
        """Whether they have a session token."""
        ...

    @property
    def expires(self) -> datetime | None:
        """When they expire, if known."""
        ...

    @property
    def flaw(self) -> str | None:
        """Why they cannot be used, if so."""
        ...


class Answered(Protocol):
    """The result of one request to the endpoint."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def elapsed(self) -> float:
        """How long the request took, in seconds."""
        ...

    @property
    def tls(self) -> str | None:
        """The negotiated TLS version and cipher."""
        ...

    @property
    def issuer(self) -> str | None:
        """The issuer of the server's certificate."""
        ...

    @property
    def session(self) -> str | None:
        """Why our own connections were not used; `None` if they were."""
        ...
