"""Telling a cancellation of ours from an error that only looks like one."""

import math

import anyio


def is_cancellation(error: BaseException) -> bool:
    """Return whether this is the current task being cancelled, and so has to be raised again.

    Code of the caller's can raise a `CancelledError` though nobody cancels the task that it runs
    in: by waiting for another task that was cancelled. Taken for a cancellation, it would end a
    reader or a worker without a word, and the run would hang or look complete. What tells them
    apart is whether a scope around the task is cancelled.
    """
    if isinstance(error, GeneratorExit):
        return True  # the event loop is gone, and Python closes what is left of it
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, BaseExceptionGroup):
        is_one = error.split(cancelled)[1] is None
    else:
        is_one = isinstance(error, cancelled)
    return is_one and anyio.current_effective_deadline() == -math.inf
