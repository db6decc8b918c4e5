"""The pytest plugin: fixtures available once asyncinvoke is installed, at no cost while unused.

pytest imports this module at every start, so it imports nothing else then. For the same reason, the
parent packages import their names on first use.
"""

import importlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    from asyncinvoke._invoker import Invoker
    from asyncinvoke.local.server import LocalLambda
    from asyncinvoke.testing.strictness import Strictness
    from asyncinvoke.testing.waits import NoWaits

_ON_PYTEST_ASYNCIO = "asyncinvoke-on-pytest-asyncio"
_Opening: TypeAlias = "Callable[[], AbstractAsyncContextManager[Invoker]]"


def pytest_configure(config: pytest.Config) -> None:
    """Register the fixtures for pytest-asyncio if it is in use."""
    if not config.pluginmanager.hasplugin("asyncio"):
        return
    try:
        config.getini("asyncio_default_test_loop_scope")
    except ValueError:  # versions before 0.26 cannot run them
        return
    # `from asyncinvoke.testing import ...` would look up a lazy name of the package first.
    fixtures = importlib.import_module("asyncinvoke.testing.on_pytest_asyncio")
    config.pluginmanager.register(fixtures, _ON_PYTEST_ASYNCIO)


@pytest.fixture
def local_lambda_options() -> dict[str, Any]:
    """Options of `local_lambda`; override it to set options such as `account_concurrency`."""
    return {}


@pytest.fixture
def local_lambda_strictness() -> "Strictness | None":
    """Checks of `local_lambda` at the end of a test; override it to return a `Strictness`."""
    return None


@pytest.fixture
def local_lambda(
    local_lambda_options: dict[str, Any], local_lambda_strictness: "Strictness | None"
) -> "Iterator[LocalLambda]":
    """Serve a `LocalLambda` from its own thread, for sync and async tests."""
    from asyncinvoke.testing.fixtures import serve

    with serve(**local_lambda_options) as local:
        yield local
    violations = local_lambda_strictness and local_lambda_strictness.violations(local)
    if violations:
        pytest.fail("local_lambda: " + "; ".join(violations), pytrace=False)


@pytest.fixture
def lambda_environment(
    local_lambda: "LocalLambda", monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Point every AWS client created during the test, also in child processes, at `local_lambda`.

    All other `AWS_*` variables are removed until the test ends. Return the variables that were set.
    """
    from asyncinvoke.testing.fixtures import change_environment

    return change_environment(local_lambda, monkeypatch)


@pytest.fixture
def no_waits() -> "Iterator[NoWaits]":
    """Skip and record the waits of every invoker that is opened during the test."""
    from asyncinvoke.testing.waits import no_waits

    with no_waits() as waits:
        yield waits


@pytest.fixture
def invoker_options() -> dict[str, Any]:
    """Options of `invoker`; override it to set options such as `retry` or `limit`."""
    return {}


@pytest.fixture
def invoker(request: pytest.FixtureRequest) -> "Invoker":
    """Return an open `Invoker` on `local_lambda` that makes real attempts but skips waits.

    It ignores the machine's AWS settings. It is opened and closed in the event loop of the test, by
    the plugin that runs it: anyio's on asyncio or trio, pytest-asyncio, or pytest-trio.
    """
    from asyncinvoke.testing.fixtures import name_of_opened_invoker

    with_asyncio = request.config.pluginmanager.hasplugin(_ON_PYTEST_ASYNCIO)
    name = name_of_opened_invoker(request, with_pytest_asyncio=with_asyncio)
    opened: Invoker = request.getfixturevalue(name)
    return opened


@pytest.fixture(scope="session")
def _asyncinvoke_session() -> object:
    from asyncinvoke.testing.fixtures import sealed_session

    return sealed_session()


@pytest.fixture
def _asyncinvoke_opening(
    local_lambda: "LocalLambda", invoker_options: dict[str, Any], _asyncinvoke_session: object
) -> _Opening:
    from asyncinvoke.testing.fixtures import invoker_on

    return lambda: invoker_on(local_lambda, _asyncinvoke_session, invoker_options)


@pytest.fixture
async def _asyncinvoke_on_anyio_or_trio(_asyncinvoke_opening: _Opening) -> "AsyncIterator[Invoker]":
    async with _asyncinvoke_opening() as invoker:
        yield invoker
