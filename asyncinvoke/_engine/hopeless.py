"""When to stop a map whose every call is refused: a decision on values, made outcome by outcome."""

from asyncinvoke._request.target import Target
from asyncinvoke.errors import AsyncInvokeError, FunctionError, RejectedError

HOPELESS_AFTER = 100
"""So many refusals in a row with the same code end a run."""

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
"""Codes that say nothing of a function: every other one is refused as well."""

OF_THE_ITEM = frozenset({"DurableExecutionAlreadyStartedException"})
"""Codes that say nothing of the next item: a run that is repeated gets one for each item that the
last run got to."""


class Refusals:
    """Counts refusals in a row, and says when there is no hope for the rest.

    A row is as many `RejectedError` with the same code as come without a success between. A
    function that ran and failed was admitted, and ends the row too; a throttle, a lost connection
    or an item that could not be sent says nothing either way.

    Items may go to functions of their own, and one that is missing must not end a run in which
    others succeed. So a row does not count

    - while a function that is not part of it was the last to be admitted, if that was ever so: its
      items may come further on;
    - while an item of such a function is under way that was begun before the row. It has not
      ended, but it was not refused. (Of items begun later there may always be some.)

    Unless the code is one of the caller's, such as an expired token, which all functions share.
    """

    def __init__(self) -> None:
        self._under_way: dict[int, Target] = {}
        self._began = 0
        self._admitted: Target | None = None
        self._code: str | None = None
        self._count = 0
        self._first = 0
        self._targets: set[Target] = set()

    def begin(self, index: int, target: Target) -> None:
        """Note that an item is sent to a function."""
        self._under_way[index] = target
        self._began = index + 1

    def end(self, index: int, error: AsyncInvokeError | None) -> str | None:
        """Note how an item ended; return why there is no hope for the rest, if that is so."""
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
        self._targets.add(target)
        if target == self._admitted:
            self._admitted = None
        if self._count < HOPELESS_AFTER or self._has_hope:
            return None
        return _hopeless(self._count, error)

    @property
    def _has_hope(self) -> bool:
        """Whether a function that is not part of the row may yet succeed."""
        if self._code in OF_THE_CALLER:
            return False
        if self._admitted is not None and self._admitted not in self._targets:
            return True
        for index, target in self._under_way.items():
            if index >= self._first:
                return False
            if target not in self._targets:
                return True
        return False


def _hopeless(count: int, error: RejectedError) -> str:
    function_name = error.function_name
    if error.qualifier is not None:
        function_name = f"{function_name}:{error.qualifier}"
    parts = (function_name, error.code, error.message)
    return f"{count} refusals in a row: {': '.join(part for part in parts if part)}"
