"""Validates a client's configuration; each error names the setting or the path."""

import math
import os
import re
import ssl
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from botocore import UNSIGNED
from botocore.auth import AUTH_TYPE_MAPS
from botocore.config import Config

from asyncinvoke._request.target import show_value
from asyncinvoke._transport.set_up_urls import check_endpoint, check_proxies, check_proxy
from asyncinvoke._transport.sigv4 import FrozenCredentials
from asyncinvoke.errors import ConfigurationError

_ENVIRONMENT = {
    "access_key": "AWS_ACCESS_KEY_ID",
    "secret_key": "AWS_SECRET_ACCESS_KEY",
    "token": "AWS_SESSION_TOKEN",
}

_WORDS = {
    "access_key": "access key id",
    "secret_key": "secret access key",
    "token": "session token",
}

_FLAWS = {
    r"[\r\n]": "a line break",
    r" ": "a space",
    r"[\x00-\x1f\x7f]": "a control character",
    r"[^\x00-\x7f]": "a character that is not ASCII",
}
_FLAWS_OF_KEYS = (r" ", r"[^\x00-\x7f]")
"""The characters that are allowed in header values, but not in keys."""


def credentials_flaw(credentials: FrozenCredentials, method: object) -> str | None:
    """Return why credentials cannot be used; `None` if they can. Their values are never shown.

    Args:
        credentials: The credentials.
        method: Where they come from, as botocore names it.
    """
    for name, words in _WORDS.items():
        flaw = _flaw(getattr(credentials, name), is_needed=name != "token")
        if flaw is not None:
            return f"the {words} {flaw} ({_place(_ENVIRONMENT[name], method)})"
    return None


def expiry_flaw(source: object) -> str | None:
    """Return why the expiry of refreshable credentials cannot be used; `None` if it can.

    botocore compares it with a time that has a time zone, and so fails whenever it is asked.
    """
    expiry = getattr(source, "_expiry_time", None)
    if not isinstance(expiry, datetime) or expiry.utcoffset() is not None:
        return None
    place = _place("AWS_CREDENTIAL_EXPIRATION", getattr(source, "method", None))
    return f"the expiration has no time zone ({place})"


def _place(variable: str, method: object) -> str:
    return variable if method == "env" else f"credentials from {method}"


def _flaw(value: object, *, is_needed: bool) -> str | None:
    if not value:
        return "is missing" if is_needed else None
    if not isinstance(value, str):
        return f"is not a string, but {type(value).__name__}"
    for pattern, flaw in _FLAWS.items():
        if re.search(pattern, value):
            return f"has {flaw} in it"
    return None


def check_region(region_name: object) -> None:
    """Validate the name of a region, which becomes part of a host name.

    Raises:
        ConfigurationError: The name is invalid.
    """
    if region_name is None:
        return
    if not isinstance(region_name, str):
        raise ConfigurationError(f"region_name must be a string, not {type(region_name).__name__}")
    flaw = _flaw(region_name, is_needed=True) if region_name else "is empty"
    if flaw is not None:
        raise ConfigurationError(f"region_name {flaw}")


def check_config(config: object) -> None:
    """Validate the settings of a client's configuration that botocore does not validate.

    Raises:
        ConfigurationError: It is not an `AioConfig`, or every request would fail; the message names
            the setting, but no proxy password.
    """
    if not isinstance(config, Config):
        raise ConfigurationError(f"config must be an AioConfig, not {type(config).__name__}")
    for name in ("connect_timeout", "read_timeout"):
        seconds = getattr(config, name)
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if seconds is not None and not (is_number and 0 < seconds < math.inf):
            raise ConfigurationError(
                f"{name} {show_value(seconds)} must be a number of seconds above 0, "
                "or None for no end"
            )
    for name in ("user_agent", "user_agent_extra"):
        flaw = _header_flaw(getattr(config, name))
        if flaw is not None:
            raise ConfigurationError(f"{name} {flaw}")
    _check_client_cert(config.client_cert)
    check_proxies(config.proxies)


def _check_client_cert(given: object) -> None:
    # aiobotocore accepts these two types, and silently ignores any other.
    kind = type(given).__name__
    if isinstance(given, tuple):
        if len(given) == 2 and all(isinstance(path, str) for path in given):
            return
        kind = f"a tuple of {len(given)}"
    elif isinstance(given, str | None):
        return
    raise ConfigurationError(
        "client_cert must be a path, or a tuple of two, that of the certificate and that of its key, "
        f"not {kind}"
    )


