"""When the rest of a map cannot succeed: every call is refused for one reason, or nothing is sent."""

from asyncinvoke._model.text import in_one_line
from asyncinvoke._request.target import Target
from asyncinvoke._retries.policy import LONGEST_OUTAGE
from asyncinvoke.errors import (
    AsyncInvokeError,
    FunctionError,
    GaveUp,
    RejectedError,
    TransportError,
)

HOPELESS_AFTER = 100
"""The number of consecutive refusals with the same code that ends a run."""

MOST_TARGETS = 1000
"""The maximum number of functions of a streak that are remembered."""

LONGEST_PART = 320
"""The maximum length of each part of the message of an early stop, in characters."""

OF_THE_CALLER = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Codes that concern the caller, not a function: calls to any other function fail as well."""

OF_THE_ITEM = frozenset({"DurableExecutionAlreadyStartedException"})
"""Codes that concern a single item: a repeated run gets one for each item the last run started."""


class Refusals:
    """Counts consecutive refusals, and detects when the remaining items cannot succeed.

    A streak is a series of `RejectedError` with the same code and no success in between. A function
    that ran and failed was admitted, and ends the streak as well. A throttle, a lost connection or
    an item that could not be sent has no effect.

    Items can target different functions, and one missing function must not end a run in which
    others succeed. Therefore a streak does not end the run

    - while the most recently admitted function is not part of it, as more of its items may follow;
    - while an item of a function outside the streak is in progress that started before the streak:
      it has not completed, but it was not refused either. (Items started later do not count, as
      there may always be some.)

    This does not apply to codes that concern the caller, such as an expired token, which affect all
    functions.
    """

    def __init__(self) -> None:
        self._under_way: dict[int, Target] = {}
        self._began = 0
        self._admitted: Target | None = None
        self._code: str | None = None
        self._count = 0
        self._first = 0
        self._earlier: list[int] = []
        self._targets: set[Target] = set()

    def begin(self, index: int, target: Target) -> None:
        """Record that an item is being sent to a function."""
        self._under_way[index] = target
        self._began = index + 1

    def end(self, index: int, error: AsyncInvokeError | None) -> str | None:
        """Record how an item ended; return why the run should end, if it should."""
        target = self._under_way.pop(index, None)
        if target is None:
            return None
        if error is None or isinstance(error, FunctionError):
            self._admitted = target
            self._count = 0
            return None
        if not isinstance(error, RejectedError) or error.code in OF_THE_ITEM:
            return None
        if not self._count or error.code != self._code:
            self._code, self._count, self._first = error.code, 0, self._began
            self._targets.clear()
        self._count += 1
        if len(self._targets) < MOST_TARGETS:  # any further target counts as outside the streak
            self._targets.add(target)
        if target == self._admitted:
            self._admitted = None
        if self._count < HOPELESS_AFTER:
            return None
        if self._count == HOPELESS_AFTER:
            self._earlier = [index for index in self._under_way if index < self._first]
        return None if self._has_hope() else _hopeless(self._count, error)

    def _has_hope(self) -> bool:
        """Return whether a function outside the streak may still succeed."""
        if self._code in OF_THE_CALLER:
            return False
        if self._admitted is not None and self._admitted not in self._targets:
            return True
        # Whatever is dropped stays irrelevant for the rest of the streak. So a refusal does not cost
        # more the more items are in progress.
        while self._earlier:
            target = self._under_way.get(self._earlier[-1])
            if target is not None and target not in self._targets:
                return True
            self._earlier.pop()
        return False


def _hopeless(count: int, error: RejectedError) -> str:
    function_name = error.function_name
    if error.qualifier is not None:
        function_name = f"{function_name}:{error.qualifier}"
    parts = (function_name, error.code, error.message)
    return f"{count} refusals in a row: {': '.join(in_one_line(part, LONGEST_PART) for part in parts if part)}"


def outlasted(error: AsyncInvokeError) -> str | None:
    """Return why a map should end, if it outlasted an outage; `None` if it did not.

    All requests of a map go to one endpoint. If nothing could be sent to it for as long as
    `RetryPolicy.batch()` waits out an outage, every further item would only end in the same way. A
    policy that gives up sooner says nothing about the items that follow.

    Args:
        error: How an item failed.
    """
    if not isinstance(error, TransportError) or error.gave_up is not GaveUp.ATTEMPTS:
        return None
    outage = error._outage  # noqa: SLF001  # not for users, whose `elapsed` is that of the item
    if outage < LONGEST_OUTAGE:
        return None
    reason = in_one_line(error.message or str(error.code), LONGEST_PART)
    return f"nothing could be sent for {outage // 60:.0f} minutes: {reason}"
