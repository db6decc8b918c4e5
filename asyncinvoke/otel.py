"""OpenTelemetry: `Invoker(hooks=[asyncinvoke.otel.OpenTelemetry()])` creates spans and metrics."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from asyncinvoke._statistics import InvokerStatistics
from asyncinvoke._telemetry.hooks import Instrument
from asyncinvoke.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
else:
    try:  # for what evaluates annotations, such as `typing.get_type_hints`
        from opentelemetry.metrics import MeterProvider
        from opentelemetry.trace import TracerProvider
    except ImportError:
        MeterProvider = TracerProvider = Any

__all__ = ["OpenTelemetry"]

LOOK_EVERY = 1.0
"""The interval between checks for an SDK, while there is none, in seconds."""


class OpenTelemetry(Instrument):
    """A hook that produces spans and metrics for an invoker.

    Counters and gauges are summed over all invokers that report to the same meter provider,
    whether they share an instance or not. It requires `opentelemetry-api`
    (`pip install 'asyncinvoke[otel]'`) and uses the SDK configured by the program. Without an SDK
    its overhead is negligible.

    It creates one span per execution, of kind CLIENT, named `Lambda.Invoke` (or
    `Lambda.InvokeWithResponseStream` for streams), which is current during the call, and a child
    span per attempt if there was more than one. The trace is propagated to the function as
    `X-Amzn-Trace-Id`.

    During a call, instrumentations of botocore, aiobotocore and HTTP clients are suppressed to
    avoid duplicates.

    Args:
        tracer_provider: The tracer provider; by default the global one.
        meter_provider: The meter provider; by default the global one.

    Raises:
        ConfigurationError: `opentelemetry-api` is not installed.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        try:
            from asyncinvoke._otel.metrics import metrics_of
            from asyncinvoke._otel.spans import Spans
        except ImportError as error:
            raise ConfigurationError(
                "asyncinvoke.otel needs opentelemetry-api: pip install 'asyncinvoke[otel]'"
            ) from error
        self._metrics = metrics_of(meter_provider)
        self._spans = Spans(tracer_provider, self._metrics)
        self._is_set_up = tracer_provider is not None or meter_provider is not None
        self._look_at = 0.0

    def __call__(self, event: object) -> None:
        """Handle an event; called by the invoker."""
        take = self._spans.takes.get(type(event))
        if take is not None:
            take(event)

    @property
    def listens(self) -> bool:
        """Whether the program has configured an SDK; checked once per second until it has."""
        if not self._is_set_up:
            now = monotonic()
            if now >= self._look_at:
                self._look_at = now + LOOK_EVERY
                self._is_set_up = self._metrics.are_set_up or self._spans.are_set_up
        return self._is_set_up

    def opened(self, statistics: Callable[[], InvokerStatistics]) -> None:
        """Start observing an invoker; called by the invoker."""
        self._look_at = 0.0
        self._metrics.opened(statistics)

    def closed(self, statistics: Callable[[], InvokerStatistics]) -> None:
        """Stop observing an invoker; called by the invoker."""
        self._metrics.closed(statistics)

    def handed_over(self, execution: object) -> None:
        """Restore the context of the caller's own code; called by the invoker."""
        self._spans.handed_over(execution)

    def __repr__(self) -> str:
        return "<asyncinvoke.otel.OpenTelemetry>"