def _header_flaw(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        return f"is not a string, but {type(value).__name__}"
    for pattern in (*_FLAWS, "[\ud800-\udfff]"):
        if pattern not in _FLAWS_OF_KEYS and re.search(pattern, value):
            return f"has {_FLAWS.get(pattern, 'a surrogate')} in it"
    return None


_LAMBDAS = ("v4", "s3v4")
"""botocore's signature versions that Lambda accepts; `s3v4` signs the payload's hash as a header too."""


def check_client(client: Any) -> None:
    """Validate an open client before its first request.

    Raises:
        ConfigurationError: No request could be sent.
    """
    config = getattr(client.meta, "config", None)
    if isinstance(config, Config):  # a fake client may have none
        check_config(config)
    if hasattr(client.meta, "endpoint_url"):  # a fake client may have none
        check_endpoint(client.meta.endpoint_url, "endpoint_url")
        _check_proxy_to(client)
    signer: Any = getattr(client, "_request_signer", None)
    version = getattr(signer, "_signature_version", UNSIGNED)
    if version is UNSIGNED:
        return
    if version not in AUTH_TYPE_MAPS:
        raise ConfigurationError(f"signature_version {version!r} is unknown; Lambda takes 'v4'")
    # A custom signer registered with botocore may work.
    if version not in _LAMBDAS and AUTH_TYPE_MAPS[version].__module__.startswith("botocore."):
        raise ConfigurationError(f"signature_version {version!r} is not Lambda's; it takes 'v4'")
    credentials = signer._credentials  # noqa: SLF001
    if credentials is None:
        raise ConfigurationError("client has no credentials, and is not an unsigned one")
    flaw = expiry_flaw(credentials)
    # The keys of refreshable credentials are validated whenever they are refreshed.
    if not hasattr(credentials, "_expiry_time"):
        flaw = credentials_flaw(credentials, getattr(credentials, "method", None))
    if flaw is not None:
        raise ConfigurationError(flaw)


def _check_proxy_to(client: Any) -> None:
    """Validate the proxy for a client's endpoint, which usually comes from the environment."""
    session: Any = getattr(getattr(client, "_endpoint", None), "http_session", None)
    proxies = getattr(getattr(session, "_proxy_config", None), "_proxies", None) or {}
    scheme = urlsplit(client.meta.endpoint_url).scheme
    if proxies.get(scheme):
        check_proxy(proxies[scheme], scheme)


def key_log_flaw(error: BaseException) -> str | None:
    """Return what is wrong with `SSLKEYLOGFILE`, if that caused the error.

    Python opens that file for each TLS context, including those used to fetch credentials.
    """
    path = os.environ.get("SSLKEYLOGFILE")
    if path and isinstance(error, OSError) and error.filename == path:
        return f"SSLKEYLOGFILE {path!r} cannot be written: {error.strerror}"
    return None


def tls_flaw(*, verify: object, client_cert: object, proxies_config: object) -> str | None:
    """Return which file of the TLS settings cannot be used, and why; `None` if all can.

    Args:
        verify: Whether certificates are verified, or the path of a CA bundle.
        client_cert: The path of a client certificate, or a pair of paths: certificate and key.
        proxies_config: botocore's settings for proxies.
    """
    for name, path, key in _files(verify, client_cert, proxies_config):
        for each in filter(None, (path, key)):
            if not os.path.exists(each):
                return f"{name} {each!r} does not exist"
            if os.path.isdir(each):
                return f"{name} {each!r} is a directory"
        try:
            _load(name, path, key)
        except OSError as error:  # ssl.SSLError is one
            reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
            return f"{name} {path!r} cannot be used: {reason}"
    return None


_BUNDLE = "CA bundle (AWS_CA_BUNDLE, ca_bundle or REQUESTS_CA_BUNDLE)"


def _files(
    verify: object, client_cert: object, proxies_config: object
) -> Iterator[tuple[str, str, str | None]]:
    if isinstance(verify, str):
        yield _BUNDLE, verify, None
    proxy: dict[str, object] = proxies_config if isinstance(proxies_config, dict) else {}
    if isinstance(bundle := proxy.get("proxy_ca_bundle"), str):
        yield "proxy_ca_bundle", bundle, None
    for name, given in (
        ("client certificate", client_cert),
        ("proxy_client_cert", proxy.get("proxy_client_cert")),
    ):
        if isinstance(given, str):
            yield name, given, None
        elif isinstance(given, tuple | list) and len(given) == 2:
            yield name, str(given[0]), str(given[1])


def _load(name: str, path: str, key: str | None) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if name in (_BUNDLE, "proxy_ca_bundle"):
        context.load_verify_locations(path)
    else:
        context.load_cert_chain(path, key, password=_no_password)


def _no_password() -> str:
    # Otherwise OpenSSL prompts on the terminal.
    return ""
