"""Strict mode: fails tests that leave injected faults unused or functions uncalled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from asyncinvoke.local.counters import FunctionStatistics, LocalStatistics
from asyncinvoke.local.faults.injected import InjectedFault
from asyncinvoke.local.protocol import names
from asyncinvoke.local.protocol.received import ReceivedInvocation


class Endpoint(Protocol):
    """The endpoint to check: a `LocalLambda` with `keep_requests`, or a `FakeLambda`."""

    @property
    def faults(self) -> Sequence[InjectedFault]:
        """The active faults."""
        ...

    @property
    def requests(self) -> Sequence[ReceivedInvocation]:
        """All completely received requests so far."""
        ...

    def statistics(self) -> LocalStatistics:
        """Return a frozen snapshot of the counters so far."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Strictness:
    """The checks at the end of a test; all are on by default, as in respx and pytest-httpx.

    Return one from the fixture `local_lambda_strictness`, or call `violations` yourself.
    """

    unmet_faults: bool = True
    """Fail on a fault applied to no request or to fewer than `count`. Removed faults are ignored."""
    unexpected_requests: bool = True
    """Fail on a request for a function that was never registered."""
    unused_functions: bool = True
    """Fail on a function that was never invoked."""

    def violations(self, endpoint: Endpoint) -> list[str]:
        """Return a message for each violation.

        Args:
            endpoint: A `LocalLambda` with `keep_requests`, or a `FakeLambda`.
        """
        functions: Mapping[str, FunctionStatistics] = endpoint.statistics().functions
        found: list[str] = []
        if self.unmet_faults:
            found += [f"unused fault: {fault!r}" for fault in endpoint.faults if fault.is_unmet]
        if self.unexpected_requests:
            requested = {
                names.bare_name(r.function_name) or r.function_name for r in endpoint.requests
            }
            found += [
                f"a request for {name!r}, which was never registered"
                for name in sorted(requested - functions.keys())
            ]
        if self.unused_functions:
            found += [
                f"the function {name!r} was never invoked"
                for name, numbers in sorted(functions.items())
                if not numbers.invocations
            ]
        return found
