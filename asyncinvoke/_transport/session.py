"""Opens clients and transports, and validates a caller's client, whose own retries must be off."""

import contextlib
import logging
import os
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, Literal, TypeAlias
from urllib.request import getproxies

from aiobotocore.client import AioBaseClient
from aiobotocore.config import AioConfig
from aiobotocore.httpxsession import is_httpx_session_cls
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore import exceptions as botocore_errors
from botocore.client import BaseClient
from botocore.config import Config

from asyncinvoke._request.numbers import is_whole, whole
from asyncinvoke._request.target import show_value
from asyncinvoke._transport.base import ClosingTransport
from asyncinvoke._transport.client import ClientTransport
from asyncinvoke._transport.credential_sources import find_credentials
from asyncinvoke._transport.direct import DirectTransport
from asyncinvoke._transport.foreign_errors import described, shown
from asyncinvoke._transport.http_sessions import KeepaliveAiohttpSession, KeepaliveHttpxSession
from asyncinvoke._transport.process import on_asyncio
from asyncinvoke._transport.senders import AiohttpSender
from asyncinvoke._transport.set_up import (
    check_client,
    check_config,
    check_region,
    key_log_flaw,
    tls_flaw,
)
from asyncinvoke._transport.set_up_urls import (
    check_configured_endpoint,
    check_proxies,
    endpoints_are_ignored,
)
from asyncinvoke.errors import ConfigurationError

_logger = logging.getLogger("asyncinvoke")

TransportName: TypeAlias = Literal["direct", "client"]
"""`direct` sends the requests of aiobotocore from templates; `client` calls aiobotocore each time."""

READ_TIMEOUT = 960.0
"""The maximum silence on a connection, in seconds; Lambda functions run for at most 900 s."""


@contextlib.asynccontextmanager
async def open_client(
    *,
    session: Any,
    region_name: str | None,
    endpoint_url: str | None,
    config: Any,
    max_pool_connections: int,
) -> AsyncIterator[Any]:
    """Open a client whose settings are resolved by botocore, with retries disabled.

    Raises:
        ConfigurationError: There is no region, no credentials or no such profile, or the endpoint
            or `config` is invalid.
    """
    check_region(region_name)
    if config is not None:
        check_config(config)
    check_configured_endpoint(endpoint_url, ignored=True)
    session = as_session(session)
    try:
        merged = _merge(config, max_pool_connections, session.get_default_client_config())
    except botocore_errors.ParamValidationError as error:  # connector_args that httpx does not have
        raise ConfigurationError(" ".join(str(error).split())) from shown(error)
    async with contextlib.AsyncExitStack() as stack:
        try:
            if endpoint_url is None:
                check_configured_endpoint(None, ignored=endpoints_are_ignored(session, merged))
            if merged.signature_version is not UNSIGNED:
                await find_credentials(session, region_name or merged.region_name)
            opening = session.create_client(
                "lambda", region_name=region_name, endpoint_url=endpoint_url, config=merged
            )
            client = await stack.enter_async_context(opening)
            check_client(client)
            await open_connector(client)
        except ConfigurationError:
            raise
        except botocore_errors.NoRegionError:
            raise ConfigurationError(
                "no region is known: set AWS_DEFAULT_REGION (botocore does not read AWS_REGION), "
                "or give one (region_name, --region)"
            ) from None
        except Exception as error:  # noqa: BLE001  # a setting of a wrong type may raise anything
            raise ConfigurationError(_what_is_wrong(error, session, merged)) from shown(error)
        yield client


def as_session(given: Any) -> AioSession:
    """Return the session that was given, or a new one.

    Raises:
        ConfigurationError: It is not an aiobotocore session, or an extra is not installed.
    """
    if given is None:
        session = AioSession()
        if not on_asyncio():
            # Clients that fetch credentials must not require asyncio either.
            session.set_default_client_config(AioConfig(**_http_session(None)))
        return session
    if not isinstance(given, AioSession):
        raise ConfigurationError(
            f"session must be an aiobotocore AioSession, not {type(given).__name__}"
        )
    return given


async def open_connector(client: Any) -> None:
    """Load the certificates of a client's aiohttp session now, not at the first call.

    Raises:
        ConfigurationError: A certificate or key cannot be used.
    """
    http_session: Any = getattr(getattr(client, "_endpoint", None), "http_session", None)
    if not AiohttpSender.reachable(http_session):
        return
    proxy = http_session._proxy_config.proxy_url_for(client.meta.endpoint_url)  # noqa: SLF001
    try:
        await http_session._get_session(proxy)  # noqa: SLF001
    except (botocore_errors.BotoCoreError, OSError, ValueError) as error:
        flaw = tls_flaw(
            verify=http_session._verify,  # noqa: SLF001
            client_cert=client.meta.config.client_cert,
            proxies_config=client.meta.config.proxies_config,
        )
        if flaw is None and type(error) is ValueError:  # connector_args that exclude each other
            flaw = f"no connection can be made as configured: {error}"
        raise ConfigurationError(flaw or key_log_flaw(error) or described(error)) from shown(error)


