"""Runs for reports, as the values that a journal would return."""

from collections.abc import Mapping
from typing import Any

from asyncinvoke._journal.measuring import Latencies, Measures, Step
from asyncinvoke._journal.values import RecordedCause, RecordedSession, RunSummary, Sample
from asyncinvoke._report.facts import Facts, facts_of

STARTED = 1_790_000_000.0
REASON = "ReservedFunctionConcurrentInvocationLimitExceeded"


def session(number: int, **changes: Any) -> RecordedSession:
    values: dict[str, Any] = {
        "number": number,
        "started": STARTED + 1000 * (number - 1),
        "ended": STARTED + 1000 * (number - 1) + 10,
        "status": "complete",
        "host": "a-host",
        "pid": 4711,
    }
    return RecordedSession(**(values | changes))


def summary(**changes: Any) -> RunSummary:
    values: dict[str, Any] = {
        "path": "orders.run",
        "id": "id",
        "running": False,
        "function_name": "charge",
        "qualifier": "live",
        "invocation_type": "RequestResponse",
        "keyed": True,
        "results": True,
        "identity": {"client_context": "hunter2"},
        "total": 1000,
        "succeeded": 900,
        "failed": 61,
        "not_run": 21,
        "may_have_run": 9,
        "settled": 0,
        "in_flight": 0,
        "attempts": 1020,
        "throttled": 40,
        "versions": {"3": 600, "4": 340},
        "sessions": (session(1, status="left"), session(2)),
        "notes": {
            "command": {
                "source": "orders.csv",
                "key": "/id",
                "shared": {"client_context": "hunter2"},
            },
            "total": 1000,
        },
    }
    return RunSummary(**(values | changes))


def cause(number: int = 1, **changes: Any) -> RecordedCause:
    values: dict[str, Any] = {
        "number": number,
        "error": "FunctionError",
        "code": None,
        "error_type": "ValueError",
        "delivery": "executed",
        "gave_up": "not_retryable",
        "example": "no such account",
        "count": 40,
    }
    return RecordedCause(**(values | changes))


CAUSES = (
    cause(1),
    cause(2, error="ThrottledError", code="TooManyRequestsException", error_type=None,
          delivery="rejected", gave_up="deadline", example=None, count=21),
    cause(3, error="TransportError", code="ProcessLost", error_type=None, delivery="unknown",
          gave_up="delivery_unknown", example="its process died", count=9),
)  # fmt: skip


def measures(**changes: Any) -> Measures:
    values: dict[str, Any] = {
        "latencies": tuple(
            Latencies(seconds=n / 1000, longest=n / 1000 + 0.0005, count=10) for n in range(50, 150)
        ),
        "lasted": {1: 10.0, 2: 10.0},
        "step": 1.0,
        "steps": tuple(
            Step(session=number, at=float(at), succeeded=45, failed=5)
            for number in (1, 2)
            for at in range(10)
        ),
    }
    return Measures(**(values | changes))


def samples() -> list[Sample]:
    return [
        Sample(
            session=number,
            at=STARTED + 1000 * (number - 1) + at,
            succeeded=at * 45,
            failed=at * 5,
            in_flight=20 + at,
            waiting=3,
            limit=30,
            rate=None,
            throttles={REASON: at * 2, "Unknown": at // 5},
        )
        for number in (1, 2)
        for at in range(1, 10)
    ]


LOGS: Mapping[str, Any] = {
    "count": 10,
    "gb_s": 1.0,
    "gb_s_squared": 0.11,
    "billed_ms": 8000,
    "inits": 2,
    "memory_mb": [128],
}


def facts(**changes: Any) -> Facts:
    price = changes.pop("price_per_gb_s", None)
    return facts_of(summary(**changes), CAUSES, measures(), samples(), price_per_gb_s=price)
