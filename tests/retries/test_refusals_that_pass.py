"""`RetryPolicy(rejected=)`: a temporary rejection is retried, if and as long as configured."""

import pytest
from tenacity import stop_after_attempt, wait_fixed

from asyncinvoke import Backoff, GaveUp, Invoker, RejectedError, RetryPolicy
from asyncinvoke.local import LocalLambda, error

NOT_YET = error(404, "ResourceNotFoundException")


def policy(code: str) -> RetryPolicy:
    return RetryPolicy(
        rejected=Backoff(
            wait=wait_fixed(1),
            stop=stop_after_attempt(4),
            when=lambda failure: failure.code == code,
        )
    )


@pytest.mark.anyio
@pytest.mark.parametrize(("refused", "attempts"), [(2, 3), (9, 4)])
async def test_a_temporary_refusal_is_retried_until_it_ends_or_the_policy_stops(
    local_lambda: LocalLambda, invoker: Invoker, refused: int, attempts: int
) -> None:
    local_lambda.function("resize", lambda event, context: event)
    local_lambda.fault(NOT_YET, count=refused)
    if refused < attempts:
        response = await invoker.invoke("resize", 1, retry=policy("ResourceNotFoundException"))
        assert len(response.attempts) == attempts
    else:
        with pytest.raises(RejectedError) as caught:
            await invoker.invoke("resize", 1, retry=policy("ResourceNotFoundException"))
        assert caught.value.gave_up is GaveUp.ATTEMPTS
        assert len(caught.value.attempts) == attempts
    assert local_lambda.statistics().invocations == attempts


@pytest.mark.anyio
@pytest.mark.parametrize(
    "retry", [policy("AccessDeniedException"), RetryPolicy.standard(), RetryPolicy.never()]
)
async def test_any_other_refusal_is_one_attempt(
    local_lambda: LocalLambda, invoker: Invoker, retry: RetryPolicy
) -> None:
    local_lambda.function("resize", lambda event, context: event)
    local_lambda.fault(NOT_YET)
    with pytest.raises(RejectedError) as caught:
        await invoker.invoke("resize", 1, retry=retry)
    assert len(caught.value.attempts) == local_lambda.statistics().invocations == 1
