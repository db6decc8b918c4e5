"""The pytest plugin, as users' suites have it: real runs of pytest inside these tests."""

import concurrent.futures.thread
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# An inner run discards modules that it imported first, so slow modules are imported here.
for module in ("testing.fixtures", "_transport.session", "_transport.stream"):
    import_module(f"asyncinvoke.{module}")
assert concurrent.futures.thread

INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"

START = """
import pytest
from asyncinvoke.testing import InstantClock

def echo(event, context):
    return event
"""

INVOKES = """
async def test_it_invokes(local_lambda, invoker):
    local_lambda.function("echo", echo)
    assert (await invoker.invoke("echo", {"n": 1})).json() == {"n": 1}
    assert local_lambda.statistics().functions["echo"].invocations == 1
"""

# The fixture of the suite uses the invoker before and after the test.
BUILDS_UPON_IT = """
class TestOfAService:
    FIXTURE
    async def service(self, local_lambda, invoker):
        local_lambda.function("echo", echo)
        assert (await invoker.dry_run("echo")).status_code == 204
        yield invoker.function("echo")
        assert (await invoker.dry_run("echo")).status_code == 204

    MARK
    async def test_a_fixture_of_the_suite_builds_upon_it(self, service):
        assert (await service(2)).json() == 2
"""


def built_upon(*, fixture: str = "@pytest.fixture", mark: str = "") -> str:
    return BUILDS_UPON_IT.replace("FIXTURE", fixture).replace("MARK", mark)


class Suite:
    """A suite of one file, and a run of it in which any warning is an error."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.with_trio = False

    def run(self, *parts: str, ini: str = INI, arguments: tuple[str, ...] = ()) -> pytest.RunResult:
        self._pytester.makeini(ini)
        self._pytester.makepyfile("\n".join([START, *parts]))
        # Each run that uses Hypothesis imports it again, as do those with pytest-trio.
        without = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
        if not self.with_trio:
            without += ["-p", "no:trio"]
        return self._pytester.runpytest_inprocess("-W", "error", *without, *arguments)


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Suite:
    return Suite(pytester)


def test_under_anyio_it_is_opened_on_both_event_loops(suite: Suite) -> None:
    done = suite.run("pytestmark = pytest.mark.anyio", INVOKES, built_upon())
    done.assert_outcomes(passed=4)


def test_a_call_that_fails_shows_the_line_of_the_test_and_nothing_of_ours(suite: Suite) -> None:
    done = suite.run(
        "pytestmark = pytest.mark.anyio",
        "async def test_it(local_lambda, invoker):\n    await invoker.invoke('missing')\n",
        ini="[pytest]\n",
        arguments=("-p", "no:asyncio"),
    )
    done.assert_outcomes(failed=2)
    shown = done.stdout.str()
    assert ">       await invoker.invoke('missing')" in shown
    assert "_invoker.py" not in shown
    assert "caller.py" not in shown


def test_it_needs_no_other_plugin_than_anyios(suite: Suite) -> None:
    done = suite.run(
        "pytestmark = pytest.mark.anyio",
        INVOKES,
        ini="[pytest]\n",
        arguments=("-p", "no:asyncio"),
    )
    done.assert_outcomes(passed=2)


@pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session"])
def test_under_strict_pytest_asyncio_it_is_opened_in_the_loop_of_the_test(
    suite: Suite, scope: str
) -> None:
    done = suite.run(
        f"import pytest_asyncio\npytestmark = pytest.mark.asyncio(loop_scope={scope!r})",
        INVOKES if scope != "class" else "",
        built_upon(fixture=f"@pytest_asyncio.fixture(loop_scope={scope!r})"),
    )
    done.assert_outcomes(passed=1 if scope == "class" else 2)


@pytest.mark.parametrize("scope", ["function", "session"])
def test_in_pytest_asyncios_auto_mode_nothing_is_marked(suite: Suite, scope: str) -> None:
    ini = (
        f"[pytest]\nasyncio_mode = auto\nasyncio_default_test_loop_scope = {scope}\n"
        f"asyncio_default_fixture_loop_scope = {scope}\n"
    )
    done = suite.run(INVOKES, built_upon(), ini=ini)
    done.assert_outcomes(passed=2)


def test_under_pytest_trio_it_is_opened_on_trio(suite: Suite) -> None:
    suite.with_trio = True
    done = suite.run("pytestmark = pytest.mark.trio", INVOKES, built_upon())
    done.assert_outcomes(passed=2)


def test_a_sync_test_gets_an_error_for_the_async_fixture(suite: Suite) -> None:
    done = suite.run("def test_it(invoker):\n    pass")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["the fixture 'invoker' is for async tests that anyio's plugin*"])
    assert "Traceback" not in done.stdout.str()


def test_attempts_are_made_and_waits_are_skipped(suite: Suite) -> None:
    done = suite.run(
        """
from asyncinvoke import FixedLimit, ThrottledError

pytestmark = pytest.mark.anyio

@pytest.fixture
def clock():
    return InstantClock()

@pytest.fixture
def invoker_options(clock):
    # An adaptive limit would sometimes wait as well.
    return {"clock": clock, "limit": FixedLimit(10)}

