"""Opening an aiobotocore client for Lambda, set up so that the invoker owns the retries."""

import contextlib
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

import anyio
from aiobotocore.config import AioConfig
from aiobotocore.httpxsession import is_httpx_session_cls
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore import exceptions as botocore_errors

from asyncinvoke._transport.http_sessions import KeepaliveAiohttpSession, KeepaliveHttpxSession
from asyncinvoke.errors import ConfigurationError

READ_TIMEOUT = 960.0
"""Longest silence of a connection, in seconds: more than Lambda's longest run of 900 s."""


@contextlib.asynccontextmanager
async def open_client(
    *,
    session: Any,
    region_name: str | None,
    endpoint_url: str | None,
    config: Any,
    max_pool_connections: int,
) -> AsyncIterator[Any]:
    """Open a client with everything resolved as botocore resolves it, but the retries off.

    Raises:
        ConfigurationError: There is no region, no credentials, or no such profile, or the
            endpoint or `config` cannot be used.
    """
    if region_name == "":
        raise ConfigurationError("region_name is empty")
    session = AioSession() if session is None else session
    if not isinstance(session, AioSession):
        raise ConfigurationError(
            f"session must be an aiobotocore AioSession, not {type(session).__name__}"
        )
    merged = _merge(config, max_pool_connections)
    try:
        signed = merged.signature_version is not UNSIGNED
        if signed and await session.get_credentials() is None:
            raise ConfigurationError(
                "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "AWS_PROFILE, or any other source that botocore reads"
            )
        opening = session.create_client(
            "lambda", region_name=region_name, endpoint_url=endpoint_url, config=merged
        )
        client = await opening.__aenter__()
    except botocore_errors.NoRegionError as error:
        raise ConfigurationError(
            "no region is known: set AWS_DEFAULT_REGION, or give one (region_name, --region)"
        ) from error
    except (botocore_errors.BotoCoreError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(str(error)) from error
    try:
        yield client
    finally:
        await opening.__aexit__(None, None, None)


def pool_size(client: Any) -> int:
    """Return how many connections a caller's own client can have in use.

    Raises:
        ConfigurationError: It is no Lambda client, or its own retries are on.
    """
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
    return int(config.max_pool_connections)


def _merge(config: Any, max_pool_connections: int) -> AioConfig:
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
    on_asyncio = anyio.get_cancelled_exc_class().__module__.startswith("asyncio")
    if on_asyncio and not is_httpx_session_cls(getattr(config, "http_session_cls", None)):
        return {"http_session_cls": KeepaliveAiohttpSession}
    try:
        import_module("httpx2")
    except ImportError as error:
        raise ConfigurationError(
            "outside asyncio, aiobotocore needs httpx2: pip install 'asyncinvoke[trio]'"
        ) from error
    return {"http_session_cls": KeepaliveHttpxSession}
