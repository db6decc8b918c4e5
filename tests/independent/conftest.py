"""Fixtures for the tests against independent programs: clean AWS settings and the peers."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import peers


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The peers are tested here; event loops have other tests."""
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
def aws_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the machine's AWS settings, also from fixtures of module scope."""
    folder = tmp_path_factory.mktemp("aws")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            (folder / name).touch()
            patch.setenv(name, str(folder / name))
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret-for-tests")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        # A proxy of the machine could not reach a server on loopback.
        patch.setenv("no_proxy", "127.0.0.1")
        yield


@pytest.fixture(scope="session")
def aws_command() -> Path:
    """The `aws` program of awscli on PyPI."""
    return _program(peers.AWSCLI)


@pytest.fixture(scope="session")
def ministack_command() -> Path:
    """The `ministack` program."""
    return _program(peers.MINISTACK)


@pytest.fixture(scope="session")
def published_command() -> Path:
    """The `pytest` that runs the published tests of moto and aiobotocore."""
    return _program(peers.PUBLISHED)


@pytest.fixture(scope="session")
def tracers_command() -> Path:
    """The `python` of the environment that has OpenTelemetry, aws-xray-sdk, Sentry and ddtrace."""
    return _program(peers.TRACERS)


def _program(peer: peers.Peer) -> Path:
    if peer.installed:
        return peer.command
    reason = f"{peer.name} is not installed as pinned: run `make peers`"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
