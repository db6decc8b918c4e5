"""The settings resolved by botocore, each with its source; the values of keys are never included."""

import contextlib
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import anyio
from aiobotocore.session import AioSession
from botocore import exceptions as botocore_errors

from asyncinvoke._transport.credential_sources import NO_CREDENTIALS, find_credentials
from asyncinvoke._transport.foreign_errors import described
from asyncinvoke._transport.set_up import credentials_flaw, expiry_flaw, tls_flaw
from asyncinvoke._transport.set_up_urls import (
    bare_url,
    check_configured_endpoint,
    endpoints_are_ignored,
)
from asyncinvoke.errors import ConfigurationError

_METHODS = {
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "explicit": "the session that was given",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "AWS's config file",
    "boto-config": "boto's config file",
    "custom-process": "credential_process",
    "sso": "IAM Identity Center (sso)",
    "login": "aws login",
    "assume-role": "a role that is assumed",
    "assume-role-with-web-identity": "a role that is assumed with a web identity",
    "sts-assume-role": "a role that is assumed",
    "container-role": "the container's role",
    "iam-role": "the instance's role (metadata service)",
}
_NAMED_BY_A_PROFILE = {"shared-credentials-file", "config-file", "custom-process", "sso", "login"}
_NAMED_BY_A_PROFILE |= {"assume-role", "sts-assume-role"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A resolved setting."""

    value: str | None
    """The value; `None` if there is none."""

    source: str
    """Where the value comes from."""

    flaw: str | None = None
    """What is wrong with it, if anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCredentials:
    """Facts about credentials, without their values."""

    source: str | None
    """Where they come from; `None` if there are none."""

    is_temporary: bool = False
    """Whether they have a session token."""

    expires: datetime | None = None
    """When they expire, if known."""

    flaw: str | None = None
    """Why they cannot be used, if so."""

    have_come: bool = True
    """Whether their source has responded."""


def region(session: AioSession, given: str | None) -> Setting:
    """Return the region, as resolved by botocore."""
    if given is not None:
        return Setting(value=given or None, source="the arguments")
    try:
        value = session.get_config_variable("region")
    except botocore_errors.BotoCoreError as error:
        return Setting(value=None, source="AWS's config file", flaw=described(error))
    if os.environ.get("AWS_DEFAULT_REGION") == value and value:
        return Setting(value=value, source="AWS_DEFAULT_REGION")
    return Setting(value=value or None, source=_profile(session))


async def regions(session: AioSession) -> list[str]:
    """Return the regions in which botocore knows Lambda; newer regions work as well.

    They are empty if the profile, in which botocore looks for more data, cannot be read.
    """
    found: list[str] = []
    with contextlib.suppress(botocore_errors.BotoCoreError):
        for partition in session.get_available_partitions():
            found += await session.get_available_regions("lambda", partition)
    return found


def endpoint(session: AioSession, given: str | None, resolved: str | None) -> Setting:
    """Return the endpoint.

    Args:
        session: The session, with botocore's settings.
        given: The argument of the call, if any.
        resolved: The endpoint of botocore's client, if one could be created.
    """
    flaw, ignored = None, False
    try:
        ignored = endpoints_are_ignored(session, None)
        check_configured_endpoint(given, ignored=ignored)
    except botocore_errors.BotoCoreError as error:
        return Setting(value=None, source="AWS's config file", flaw=described(error))
    except ConfigurationError as error:
        flaw = str(error)
    if given is not None:
        return Setting(value=bare_url(given), source="the arguments", flaw=flaw)
    for name in ("AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL"):
        if os.environ.get(name) and not ignored:
            return Setting(value=bare_url(os.environ[name]), source=name, flaw=flaw)
    if resolved is None:
        return Setting(value=None, source="not known")
    host = urlsplit(resolved).hostname or ""
    is_theirs = host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))
    return Setting(
        value=bare_url(resolved),
        source="AWS, for the region" if is_theirs else _profile(session),
    )


