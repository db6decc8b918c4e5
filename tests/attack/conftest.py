"""What the attack starts from, and which of its tests are known to fail, each with its promise."""

import re
from pathlib import Path

import pytest

from tests.doubles.certificates import Authority, Identity

# A test is named as `file::test`, which means all its cases, or as `file::test[case]`; `*` stands for
# anything. Whoever makes one pass takes it off: a test that passes though it is here fails the run.
EXPECTED_RED: dict[str, str] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the tests of the table to fail."""
    here = Path(__file__).parent
    patterns = [
        (re.compile(re.escape(name).replace(r"\*", ".*") + r"(\[.*\])?"), promise)
        for name, promise in EXPECTED_RED.items()
    ]
    for item in items:
        if item.path.parent != here:
            continue
        name = f"{item.path.stem}::{item.name}"
        for pattern, promise in patterns:
            if pattern.fullmatch(name):
                item.add_marker(pytest.mark.xfail(reason=promise, strict=True))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of the tests."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def identity(authority: Authority) -> Identity:
    """What a server on loopback presents."""
    return authority.issue("server")


LOOPS = [
    pytest.param("asyncio", id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param("trio", id="trio"),
]


@pytest.fixture(params=LOOPS[::2])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Both event loops; a test that also wants uvloop is parametrized with `LOOPS`."""
    return request.param
