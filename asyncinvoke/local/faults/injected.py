"""Selects the requests that a fault applies to: by function, count and probability."""

import random
import threading
from collections.abc import Callable
from typing import TypedDict, Unpack, get_args

from asyncinvoke.local.faults.steps import Step, Streamed, is_read
from asyncinvoke.local.numbers import flag, number, whole_number
from asyncinvoke.local.protocol import names
from asyncinvoke.local.protocol.answers import Answer

_STEPS = get_args(Step)


class FaultOptions(TypedDict, total=False):
    """The requests that a fault applies to; options of `LocalLambda.fault` and `FakeLambda.fault`."""

    function_name: str | None
    """The bare name of the function it applies to; None for all functions."""
    count: int | None
    """The maximum number of requests; None for all until it is removed."""
    probability: float
    """The probability that it applies to a request."""
    seed: int
    """The seed of its random numbers, 0 or more."""
    after_run: bool
    """Whether the function runs first, and the step then replaces its response."""


class InjectedFault:
    """A fault that replaces the service's response to some requests; made by `LocalLambda.fault`.

    Raises:
        ValueError: A value is out of range, or does not apply with the others.
    """

    def __init__(
        self,
        step: Step,
        remove: "Callable[[InjectedFault], None]",
        *,
        function_name: str | None = None,
        count: int | None = None,
        probability: float = 1.0,
        seed: int = 0,
        after_run: bool = False,
    ) -> None:
        if not isinstance(step, _STEPS):
            raise ValueError(f"step {step!r} must be one of the steps of asyncinvoke.local")  # noqa: TRY004  # as for any invalid value
        if function_name is not None and not _is_bare(function_name):
            raise ValueError(
                f"function_name={function_name!r} must be a bare name, such as 'echo', or None"
            )
        if count is not None:
            whole_number("count", count, least=1)
        rule = "a number above 0 and at most 1"
        number("probability", probability, lambda value: 0 < value <= 1, rule)
        if flag("after_run", after_run) and not _can_follow_a_run(step):
            raise ValueError(
                f"after_run=True does not apply to {step!r}: it does not replace a response"
            )
        self.step: Step = step
        self.after_run = after_run
        self._function_name = function_name
        self._left = count
        self._probability = probability
        # It only selects requests; security does not depend on it.
        self._random = random.Random(whole_number("seed", seed))  # noqa: S311  # no secret
        self._remove = remove
        self._played = 0

    @property
    def played(self) -> int:
        """The number of requests it was applied to."""
        return self._played

    @property
    def is_unmet(self) -> bool:
        """Whether it was applied to no request, or to fewer than `count`."""
        return self._left > 0 if self._left is not None else not self._played

    def remove(self) -> None:
        """Stop applying it."""
        self._remove(self)

    def take(self, name: str) -> bool:
        """Return whether the fault applies to a request; it is removed after `count` requests."""
        if self._function_name not in (None, name):
            return False
        if self._probability < 1 and self._random.random() >= self._probability:
            return False
        self._played += 1
        if self._left is not None:
            self._left -= 1
            if not self._left:
                self.remove()
        return True

    def __repr__(self) -> str:
        whom = "all functions" if self._function_name is None else f"function {self._function_name}"
        left = "" if self._left is None else f", {self._left} left"
        return f"<InjectedFault {type(self.step).__name__} for {whom}, played {self._played} times{left}>"


class Faults:
    """The faults of one endpoint, which can be changed from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: tuple[InjectedFault, ...] = ()

    @property
    def are_set(self) -> bool:
        """Whether there are any faults."""
        return bool(self._faults)

    @property
    def all(self) -> tuple[InjectedFault, ...]:
        """The active faults, in the order in which they were added."""
        return self._faults

    def add(self, step: Step, **options: Unpack[FaultOptions]) -> InjectedFault:
        """Add a fault, which applies after the existing ones."""
        fault = InjectedFault(step, self.remove, **options)
        with self._lock:
            self._faults = (*self._faults, fault)
        return fault

    def remove(self, fault: InjectedFault) -> None:
        """Stop applying a fault."""
        with self._lock:
            self._faults = tuple(each for each in self._faults if each is not fault)

    def take(self, function_name: str) -> InjectedFault | None:
        """Return the first fault that applies to a request.

        Args:
            function_name: The name or ARN in the request.
        """
        name = names.bare_name(function_name)
        return next((fault for fault in self._faults if fault.take(name)), None)


def _is_bare(function_name: str) -> bool:
    # An ARN or a qualifier would never match: requests are compared by bare name.
    return isinstance(function_name, str) and names.bare_name(function_name) == function_name != ""


def _can_follow_a_run(step: Step) -> bool:
    if isinstance(step, Answer):
        return step.status_code >= 400
    return not isinstance(step, Streamed) and is_read(step)
