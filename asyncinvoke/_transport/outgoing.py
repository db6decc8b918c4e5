"""One request as it leaves: how the ways over the wire take it, and nothing that shows it."""

from typing import Protocol

from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.sigv4 import Moment
from asyncinvoke._transport.template import Template


class Outgoing(Protocol):
    """A signed request. Its `repr` shows nothing of it."""

    @property
    def method(self) -> str:
        """The HTTP method."""
        ...

    @property
    def url(self) -> str:
        """The whole URL."""
        ...

    @property
    def payload(self) -> bytes:
        """The body."""
        ...

    def headers(self) -> dict[str, str]:
        """Return the headers, to be changed at will."""
        ...

    def head(self) -> bytes:
        """Return everything that goes before the body, as bytes."""
        ...


class Filled:
    """A template, filled in."""

    __slots__ = ("_moment", "_parameters", "_template", "payload")

    def __init__(
        self, template: Template, moment: Moment, parameters: InvokeParameters, payload: bytes
    ) -> None:
        self._template = template
        self._moment = moment
        self._parameters = parameters
        self.payload = payload

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self._template.method

    @property
    def url(self) -> str:
        """The whole URL."""
        return self._template.url

    def headers(self) -> dict[str, str]:
        """Return the headers, to be changed at will."""
        return self._template.headers(self._moment, self.payload, self._parameters)

    def head(self) -> bytes:
        """Return everything that goes before the body, as bytes."""
        return self._template.head(self._moment, self.payload, self._parameters)
