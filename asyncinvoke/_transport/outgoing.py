"""One request as it leaves: what the ways over the wire take, and nothing that shows it."""

import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

_LINE_ENDS = re.compile(r"[\r\n\x00]")
_IN_AN_URL = re.compile(r"[!-~]+")


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
        """Return the headers, to be changed at will, for an HTTP library that adds `Host`."""
        ...

    def head(self) -> bytes:
        """Return everything that goes before the body, as bytes."""
        ...


def origin_of(url: str) -> str:
    """Return scheme, host and port of an URL."""
    return "/".join(url.split("/", 3)[:3])


def first_lines(method: str, url: str, host: str, headers: Mapping[str, str]) -> str | None:
    """Return the lines of a head as aiohttp would write them, without the empty one at the end.

    Returns:
        `None` where the URL or a header would make something else of them.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Host": host, "Accept": "*/*", **headers, "Accept-Encoding": "identity"}
    if not _IN_AN_URL.fullmatch(target) or any(map(_LINE_ENDS.search, headers.values())):
        return None
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, ""])