def proxy(client: Any) -> Setting:
    """Return the proxy for the endpoint of an open client."""
    url = client.meta.endpoint_url
    http_session: Any = client._endpoint.http_session  # noqa: SLF001
    value = http_session._proxy_config.proxy_url_for(url)  # noqa: SLF001
    if client.meta.config.proxies is not None:
        source = "the client's config (proxies)"
    else:
        scheme = urlsplit(url).scheme
        names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
        variable = next((name for name in names if os.environ.get(name)), None)
        source = variable or "the environment"
        if value is None and variable is not None:
            source = f"{variable} is set, but no_proxy lets this host out"
    return Setting(value=None if value is None else bare_url(value), source=source)


def ca_bundle(session: AioSession, config: Any) -> Setting:
    """Return which certificates are trusted, and what is wrong with any file in the TLS settings."""
    value, source = None, "the certificates that come with botocore"
    found = None
    with contextlib.suppress(botocore_errors.BotoCoreError):  # of a profile that cannot be read
        found = session.get_config_variable("ca_bundle")
    if found:
        value = str(found)
        source = "AWS_CA_BUNDLE" if os.environ.get("AWS_CA_BUNDLE") == value else _profile(session)
    elif os.environ.get("REQUESTS_CA_BUNDLE"):
        value, source = os.environ["REQUESTS_CA_BUNDLE"], "REQUESTS_CA_BUNDLE"
    flaw = tls_flaw(
        verify=value,
        client_cert=getattr(config, "client_cert", None),
        proxies_config=getattr(config, "proxies_config", None),
    )
    return Setting(value=value, source=source, flaw=flaw)


async def credentials(
    session: AioSession, region_name: str | None = None, *, timeout: float
) -> FoundCredentials:
    """Find credentials, refresh them if they are refreshable, and describe them.

    Errors are returned as values. The credentials themselves are not kept.

    Args:
        session: The session, with botocore's settings.
        region_name: The region of the client, if it is known.
        timeout: The maximum time, in seconds, as a process or a service may never respond.
    """
    with anyio.move_on_after(timeout):
        return await _credentials(session, region_name)
    flaw = f"nothing within {timeout:g} s: what is to give them does not answer"
    return FoundCredentials(source=None, flaw=flaw, have_come=False)


async def _credentials(session: AioSession, region_name: str | None) -> FoundCredentials:
    try:
        found = await find_credentials(session, region_name)
    except ConfigurationError as error:
        said = str(error).removeprefix("credentials: ")
        return FoundCredentials(source=None, flaw=None if said == NO_CREDENTIALS else said)
    method = getattr(found, "method", None)
    source = _METHODS.get(str(method), str(method))
    if method in _NAMED_BY_A_PROFILE:
        source = f"{source}, profile {session.profile or 'default'!r}"
    flaw, is_temporary = None, False
    expires = getattr(found, "_expiry_time", None)
    try:
        frozen = await found.get_frozen_credentials()
        if frozen is None:
            flaw = "whatever gives them gave none"
        else:
            is_temporary = bool(frozen.token)
            flaw = credentials_flaw(frozen, method)
        expires = getattr(found, "_expiry_time", None)
        del frozen
    except Exception as error:  # noqa: BLE001  # STS, SSO, a file, a process: any error is possible
        # Only refreshable credentials can fail.
        flaw, is_temporary = f"they cannot be renewed: {described(error)}", True
    if (unreadable := expiry_flaw(found)) is not None:
        flaw, expires = unreadable, None
    return FoundCredentials(
        source=source,
        is_temporary=is_temporary,
        expires=expires if isinstance(expires, datetime) else None,
        flaw=flaw,
    )


def _profile(session: AioSession) -> str:
    name = getattr(session, "profile", None) or "default"
    return f"profile {name!r} in AWS's config files"
