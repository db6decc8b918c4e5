"""The pytest plugin: fixtures available once asyncinvoke is installed, at no cost while unused.

pytest imports this module at each of its starts, so it imports nothing else then. The packages
above it import their names when they are first used, for the same reason.
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
    """Add the fixtures that only pytest-asyncio can run, where it is in use."""
    if not config.pluginmanager.hasplugin("asyncio"):
        return
    try:
        config.getini("asyncio_default_test_loop_scope")
    except ValueError:  # one before 0.26, which could not run them
        return
    # `from asyncinvoke.testing import ...` would look for a name of the package first.
    fixtures = importlib.import_module("asyncinvoke.testing.on_pytest_asyncio")
    config.pluginmanager.register(fixtures, _ON_PYTEST_ASYNCIO)


@pytest.fixture
def local_lambda_options() -> dict[str, Any]:
    """Options of `local_lambda`; override it to give other ones, such as `account_concurrency`."""
    return {}


@pytest.fixture
def local_lambda_strictness() -> "Strictness | None":
    """What of `local_lambda` fails a test at its end; override it to give a `Strictness`."""
    return None


@pytest.fixture
def local_lambda(
    local_lambda_options: dict[str, Any], local_lambda_strictness: "Strictness | None"
) -> "Iterator[LocalLambda]":
    """Serve a `LocalLambda` from a thread of its own, for sync and async tests alike."""
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
    """Point every AWS client that is made meanwhile, here or in a child process, at `local_lambda`.

    All `AWS_*` variables of the machine are away until the test ends. Gives those that were set.
    """
    from asyncinvoke.testing.fixtures import change_environment

    return change_environment(local_lambda, monkeypatch)


@pytest.fixture
def no_waits() -> "Iterator[NoWaits]":
    """Skip the waits of every invoker that is opened meanwhile, and tell which they were."""
    from asyncinvoke.testing.waits import no_waits

    with no_waits() as waits:
        yield waits


@pytest.fixture
def invoker_options() -> dict[str, Any]:
    """Options of `invoker`; override it to give other ones, such as `retry` or `limit`."""
    return {}


@pytest.fixture
def invoker(request: pytest.FixtureRequest) -> "Invoker":
    """Return an open `Invoker` on `local_lambda` that keeps its attempts and skips its waits.

    It reads no AWS settings of the machine. It is opened and closed by what runs the test: anyio's
    plugin, on asyncio or trio, pytest-asyncio, in the loop of the test, or pytest-trio.
    """
    from asyncinvoke.testing.fixtures import name_of_opened_invoker

    with_asyncio = request.config.pluginmanager.hasplugin(_ON_PYTEST_ASYNCIO)
    name = name_of_opened_invoker(request, with_pytest_asyncio=with_asyncio)
    opened: Invoker = request.getfixturevalue(name)
    return opened


@pytest.fixture(scope="session")
def _asyncinvoke_session() -> object:
    from asyncinvoke.testing.session import sealed_session

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
