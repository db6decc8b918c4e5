"""Metrics: histograms recorded from events, counters and gauges observed from statistics."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias
from weakref import WeakKeyDictionary, WeakMethod

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from asyncinvoke._engine.events import ExecutionEnded, ExecutionStarted
from asyncinvoke._model.response import Attempt
from asyncinvoke._recent import Recent
from asyncinvoke._statistics import InvokerStatistics, outcome_of
from asyncinvoke._telemetry import attributes

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
"""The bucket boundaries of all histograms, in seconds; a function may run for 900 s."""

Statistics: TypeAlias = Callable[[], InvokerStatistics]
_Key: TypeAlias = tuple[tuple[str, str], ...]

_OUTCOME = "asyncinvoke.outcome"
_TENANT = re.compile(r" \(tenant .*\)$")
_BARE_NAME = re.compile(r"(?:[0-9]{12}:)?([^:]*)")
_MOST_LABELS = 1024


class Metrics:
    """Records durations as they occur, and reports counters when they are collected.

    Counters include open and closed invokers, so they never decrease. An invoker that is dropped
    without having been closed is not kept alive.

    Args:
        provider: The meter provider.
    """

    def __init__(self, provider: MeterProvider) -> None:
        meter = metrics.get_meter("asyncinvoke", meter_provider=provider)
        self._total: Counter[tuple[str, _Key]] = Counter()
        # Of each open invoker, the counts that the total includes.
        self._open: dict[WeakMethod[Statistics], Counter[tuple[str, _Key]]] = {}
        # The SDK collects in a thread of its own.
        self._lock = threading.Lock()
        self._labels: Recent[object, dict[str, str]] = Recent(_MOST_LABELS)

        def histogram(name: str, description: str) -> metrics.Histogram:
            return meter.create_histogram(
                f"asyncinvoke.{name}",
                unit="s",
                description=description,
                explicit_bucket_boundaries_advisory=SECONDS,
            )

        self._execution = histogram(
            "execution.duration", "How long an execution took, waits and retries included."
        )
        self._attempt = histogram("attempt.duration", "How long an attempt took.")
        self._wait = histogram("permit.wait", "How long an attempt waited for its permit.")
        for name, unit, description in (
            ("executions", "{execution}", "Executions that have ended, by outcome."),
            ("attempts", "{attempt}", "Attempts that were started."),
            ("retries", "{attempt}", "Attempts that were not the first of their execution."),
            ("throttles", "{attempt}", "Attempts that were throttled, by reason."),
        ):
            meter.create_observable_counter(
                f"asyncinvoke.{name}", [self._counts(name)], unit, description
            )
        for name, description in (
            ("limit", "How many attempts may be in flight."),
            ("in_flight", "Attempts on the wire."),
            ("waiting", "Executions that wait for a permit."),
        ):
            meter.create_observable_gauge(
                f"asyncinvoke.{name}", [self._levels(name)], "{attempt}", description
            )

    @property
    def are_set_up(self) -> bool:
        """Whether the program has configured a provider."""
        return _is_set_up(metrics.get_meter_provider())

    def opened(self, statistics: Statistics) -> None:
        """Start observing an invoker, relative to its current counts."""
        with self._lock:
            self._open[WeakMethod(statistics)] = _counted(statistics())

    def closed(self, statistics: Statistics) -> None:
        """Add the last counts of an invoker that is closed."""
        invoker = WeakMethod(statistics)
        with self._lock:
            if invoker in self._open:
                self._catch_up(invoker)
                del self._open[invoker]

    def waited(self, execution: ExecutionStarted, seconds: float) -> None:
        """Record the time spent waiting for a permit."""
        self._wait.record(seconds, self._of(execution))

    def attempt_ended(self, execution: ExecutionStarted, attempt: Attempt) -> None:
        """Record the duration of an attempt."""
        error = attempt.code or (None if attempt.kind is None else str(attempt.kind))
        self._attempt.record(attempt.elapsed, self._of(execution, error))

    def ended(self, event: ExecutionEnded) -> None:
        """Record the duration of an execution."""
        result = event.result
        error = None if result is None else attributes.error_type(result)
        self._execution.record(
            event.elapsed, self._of(event.execution, error, str(outcome_of(result)))
        )

    def _of(
        self, execution: ExecutionStarted, error: str | None = None, outcome: str | None = None
    ) -> Mapping[str, str]:
        """Return the labels of a duration; cached, since there are few distinct ones."""
        key = (execution.name, execution.region, execution.streams, error, outcome)
        labels = self._labels.get(key)
        if labels is None:
            labels = attributes.there(
                {
                    attributes.NAME: execution.name,
                    "faas.invoked_region": execution.region,
                    "rpc.method": "InvokeWithResponseStream" if execution.streams else "Invoke",
                    attributes.ERROR: error,
                    _OUTCOME: outcome,
                }
            )
            self._labels.put(key, labels)
        return labels

    def _counts(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> list[Observation]:
            with self._lock:
                for invoker in list(self._open):
                    self._catch_up(invoker)
                total = list(self._total.items())
            return [Observation(n, dict(key)) for (what, key), n in total if what == name]

        return observe

    def _catch_up(self, invoker: WeakMethod[Statistics]) -> None:
        """Add what an invoker has counted since the last time."""
        statistics = invoker()
        if statistics is None:
            del self._open[invoker]
            return
        counted = _counted(statistics())
        self._total.update(counted)
        self._total.subtract(self._open[invoker])
        self._open[invoker] = counted

    def _levels(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> list[Observation]:
            levels: Counter[_Key] = Counter()
            with self._lock:
                for invoker in list(self._open):
                    statistics = invoker()
                    for scope in () if statistics is None else statistics().scopes:
                        # Tenants are omitted: their number is unbounded, and they are private.
                        key = _TENANT.sub("", scope.key)
                        label = ((attributes.SCOPE, str(scope.scope)), (attributes.KEY, key))
                        levels[label] += getattr(scope, name)
            return [Observation(level, dict(key)) for key, level in levels.items()]

        return observe


_shared: WeakKeyDictionary[MeterProvider, Metrics] = WeakKeyDictionary()
_sharing = threading.Lock()


def metrics_of(provider: MeterProvider | None) -> Metrics:
    """Return the metrics that report to a provider.

    They are shared by all hooks: an SDK keeps the callback that an instrument was first created
    with, and ignores that of a second one of the same name.

    Args:
        provider: The meter provider; by default the global one.
    """
    with _sharing:
        current = metrics.get_meter_provider()
        provider = current if provider is None else provider
        found = _shared.get(provider)
        if found is None and provider is current:
            # What was created before the program configured an SDK reports to it, too.
            found = next((each for key, each in _shared.items() if _is_proxy(key)), None)
        if found is None:
            found = Metrics(provider)
        _shared[provider] = found
        return found


def _is_set_up(provider: MeterProvider) -> bool:
    # The default providers of the API have no public names.
    return not type(provider).__module__.startswith("opentelemetry.metrics.")


def _is_proxy(provider: MeterProvider) -> bool:
    return not _is_set_up(provider) and not isinstance(provider, metrics.NoOpMeterProvider)


def _counted(statistics: InvokerStatistics) -> Counter[tuple[str, _Key]]:
    """Return the counters of an invoker, by metric and labels."""
    counted: Counter[tuple[str, _Key]] = Counter()
    counted["attempts", ()] = statistics.attempts
    counted["retries", ()] = statistics.retries
    for reason, count in statistics.throttles.items():
        counted["throttles", ((attributes.REASON, str(reason)),)] = count
    for function in statistics.functions:
        # Without account and qualifier, as on spans and durations.
        found = _BARE_NAME.match(function.function)
        name = "" if found is None else found[1]
        for outcome, count in function.executions.items():
            counted["executions", ((attributes.NAME, name), (_OUTCOME, str(outcome)))] += count
    return counted
