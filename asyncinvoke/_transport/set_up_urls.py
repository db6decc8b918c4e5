"""Validates the URLs of endpoints and proxies."""

import ipaddress
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from asyncinvoke._transport.process import on_asyncio
from asyncinvoke.errors import ConfigurationError


def bare_url(url: str) -> str:
    """Return a URL without its user and password."""
    return re.sub(r"//[^/?#]*@", "//...@", url)


def check_endpoint(url: object, setting: str) -> None:
    """Validate the URL of an endpoint.

    Args:
        url: The URL.
        setting: The setting or environment variable that it comes from.

    Raises:
        ConfigurationError: No request could be sent to it.
    """
    flaw = _url_flaw(url)
    if flaw is None and isinstance(url, str):
        if not url.isascii():
            flaw = "has a character that is not ASCII; in a path that is written as %C3%BC, for one"
        elif "#" in url:
            # botocore appends the qualifier to it, and no HTTP library sends what follows a "#".
            flaw = "has a fragment (#), and the version or alias of a call would be part of it"
    _refuse(url, setting, flaw)


def check_configured_endpoint(endpoint_url: object, *, ignored: bool = False) -> None:
    """Validate the endpoint URL that botocore will use.

    Args:
        endpoint_url: The argument, if any; by default the environment variables apply.
        ignored: Whether botocore ignores endpoint URLs in files and the environment.

    Raises:
        ConfigurationError: No request could be sent to it.
    """
    if endpoint_url is not None:
        return check_endpoint(endpoint_url, "endpoint_url")
    for name in ("AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL"):
        if os.environ.get(name) and not ignored:
            return check_endpoint(os.environ[name], name)
    return None


def endpoints_are_ignored(session: Any, config: Any) -> bool:
    """Return whether botocore ignores endpoint URLs in files and the environment."""
    said = getattr(config, "ignore_configured_endpoint_urls", None)
    if said is None:
        said = session.get_config_variable("ignore_configured_endpoint_urls")
    return bool(said)


def check_proxies(proxies: object) -> None:
    """Validate the URLs of proxies, by the scheme of the requests that use them.

    Raises:
        ConfigurationError: A proxy cannot be used; its user and password are not shown.
    """
    if proxies is not None and not isinstance(proxies, Mapping):
        raise ConfigurationError(f"proxies must be a dict, not {type(proxies).__name__}")
    for scheme in ("http", "https"):
        url = (proxies or {}).get(scheme)
        if isinstance(url, str) and url:
            check_proxy(url, scheme)


def check_proxy(url: str, scheme: str) -> None:
    """Validate the URL of a proxy.

    Raises:
        ConfigurationError: The proxy cannot be used.
    """
    # As in botocore, the scheme defaults to HTTP.
    whole = f"http:{url}" if url.startswith("//") else url if "://" in url else f"http://{url}"
    flaw = _url_flaw(whole)
    if flaw is None:
        parts = urlsplit(whole)
        said = unquote(f"{parts.username or ''}{parts.password or ''}")
        # aiohttp makes the header itself; for httpx botocore does.
        name, most = ("Latin-1", 0xFF) if on_asyncio() else ("ASCII", 0x7F)
        if any(ord(character) > most for character in said):
            flaw = f"has a user or a password that the header of a proxy cannot carry ({name})"
    _refuse(whole, f"proxy for {scheme}", flaw)


def _refuse(url: object, setting: str, flaw: str | None) -> None:
    if not isinstance(url, str):
        raise ConfigurationError(f"{setting} must be a URL, not {type(url).__name__}")
    if flaw is not None:
        # Without a scheme, or with a "/" in the password, it does not end where that of a URL does.
        shown = re.sub(r"^(\w[\w+.-]*:/+|/*).*@", r"\1...@", url, flags=re.DOTALL)
        raise ConfigurationError(f"{setting} {shown!r} {flaw}")


def _url_flaw(url: object) -> str | None:
    if not isinstance(url, str):
        return None  # `_refuse` names its type
    if " " in url:
        return "has a space in it; in a URL that is %20"
    if re.search(r"[\x00-\x1f\x7f]", url):
        return "has a control character in it"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        # The rest quotes the host or the port, which is where a password with a "/" begins.
        why = re.match(r"Invalid IPv6 URL|Port [a-z ]+(?= as )|Port out of range", str(error))
        return f"is not a URL: {why[0]}" if why else "is not a URL"
    if parts.scheme not in ("http", "https"):
        return "must begin with http:// or https://"
    if not parts.hostname:
        return "names no host"
    if port == 0:
        return "has port 0"
    return _host_flaw(parts.hostname)


def _host_flaw(host: str) -> str | None:
    try:
        if re.fullmatch(r"[0-9.]+", host):
            ipaddress.IPv4Address(host)
        elif ":" not in host:
            host.encode("idna")
    except ValueError:  # UnicodeError is one
        return "names a host that there cannot be"
    return None
