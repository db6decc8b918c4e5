"""The attempts that an execution keeps, and how its error reports them."""

import pytest
from tenacity import stop_after_attempt, wait_none

from asyncinvoke import Backoff, GaveUp, RetryPolicy, ThrottledError
from asyncinvoke._engine.history import KEPT_ATTEMPTS
from tests.doubles.engine import THROTTLED, call, engine

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("tries", [1, 2 * KEPT_ATTEMPTS, 2 * KEPT_ATTEMPTS + 1, 500])
async def test_of_very_many_attempts_the_first_and_the_last_are_kept(tries: int) -> None:
    policy = RetryPolicy(throttled=Backoff(wait=wait_none(), stop=stop_after_attempt(tries)))
    scripted = engine(*[THROTTLED] * tries)
    error = await scripted.execute(call(policy), b"1")
    assert isinstance(error, ThrottledError)
    assert error.gave_up is (GaveUp.NOT_RETRYABLE if tries == 0 else GaveUp.ATTEMPTS)
    kept = [attempt.number for attempt in error.attempts]
    numbers = list(range(1, tries + 1))
    most = 2 * KEPT_ATTEMPTS
    assert kept == (
        numbers if tries <= most else numbers[:KEPT_ATTEMPTS] + numbers[-KEPT_ATTEMPTS:]
    )
    assert sum(attempt.omitted for attempt in error.attempts) == tries - len(kept)
    assert len(scripted.script.sent) == tries
    assert f"{tries} attempt" in str(error)