async def test_a_throttled_call_is_repeated_at_once(local_lambda, invoker, clock):
    local_lambda.function("echo", echo, reserved_concurrency=0)
    with pytest.raises(ThrottledError) as raised:
        await invoker.invoke("echo")
    attempts = raised.value.attempts
    assert len(attempts) == local_lambda.statistics().invocations > 1
    assert sum(clock.slept) == sum(attempt.delay for attempt in attempts[:-1]) > 0
""",
        arguments=("-k", "asyncio"),
    )
    done.assert_outcomes(passed=1, deselected=1)


def test_the_machines_own_aws_settings_stay_as_they_are_and_are_not_used(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = {
        "AWS_PROFILE": "no-such-profile",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_DEFAULT_REGION": "nowhere-1",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_RETRY_MODE": "no such mode",
        "AWS_MAX_ATTEMPTS": "7",
        "AWS_CA_BUNDLE": "/no/such/file",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    check = (
        f"def test_they_stay(local_lambda):\n    assert {hostile!r}.items() <= os.environ.items()"
    )
    done = suite.run("import os\npytestmark = pytest.mark.anyio", INVOKES, check)
    done.assert_outcomes(passed=3)


def test_nothing_of_a_test_is_left_after_it(suite: Suite) -> None:
    done = suite.run(
        "import socket, threading\nURLS = []",
        """
@pytest.mark.anyio
async def test_meanwhile(local_lambda, invoker):
    local_lambda.function("echo", echo)
    assert (await invoker.invoke("echo", 1)).json() == 1
    URLS.append(local_lambda.url)

def test_after():
    assert [t for t in threading.enumerate() if t.name.startswith("asyncinvoke")] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(URLS[0].rpartition(":")[2])))
""",
    )
    done.assert_outcomes(passed=3)


def test_a_boto3_user_needs_no_event_loop(suite: Suite) -> None:
    done = suite.run("""
import json, os, subprocess, sys
import boto3

def invoke(client):
    answer = client.invoke(FunctionName="echo", Payload=b'{"n": 1}')
    return json.load(answer["Payload"])

def test_a_client_made_by_the_code_under_test(local_lambda, lambda_environment):
    local_lambda.function("echo", echo)
    assert invoke(boto3.client("lambda")) == {"n": 1}

def test_a_child_process(local_lambda, lambda_environment):
    local_lambda.function("echo", echo)
    code = "import boto3; print(boto3.client('lambda').invoke(FunctionName='echo')['StatusCode'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "200\\n"
    assert os.environ.items() >= lambda_environment.items()
""")
    done.assert_outcomes(passed=2)


def test_an_invoker_that_the_code_opens_itself_goes_to_the_endpoint(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    done = suite.run(
        """
import os
from asyncinvoke import Invoker

pytestmark = pytest.mark.anyio

@pytest.fixture
def local_lambda_options():
    return {"region_name": "eu-central-1"}

@pytest.mark.parametrize("transport", ["direct", "client"])
async def test_it(local_lambda, lambda_environment, no_waits, transport):
    local_lambda.function("echo", echo)
    async with Invoker(transport=transport) as invoker:
        arn = "arn:aws:lambda:eu-central-1:123456789012:function:echo"
        assert (await invoker.invoke(arn, 1)).json() == 1
"""
    )
    done.assert_outcomes(passed=4)


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_hosts_that_are_reached_without_the_proxy_still_are(
    name: str, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, "db.example")
    done = suite.run("""
from urllib.request import proxy_bypass

def test_it(lambda_environment):
    assert proxy_bypass("db.example") and proxy_bypass("127.0.0.1")
""")
    done.assert_outcomes(passed=1)


def test_what_was_set_is_set_back_after_the_test(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    done = suite.run("""
import os

BEFORE = dict(os.environ)

def test_meanwhile(lambda_environment):
    assert "AWS_PROFILE" not in os.environ

def test_after():
    now = dict(os.environ)
    del now["PYTEST_CURRENT_TEST"]
    assert now == {name: value for name, value in BEFORE.items() if name != "PYTEST_CURRENT_TEST"}
""")
    done.assert_outcomes(passed=2)


def test_the_fixture_no_waits_holds_for_one_test(suite: Suite) -> None:
    done = suite.run("""
from asyncinvoke._clock import SYSTEM_CLOCK, default_clock

def test_meanwhile(no_waits):
    assert isinstance(default_clock(), InstantClock)
    assert no_waits.slept == []

def test_after():
    assert default_clock() is SYSTEM_CLOCK
""")
    done.assert_outcomes(passed=2)


def test_pytest_starts_without_importing_what_no_test_has_asked_for(tmp_path: Path) -> None:
    at_start = [
        "asyncinvoke",
        "asyncinvoke.testing",
        "asyncinvoke.testing.on_pytest_asyncio",
        "asyncinvoke.testing.pytest_plugin",
    ]
    code = (
        "import sys, pytest\n"
        "class Look:\n"
        "    def pytest_collection_finish(self, session):\n"
        "        assert session.config.pluginmanager.hasplugin('asyncinvoke')\n"
        "        print(sorted(n for n in sys.modules if n.split('.')[0] == 'asyncinvoke'))\n"
        "        print([n for n in ('aiohttp', 'botocore', 'tenacity') if n in sys.modules])\n"
        "pytest.main(['-q', '-p', 'no:cacheprovider'], plugins=[Look()])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[:2] == [str(at_start), "[]"]
