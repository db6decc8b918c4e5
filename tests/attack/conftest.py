"""Shared fixtures: a certificate authority, a server certificate, an environment, and loops."""

from pathlib import Path

import pytest

from tests.doubles.certificates import Authority, Identity

from .faults import Environment


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that signs the certificates of the tests."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def identity(authority: Authority) -> Identity:
    """The certificate that a server on loopback presents."""
    return authority.issue("server")


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority, identity: Identity
) -> Environment:
    return Environment(
        monkeypatch=monkeypatch, directory=tmp_path, authority=authority, identity=identity
    )


LOOPS = [
    pytest.param("asyncio", id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param("trio", id="trio"),
]


THREE_WAYS = [("asyncio", "direct"), ("asyncio", "client"), ("trio", "direct")]
"""Combinations of loops and transports; the fourth would test nothing new."""


@pytest.fixture(params=LOOPS[::2])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Both event loops; a test that also wants uvloop is parametrized with `LOOPS`."""
    return request.param
