"""How often `map` tries a line again, from its options: a policy."""

from dataclasses import replace

from asyncinvoke import Backoff, FunctionError, RetryPolicy

RETRIES = 4
"""As many as `RetryPolicy.batch()` has."""


def retry_policy(retries: int | None, *, function_errors: bool) -> RetryPolicy:
    """Return the policy of a bulk run.

    Args:
        retries: How often a line is tried again after a failure that is no throttle; `None` for
            the usual. What is throttled, or surely was not sent, waits in any case.
        function_errors: Whether lines are tried again whose function raised an error.
    """
    usual = RetryPolicy.batch()
    if retries is None and not function_errors:
        return usual
    backoff = None
    if retries != 0:
        backoff = _up_to(RETRIES if retries is None else retries, like=usual.service)
    return replace(
        usual,
        service=backoff,
        transport=backoff,
        function=_only_raised(backoff) if function_errors else None,
    )


def _up_to(retries: int, *, like: Backoff | None) -> Backoff:
    wait = (lambda _: 1.0) if like is None else like.wait
    return Backoff(wait=wait, stop=lambda state: state.attempt_number > retries)


def _only_raised(backoff: Backoff | None) -> Backoff | None:
    """Leave out what the platform has ended: it ran out of time or memory, and would again."""
    if backoff is None:
        return None
    return replace(
        backoff,
        when=lambda error: not (isinstance(error, FunctionError) and error.by_platform),
    )
