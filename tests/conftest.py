"""Fixtures of every test: no AWS settings of the machine, and both event loops."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.doubles.forked import FORKER

# A property must not fail because the machine is busy.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")


LONGEST = (
    "test_benchmarks.py",
    "invoker/test_faults.py",
    "attack/test_faults_by_phase.py",
    "attack/test_secrets.py",
    "invoker/test_streams.py",
    "test_readme.py",
    "attack/test_identity.py",
    "invoker/test_invoker.py",
    "invoker/test_fault_properties.py",
    "transport/test_phases.py",
    "attack/test_closing.py",
    "cli/test_processes.py",
    "cli/demo/test_demo.py",
    "independent/test_tracing.py",
    "independent/test_ministack.py",
    "transport/test_credentials.py",
    "limits/test_over_http.py",
    "attack/test_cycles.py",
    "attack/test_stream_endings.py",
    "test_documented_examples.py",
    "attack/test_outages.py",
    "limits/test_costs.py",
    "testing/fake/test_contract.py",
)
"""The slowest files, slowest first; the list only affects speed."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run slow files first in parallel runs, so that they are not left to the end."""
    if hasattr(config, "workerinput"):
        folder = Path(__file__).parent
        ranks = {folder / name: rank for rank, name in enumerate(LONGEST)}
        items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


def pytest_collection_finish() -> None:
    """Exclude everything imported and collected so far from later garbage collections."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _forker() -> Iterator[None]:
    yield
    FORKER.close()


# A suite that is started in the background or by nohup inherits ignored signals, and so would the
# programs that its tests end by signals.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        _is_interrupt = _number is signal.SIGINT
        signal.signal(_number, signal.default_int_handler if _is_interrupt else signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    # Otherwise a test without credentials would query the machine's metadata service.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # A proxy of the machine could not reach a server on loopback.
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["direct", "client"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)
