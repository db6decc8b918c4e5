"""Which request meets which fault: by function, by count and by chance."""

import random
import threading
from typing import get_args

from asyncinvoke.local.faults.steps import Answer, Reset, Step, Streamed
from asyncinvoke.local.limits.admission import whole_number
from asyncinvoke.local.protocol import names

_STEPS = get_args(Step)


class InjectedFault:
    """What happens to requests in place of the service; `LocalLambda.fault` makes it.

    Args:
        step: What happens.
        function_name: The function whose requests it meets; None for all.
        count: How many requests it meets at most; None for any number.
        probability: With which probability a request meets it.
        seed: Of its random numbers.
        after_run: Whether the function runs first.
        faults: Where it is one of several.

    Raises:
        ValueError: A value is out of range, or of no use with the others.
    """

    def __init__(
        self,
        step: Step,
        *,
        function_name: str | None,
        count: int | None,
        probability: float,
        seed: int,
        after_run: bool,
        faults: "Faults",
    ) -> None:
        if not isinstance(step, _STEPS):
            raise ValueError(f"step {step!r} must be one of asyncinvoke.testing's steps")  # noqa: TRY004
        if function_name is not None and not _is_bare(function_name):
            raise ValueError(
                f"function_name={function_name!r} must be a bare name, such as 'echo', or None"
            )
        if count is not None and (
            isinstance(count, bool) or not isinstance(count, int) or count < 1
        ):
            raise ValueError(f"count={count!r} must be a whole number from 1, or None")
        if not isinstance(probability, int | float) or not 0 < probability <= 1:
            raise ValueError(f"probability={probability!r} must be a number above 0 and at most 1")
        if after_run and not _can_follow_a_run(step):
            raise ValueError(
                f"after_run=True is of no use with {step!r}: it takes no answer's place"
            )
        self.step: Step = step
        self.after_run = after_run
        self._function_name = function_name
        self._left = count
        self._probability = probability
        # It chooses requests and guards nothing.
        self._random = random.Random(whole_number("seed", seed))  # noqa: S311
        self._faults = faults
        self._played = 0

    @property
    def played(self) -> int:
        """How many requests have met it."""
        return self._played

    def remove(self) -> None:
        """Let no further request meet it."""
        self._faults.remove(self)

    def meets(self, name: str) -> bool:
        """Decide about one request, and count it."""
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
    """The faults of one endpoint. Users change them from any thread; requests ask in turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: tuple[InjectedFault, ...] = ()

    @property
    def are_set(self) -> bool:
        """Whether there are any."""
        return bool(self._faults)

    def add(
        self,
        step: Step,
        *,
        function_name: str | None,
        count: int | None,
        probability: float,
        seed: int,
        after_run: bool,
    ) -> InjectedFault:
        """Add a fault, to be asked after those that are there."""
        fault = InjectedFault(
            step,
            function_name=function_name,
            count=count,
            probability=probability,
            seed=seed,
            after_run=after_run,
            faults=self,
        )
        with self._lock:
            self._faults = (*self._faults, fault)
        return fault

    def remove(self, fault: InjectedFault) -> None:
        """Forget a fault."""
        with self._lock:
            self._faults = tuple(each for each in self._faults if each is not fault)

    def find(self, function_name: str) -> InjectedFault | None:
        """Return the fault that a request meets, the first that applies.

        Args:
            function_name: The name or ARN that the request gives.
        """
        parsed = names.parse(function_name)
        name = parsed.name if parsed else function_name
        return next((fault for fault in self._faults if fault.meets(name)), None)


def _is_bare(function_name: str) -> bool:
    # An ARN or a qualifier would never be met: requests are compared by their bare name.
    parsed = names.parse(function_name) if isinstance(function_name, str) else None
    return parsed is not None and parsed.name == function_name


def _can_follow_a_run(step: Step) -> bool:
    if isinstance(step, Answer):
        return step.status_code >= 400
    return not isinstance(step, Streamed) and (not isinstance(step, Reset) or step.read)
