"""How one item of a `map` ended."""

import copy
from dataclasses import dataclass

from asyncinvoke._model.response import Attempt, Response
from asyncinvoke.errors import AsyncInvokeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One payload's end: a response or an error, never both."""

    index: int
    """The position of the item in the input, from 0."""

    key: str | None = None
    """What the map's `key`, or the item's own, calls it."""

    response: Response | None = None
    """The response, if it succeeded."""

    error: AsyncInvokeError | None = None
    """Why it failed, if it did: an `InvocationError`, or an `InvalidRequestError` if its payload
    could not be sent."""

    attempts: tuple[Attempt, ...] = ()
    """Every try; empty if nothing was sent."""

    started: float
    """When its execution began, in seconds since the epoch."""

    elapsed: float
    """How long its execution took, waits included, in seconds."""

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.error is None

    def unwrap(self) -> Response:
        """Return the response, or raise the error: a copy of `error`, each time a new one."""
        # What is raised gets a traceback, which holds the frames that it passes, which may hold
        # this outcome. So `error` itself must have none, or the two would keep each other alive,
        # and the payload of every failure with them.
        if self.error is not None:
            raise _copied(self.error)
        assert self.response is not None  # noqa: S101  # one of the two is always there
        return self.response


def _copied(error: AsyncInvokeError) -> AsyncInvokeError:
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied
