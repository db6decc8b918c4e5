"""Strict mode for the endpoint, for the fake, and in a user's test suite."""

import pytest

from asyncinvoke import Invoker, RejectedError, RetryPolicy, ThrottledError
from asyncinvoke.local import LocalLambda, throttle
from asyncinvoke.testing import FakeLambda, InstantClock, Strictness
from tests.doubles.handlers import echo

pytestmark = pytest.mark.anyio
pytest_plugins = ["pytester"]


async def test_strict_mode_of_the_fake_reports_everything_that_is_enabled() -> None:
    fake = FakeLambda({"used": echo, "unused": echo})
    unmet = fake.fault(throttle(), function_name="unused")
    often = fake.fault(throttle(), function_name="used", count=2)
    fake.fault(throttle(), function_name="never").remove()
    async with Invoker(transport=fake, clock=InstantClock()) as invoker:
        with pytest.raises(RejectedError):
            await invoker.invoke("unknown", 1)
        often.remove()
        fake.fault(throttle(), function_name="used", count=1)
        assert (await invoker.invoke("used:live", 1)).json() == 1
    faults = [f"unused fault: {unmet!r}"]
    requests = ["a request for 'unknown', which was never registered"]
    functions = ["the function 'unused' was never invoked"]
    assert Strictness().violations(fake) == faults + requests + functions
    assert Strictness(unmet_faults=False).violations(fake) == requests + functions
    assert Strictness(unexpected_requests=False).violations(fake) == faults + functions
    assert Strictness(unused_functions=False).violations(fake) == faults + requests


async def test_a_fault_that_was_played_less_often_than_its_count_is_reported() -> None:
    fake = FakeLambda({"f": echo})
    fault = fake.fault(throttle(), count=2)
    async with Invoker(transport=fake, clock=InstantClock(), retry=RetryPolicy()) as invoker:
        with pytest.raises(ThrottledError):
            await invoker.invoke("f", 1)
    assert Strictness().violations(fake) == [f"unused fault: {fault!r}"]


def test_an_endpoint_that_records_no_requests_raises() -> None:
    with pytest.raises(RuntimeError, match="keep_requests"):
        Strictness().violations(LocalLambda())


def test_in_a_suite_it_fails_the_test_that_left_something_out(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
import pytest
from asyncinvoke.testing import Strictness

@pytest.fixture
def local_lambda_strictness():
    return Strictness()
"""
    )
    pytester.makepyfile(
        """
import boto3, pytest
from asyncinvoke.local import throttle

def invoke(name):
    return boto3.client("lambda").invoke(FunctionName=name)["Payload"].close()

def test_good(local_lambda, lambda_environment):
    local_lambda.function("echo", lambda event, context: event)
    invoke("echo")

def test_bad(local_lambda, lambda_environment):
    local_lambda.function("echo", lambda event, context: event)
    local_lambda.fault(throttle(), count=1)
    with pytest.raises(Exception, match="Function not found"):
        local_lambda.fault(throttle(), function_name="other", count=1).remove()
        local_lambda.faults[0].remove()
        invoke("nobody")

def test_never_met(local_lambda):
    local_lambda.fault(throttle(), count=1)
"""
    )
    done = pytester.runpytest("-p", "no:asyncio", "-p", "no:trio")
    done.assert_outcomes(passed=3, errors=2)
    done.stdout.fnmatch_lines(
        [
            "*local_lambda: a request for 'nobody', which was never registered; the function 'echo'*",
            "*local_lambda: unused fault: <InjectedFault Answer for all*",
        ]
    )
