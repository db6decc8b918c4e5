"""What the attack starts from, and which of its tests are known to fail, each with its promise."""

import gc
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.certificates import Authority, Identity

from .faults import Stage

_FAULT = "test_faults_by_phase::test_what_is_said_of_a_fault_is_what_the_endpoint_saw"
_STATUS = "test_faults_by_phase::test_the_status_line_decides_whatever_the_body"
_IDLE = "test_idle_connections::test_"
_CYCLES = "test_cycles::test_"
_ENDS = "test_ends::test_"
_STREAMS = "test_stream_ends::test_"
_IDENTITY = "test_identity::test_"
_OPEN_FILES = "test_open_files::test_few_open_files_cost_a_map_no_item_and_no_attempt"
_LEAK = "10.9: locals of our frames, and the SDK's errors behind ours"

# A test is named as `file::test`, which means all its cases, or as `file::test[case]`; `*` stands for
# anything, `?` for one character. Whoever makes one pass takes it off: a test that passes though it
# is here fails the run. The number is that of the issue and its promise.
EXPECTED_RED: dict[str, str] = {}

_LEFT_BEHIND = "ignore::pytest.PytestUnraisableExceptionWarning"


def _in_one_line(excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
    return excinfo.exconly()


def _as_pattern(name: str) -> str:
    return re.escape(name).replace(r"\*", ".*").replace(r"\?", ".")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the tests of the table to fail."""
    here = Path(__file__).parent
    patterns = [
        (re.compile(_as_pattern(name) + r"(\[.*\])?"), promise)
        for name, promise in EXPECTED_RED.items()
    ]
    for item in items:
        if item.path.parent != here:
            continue
        name = f"{item.path.stem}::{item.name}"
        for pattern, promise in patterns:
            if pattern.fullmatch(name):
                item.add_marker(pytest.mark.xfail(reason=promise, strict=True))
                # What goes wrong may leave something behind, which is not what is tested here.
                item.add_marker(pytest.mark.filterwarnings(_LEFT_BEHIND))
                if not item.config.option.runxfail:
                    # Nobody is shown these tracebacks, and to write them takes longer than to fail.
                    vars(item)["repr_failure"] = _in_one_line


@pytest.fixture(autouse=True)
def _leave_nothing_to_the_next_test(request: pytest.FixtureRequest) -> Iterator[None]:
    if not request.node.get_closest_marker("xfail"):
        yield
        return
    # What was there before is not looked at, which would take a second.
    gc.freeze()
    yield
    for name in ("last_exc", "last_traceback", "last_type", "last_value"):
        # pytest keeps the last failure there, and with it all that its frames hold.
        sys.__dict__.pop(name, None)
    gc.collect()
    gc.unfreeze()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of the tests."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def identity(authority: Authority) -> Identity:
    """What a server on loopback presents."""
    return authority.issue("server")


@pytest.fixture
def stage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority, identity: Identity
) -> Stage:
    return Stage(
        monkeypatch=monkeypatch, directory=tmp_path, authority=authority, identity=identity
    )


LOOPS = [
    pytest.param("asyncio", id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param("trio", id="trio"),
]


THREE_WAYS = [("asyncio", "direct"), ("asyncio", "client"), ("trio", "direct")]
"""Loops with transports, where the fourth way would show nothing new."""


@pytest.fixture(params=LOOPS[::2])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Both event loops; a test that also wants uvloop is parametrized with `LOOPS`."""
    return request.param
