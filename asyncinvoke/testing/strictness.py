"""Strict mode: fails tests that leave injected faults unused or functions uncalled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from asyncinvoke.local.counters import FunctionStatistics, LocalStatistics
from asyncinvoke.local.faults.injected import InjectedFault
from asyncinvoke.local.protocol import names
from asyncinvoke.local.protocol.received import ReceivedInvocation


class Endpoint(Protocol):
    """What is looked at: a `LocalLambda` that keeps its requests, or a `FakeLambda`."""

    @property
    def faults(self) -> Sequence[InjectedFault]:
        """The faults that were set and are there yet."""
        ...

    @property
    def requests(self) -> Sequence[ReceivedInvocation]:
        """Every request so far that arrived whole."""
        ...

    def statistics(self) -> LocalStatistics:
        """Return a frozen snapshot of what has arrived and run so far."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Strictness:
    """What fails a test at its end; everything by default, as with respx and pytest-httpx.

    Return one from the fixture `local_lambda_strictness`, or ask it yourself for its `violations`.
    """

    unmet_faults: bool = True
    """A fault that no request has met, or fewer than its `count`. One that was removed is none."""
    unexpected_requests: bool = True
    """A request for a function that was never registered."""
    unused_functions: bool = True
    """A function that nobody invoked."""

    def violations(self, endpoint: Endpoint) -> list[str]:
        """Return what was left out, a sentence each.

        Args:
            endpoint: A `LocalLambda` with `keep_requests`, or a `FakeLambda`.
        """
        functions: Mapping[str, FunctionStatistics] = endpoint.statistics().functions
        found: list[str] = []
        if self.unmet_faults:
            found += [
                f"not met as often as it was to be: {fault!r}"
                for fault in endpoint.faults
                if fault.is_unmet
            ]
        if self.unexpected_requests:
            asked = {names.bare_name(r.function_name) or r.function_name for r in endpoint.requests}
            found += [
                f"a request for {name!r}, which was never registered"
                for name in sorted(asked - functions.keys())
            ]
        if self.unused_functions:
            found += [
                f"the function {name!r} was never invoked"
                for name, numbers in sorted(functions.items())
                if not numbers.invocations
            ]
        return found