def _what_is_wrong(error: Exception, session: AioSession, config: AioConfig) -> str:
    if (flaw := key_log_flaw(error)) is not None:
        return flaw
    if not isinstance(error, OSError):
        try:
            check_proxies(getproxies() if config.proxies is None else config.proxies)
        except ConfigurationError as flawed:
            return str(flawed)
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return " ".join(str(error).split())
    if isinstance(error, OSError | botocore_errors.InvalidProxiesConfigError):
        flaw = tls_flaw(
            verify=session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE"),
            client_cert=config.client_cert,
            proxies_config=config.proxies_config,
        )
        if flaw is not None:
            return flaw
    if isinstance(error, botocore_errors.BotoCoreError):
        return " ".join(str(error).split())
    wrong = described(error)
    return wrong if isinstance(error, OSError) else f"no client can be made as configured: {wrong}"


def pool_size(client: Any) -> int:
    """Return the maximum number of connections of a caller's own client.

    Raises:
        ConfigurationError: It is not a Lambda client, its retries are enabled, or its configuration
            is invalid.
    """
    if isinstance(client, BaseClient) and not isinstance(client, AioBaseClient):
        raise ConfigurationError(
            "client is one of boto3, which cannot be awaited: let the invoker open its own, or give "
            "one of aiobotocore"
        )
    try:
        service = client.meta.service_model.service_name
        config = client.meta.config
    except AttributeError as error:
        raise ConfigurationError(
            f"client must be an open aiobotocore client, not {type(client).__name__}"
        ) from error
    if service != "lambda":
        raise ConfigurationError(f"client is one for {service!r}, not for 'lambda'")
    attempts = (config.retries or {}).get("total_max_attempts")
    if attempts != 1:
        raise ConfigurationError(
            "client has retries of its own, which would deliver a call more often than its result "
            "says: create it with config=AioConfig(retries={'total_max_attempts': 1})"
        )
    check_client(client)
    return int(config.max_pool_connections)


def asked_pool_size(config: object) -> int | None:
    """Return the `max_pool_connections` of a config; `None` if it is not set explicitly.

    Raises:
        ConfigurationError: It is not a whole number of at least 1.
    """
    if not isinstance(config, Config):
        return None  # refused when the client is opened
    # The attribute `max_pool_connections` does not tell a default from a value that was set.
    size = getattr(config, "_user_provided_options", {}).get("max_pool_connections")
    if size is None:
        return None
    if not is_whole(size, 1):
        raise ConfigurationError(
            f"max_pool_connections {show_value(size)} must be {whole(size, 1)}"
        )
    return int(size)


def _merge(config: Any, max_pool_connections: int, usual: Any = None) -> AioConfig:
    if usual is not None:  # the session's own, which `config` overrides
        config = usual if config is None else usual.merge(config)
    retries = getattr(config, "retries", None) or {}
    attempts = retries.get("total_max_attempts", retries.get("max_attempts", 0) + 1)
    if attempts != 1:
        raise ConfigurationError(
            f"config asks for retries {retries!r}, which are the invoker's: use retry=RetryPolicy()"
        )
    defaults = AioConfig(
        read_timeout=READ_TIMEOUT,
        tcp_keepalive=True,
        **_http_session(config),
    )
    merged = defaults if config is None else defaults.merge(config)
    return merged.merge(
        AioConfig(
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=max_pool_connections,
        )
    )


def _http_session(config: Any) -> dict[str, Any]:
    if on_asyncio() and not is_httpx_session_cls(getattr(config, "http_session_cls", None)):
        return {"http_session_cls": KeepaliveAiohttpSession}
    try:
        import_module("httpx2")
    except ImportError as error:
        raise ConfigurationError(
            "outside asyncio, aiobotocore needs httpx2: pip install 'asyncinvoke[trio]'"
        ) from error
    return {"http_session_cls": KeepaliveHttpxSession}


async def open_transport(client: Any, name: TransportName) -> ClosingTransport:
    """Load the certificates of an open client, and return its transport.

    Raises:
        ConfigurationError: A certificate of the client cannot be read.
    """
    await open_connector(client)
    return choose_transport(client, name)


def choose_transport(client: Any, name: TransportName) -> ClosingTransport:
    """Return the named transport for an open client; the reference transport if it is not available."""
    if name == "direct":
        try:
            return DirectTransport(client)
        except AttributeError as missing:
            _logger.debug("using aiobotocore's own invoke, not the direct transport: %s", missing)
    return ClientTransport(client)
