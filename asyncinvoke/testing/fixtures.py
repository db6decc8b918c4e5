"""The implementation of the pytest fixtures; separate, so that pytest starts without importing it."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from asyncinvoke._invoker import Invoker
from asyncinvoke.local.server import LocalLambda
from asyncinvoke.testing.waits import InstantClock

_NO_RUNNER = (
    "the fixture 'invoker' is for async tests that anyio's plugin (@pytest.mark.anyio), "
    "pytest-asyncio from 0.26 (@pytest.mark.asyncio) or pytest-trio (@pytest.mark.trio) runs; "
    "a sync test can use 'local_lambda'"
)


@contextmanager
def serve(**options: Any) -> Iterator[LocalLambda]:
    """Serve an endpoint from a thread, so that it also works for sync tests."""
    endpoint = LocalLambda(**{"settling_time": 0.01, "keep_requests": 100_000, **options})
    with (
        start_blocking_portal("asyncio", name="asyncinvoke-local-lambda") as portal,
        portal.wrap_async_context_manager(endpoint) as local,
    ):
        yield local


def change_environment(local: LocalLambda, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Replace the AWS settings of the environment; return the variables that were set."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    # A proxy could not reach a server on loopback.
    others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    direct = ",".join(filter(None, [others, "127.0.0.1"]))
    variables = {
        "AWS_ENDPOINT_URL_LAMBDA": local.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",  # the endpoint verifies no signatures
        "AWS_DEFAULT_REGION": local.region_name,
        "AWS_REGION": local.region_name,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "no_proxy": direct,
        "NO_PROXY": direct,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def sealed_session() -> Any:  # aiobotocore has no types that every checker can see
    """Return a session for an endpoint that verifies no signatures.

    Its clients ignore `AWS_*` variables and AWS configuration files.
    """
    from aiobotocore.session import AioSession

    defaults = {
        name: (None, None, default, convert)
        for name, (_, _, default, convert) in AioSession.SESSION_VARIABLES.items()
    }
    for name in ("config_file", "credentials_file"):
        defaults[name] = (None, None, os.devnull, None)
    session = AioSession(session_vars=defaults)
    session.set_credentials("testing", "testing")
    return session


@asynccontextmanager
async def invoker_on(
    local: LocalLambda, session: object, options: Mapping[str, Any]
) -> AsyncIterator[Invoker]:
    """Open an invoker on an endpoint, ignoring the machine's settings."""
    # aiobotocore is slow to import, and this module is also used without an invoker.
    from aiobotocore.config import AioConfig

    direct = AioConfig(proxies={})  # a proxy could not reach a server on loopback
    config = options.get("config")
    defaults = {
        "session": session,
        "region_name": local.region_name,
        "endpoint_url": local.url,
        "clock": InstantClock(),
    }
    given = {**defaults, **options, "config": direct if config is None else direct.merge(config)}
    async with Invoker(**given) as invoker:
        yield invoker


def name_of_opened_invoker(request: pytest.FixtureRequest, *, with_pytest_asyncio: bool) -> str:
    """Return the name of the fixture that opens an invoker in the event loop of a test."""
    marker = request.node.get_closest_marker("asyncio")
    if marker is not None and with_pytest_asyncio:
        by_default = request.config.getini("asyncio_default_test_loop_scope")
        return f"_asyncinvoke_on_{marker.kwargs.get('loop_scope') or by_default}_loop"
    plugins = request.config.pluginmanager
    on_trio = plugins.hasplugin("trio") and request.node.get_closest_marker("trio")
    if on_trio or "anyio_backend" in request.fixturenames:
        return "_asyncinvoke_on_anyio_or_trio"
    pytest.fail(_NO_RUNNER, pytrace=False)
