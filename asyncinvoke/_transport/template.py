"""Requests as bytes: the lines of a head, and a template with holes for the values of one call."""

import os
import re
from collections.abc import Callable, Mapping
from copy import copy
from typing import Protocol
from urllib.parse import urlsplit

from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._telemetry.trace import IN_LAMBDA, TRACE, of_this_run
from asyncinvoke._transport.sigv4 import Moment, Signer

TRACE_ID = "X-Amzn-Trace-Id"
"""The header that carries the trace ID to the function."""


class UnsuitableError(Exception):
    """The client changes its requests in a way that a template cannot reproduce."""


class Template:
    """One kind of request, without the values that differ between calls.

    Args:
        method: The HTTP method.
        url: The whole URL.
        host: The value of the `Host` header, as it is signed.
        headers: The headers that all requests of this kind have in common.
        holes: The headers whose values belong to one call: their names, and the parameters.
        signer: Signs requests of this kind.

    Raises:
        UnsuitableError: The URL or a header is not valid in the head of a request.
    """

    __slots__ = (
        "_begin",
        "_fixed",
        "_headers",
        "_holes",
        "_in_lambda",
        "_moment",
        "_signer",
        "method",
        "origin",
        "url",
    )

    def __init__(
        self,
        *,
        method: str,
        url: str,
        host: str,
        headers: dict[str, str],
        holes: tuple[tuple[str, str], ...],
        signer: Signer,
    ) -> None:
        self.method = method
        self.url = url
        self.origin = origin_of(url)
        self._headers = headers
        self._holes = holes
        self._signer = signer
        fixed = first_lines(method, url, host, headers)
        if fixed is None:
            raise UnsuitableError("its URL or a header cannot be written as it is")
        self._fixed = fixed
        self._moment: Moment | None = None
        self._begin = b""
        # In Lambda, botocore passes on the current trace ID. The header is never signed: botocore
        # excludes it from signatures.
        self._in_lambda = IN_LAMBDA in os.environ

    def with_texts(
        self, *, url: Callable[[str], str], canonical: Callable[[str], str]
    ) -> "Template":
        """Return a template with a different path and query.

        Args:
            url: Maps a text that contains the URL.
            canonical: Maps the canonical request, in which the path is encoded twice.
        """
        other = copy(self)
        other.url = url(self.url)
        other._fixed = url(self._fixed)  # noqa: SLF001
        other._signer = self._signer.with_canonical(canonical)  # noqa: SLF001
        other._moment = None  # noqa: SLF001
        return other

    def equals(self, other: "Template") -> bool:
        """Return whether both produce the same requests."""
        return self._what_it_makes() == other._what_it_makes()  # noqa: SLF001

    def _what_it_makes(self) -> tuple[object, ...]:
        signs = self._signer.signs
        return (self.method, self.url, self.origin, self._fixed, self._headers, self._holes, signs)

    def head(self, moment: Moment, payload: bytes, parameters: InvokeParameters) -> bytes:
        """Return the head of a request that is sent now: everything before the payload."""
        if self._moment is not moment:
            # Most of the head is equal for all requests of a second.
            self._begin = self._up_to_the_signature(moment)
            self._moment = moment
        values: list[str] = []
        own = ""
        for name, source in self._holes:
            value = getattr(parameters, source)
            values.append(value)
            own += f"{name}: {value}\r\n"
        trace = TRACE.get()
        if trace is None and self._in_lambda:
            trace = of_this_run()
        if trace:
            own += f"{TRACE_ID}: {trace}\r\n"
        signature = self._signer.signature(moment, payload, values)
        return (
            self._begin
            + (
                f"{signature}\r\namz-sdk-invocation-id: {moment.new_id()}\r\n"
                f"Content-Length: {len(payload)}\r\n{own}\r\n"
            ).encode()
        )

    def headers(
        self, moment: Moment, payload: bytes, parameters: InvokeParameters
    ) -> dict[str, str]:
        """Return the headers, for an HTTP library that adds `Host` and others itself."""
        values = [getattr(parameters, source) for _, source in self._holes]
        headers = self._headers | {"X-Amz-Date": moment.timestamp}
        if moment.token is not None:
            headers["X-Amz-Security-Token"] = moment.token
        signature = self._signer.signature(moment, payload, values)
        headers["Authorization"] = self._signer.prefix(moment) + signature
        headers["amz-sdk-invocation-id"] = moment.new_id()
        headers["Content-Length"] = str(len(payload))
        headers.update(zip((name for name, _ in self._holes), values, strict=True))
        trace = TRACE.get()
        if trace is None and self._in_lambda:
            trace = of_this_run()
        if trace:
            headers[TRACE_ID] = trace
        return headers

    def _up_to_the_signature(self, moment: Moment) -> bytes:
        token = moment.token
        dated = f"X-Amz-Date: {moment.timestamp}\r\n"
        tokened = "" if token is None else f"X-Amz-Security-Token: {token}\r\n"
        return (
            f"{self._fixed}{dated}{tokened}Authorization: {self._signer.prefix(moment)}"
        ).encode()


class Filled:
    """A template with the values of one call; an `Outgoing`."""

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
        """Return the headers, for an HTTP library that adds `Host` and others itself."""
        return self._template.headers(self._moment, self.payload, self._parameters)

    def head(self) -> bytes:
        """Return the head of the request: everything before the body."""
        return self._template.head(self._moment, self.payload, self._parameters)


_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE_ENDS = re.compile(r"[\r\n\x00]")
_IN_AN_URL = re.compile(r"[!-~]+")


class Outgoing(Protocol):
    """A signed request; its `repr` shows nothing."""

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
        """Return the headers, which the caller may change, for a library that adds `Host`."""
        ...

    def head(self) -> bytes:
        """Return the head of the request: everything before the body."""
        ...


def origin_of(url: str) -> str:
    """Return the scheme, host and port of a URL."""
    return "/".join(url.split("/", 3)[:3])


def first_lines(method: str, url: str, host: str, headers: Mapping[str, str]) -> str | None:
    """Return the lines of a head as aiohttp would write them, without the empty line.

    Returns:
        The lines; `None` if the URL or a header contains invalid characters, or a header occurs
        twice.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    given = {name.lower(): (name, value) for name, value in headers.items()}
    if len(given) < len(headers) or not all(map(_NAME.fullmatch, headers)):
        return None
    written = {
        "host": ("Host", host),
        "accept": ("Accept", "*/*"),
        **given,
        "accept-encoding": ("Accept-Encoding", "identity"),
    }
    if not _IN_AN_URL.fullmatch(target) or any(_LINE_ENDS.search(v) for _, v in written.values()):
        return None
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in written.values()]
    return "\r\n".join([*lines, ""])
