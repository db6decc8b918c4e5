"""Counters of what an invoker has done."""

from collections import Counter

from asyncinvoke.model.throttling import ThrottleReason


class Tally:
    """Counts attempts; added to by the engine, read by `Invoker.statistics()`."""

    __slots__ = ("attempts", "executions", "retries", "throttles")

    def __init__(self) -> None:
        self.executions = 0
        self.attempts = 0
        self.retries = 0
        self.throttles: Counter[ThrottleReason] = Counter()
