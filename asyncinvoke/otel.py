"""OpenTelemetry: `Invoker(hooks=[asyncinvoke.otel.OpenTelemetry()])` gives spans and metrics."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from asyncinvoke._statistics import InvokerStatistics
from asyncinvoke._telemetry.hooks import Instrument
from asyncinvoke.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["OpenTelemetry"]

LOOK_EVERY = 1.0
"""How many seconds lie between two looks for an SDK, while there is none."""


class OpenTelemetry(Instrument):
    """A hook that makes spans and metrics of what an invoker does.

    One object may be a hook of several invokers, whose metrics are then added up. It needs
    `opentelemetry-api` (`pip install 'asyncinvoke[otel]'`), and uses whatever SDK the program has
    set up. Without an SDK it does next to nothing.

    Spans: one for each execution, of kind CLIENT, named `Lambda.Invoke` (of a stream
    `Lambda.InvokeWithResponseStream`), current while the call runs; and below it one for each
    attempt, if there was more than one. Its trace reaches the function as `X-Amzn-Trace-Id`.

    While a call runs, instrumentations of botocore, aiobotocore and HTTP clients are suppressed, so
    that nothing is counted twice.

    Args:
        tracer_provider: Where spans go; by default the global one.
        meter_provider: Where metrics go; by default the global one.

    Raises:
        ConfigurationError: `opentelemetry-api` is not installed.
    """

    def __init__(
        self,
        *,
        tracer_provider: "TracerProvider | None" = None,
        meter_provider: "MeterProvider | None" = None,
    ) -> None:
        try:
            from asyncinvoke._otel.metrics import Metrics
            from asyncinvoke._otel.spans import Spans
        except ImportError as error:
            raise ConfigurationError(
                "asyncinvoke.otel needs opentelemetry-api: pip install 'asyncinvoke[otel]'"
            ) from error
        self._metrics = Metrics(meter_provider)
        self._spans = Spans(tracer_provider, self._metrics)
        self._is_set_up = tracer_provider is not None or meter_provider is not None
        self._look_at = 0.0

    def __call__(self, event: object) -> None:
        """Take an event; an invoker does that."""
        take = self._spans.takes.get(type(event))
        if take is not None:
            take(event)

    @property
    def listens(self) -> bool:
        """Whether the program has set up an SDK; looked at once a second until it has."""
        if not self._is_set_up:
            now = monotonic()
            if now >= self._look_at:
                self._look_at = now + LOOK_EVERY
                self._is_set_up = self._metrics.are_set_up or self._spans.are_set_up
        return self._is_set_up

    def opened(self, statistics: Callable[[], InvokerStatistics]) -> None:
        """Observe an invoker from now on; an invoker does that."""
        self._look_at = 0.0
        self._metrics.opened(statistics)

    def closed(self, statistics: Callable[[], InvokerStatistics]) -> None:
        """Observe an invoker no more; an invoker does that."""
        self._metrics.closed(statistics)

    def handed_over(self, execution: object) -> None:
        """Let the caller's own code have its own context back; an invoker does that."""
        self._spans.handed_over(execution)

    def __repr__(self) -> str:
        return "<asyncinvoke.otel.OpenTelemetry>"
