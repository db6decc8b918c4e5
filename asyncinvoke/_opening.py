"""Opens an invoker, from settings that were validated before, and makes the recorders of its maps."""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Literal, TypeAlias

from asyncinvoke._clock import SYSTEM_CLOCK, Clock, default_clock
from asyncinvoke._engine.caller import Opened
from asyncinvoke._engine.calls import Defaults, check_timeout
from asyncinvoke._engine.events import Hook
from asyncinvoke._engine.execution import Engine
from asyncinvoke._engine.journal import Journal
from asyncinvoke._engine.recording import Recorder
from asyncinvoke._engine.waits import Waits, guarded
from asyncinvoke._limits.limit import AdaptiveLimit, FixedLimit, read_limit
from asyncinvoke._limits.limiter import Limiter
from asyncinvoke._model.response import Decode
from asyncinvoke._request.parameters import InvokeParameters, check_flag
from asyncinvoke._request.target import show_value
from asyncinvoke._retries.policy import RetryPolicy
from asyncinvoke._statistics import InvokerStatistics, Tally
from asyncinvoke._telemetry.hooks import checked_hooks
from asyncinvoke._transport.base import LambdaClient, WholeTransport
from asyncinvoke._transport.process import loop_teller, open_files
from asyncinvoke.errors import ConfigurationError, InvalidRequestError, JournalError

AnyTransport: TypeAlias = Literal["direct", "client"] | WholeTransport
"""The name of a transport, or one of the caller's own."""


class Opening:
    """The settings of an invoker's parts: its client, transport, limiter, hooks and clock.

    Args:
        client: As for `Invoker`, like all others.
        session: As for `Invoker`.
        region_name: As for `Invoker`.
        endpoint_url: As for `Invoker`.
        config: As for `Invoker`.
        limit: As for `Invoker`.
        transport: As for `Invoker`.
        hooks: As for `Invoker`.
        clock: As for `Invoker`.

    Raises:
        ConfigurationError: A setting is invalid, or has no effect beside another.
    """

    def __init__(
        self,
        client: LambdaClient | None,
        *,
        session: object | None,
        region_name: str | None,
        endpoint_url: str | None,
        config: object | None,
        limit: int | FixedLimit | AdaptiveLimit,
        transport: AnyTransport,
        hooks: Iterable[Hook],
        clock: Clock | None,
    ) -> None:
        self.client: LambdaClient | None = client
        """The caller's client, if there is one."""
        self._of_client: dict[str, Any] = {
            "session": session,
            "region_name": region_name,
            "endpoint_url": endpoint_url,
            "config": config,
        }
        self._clock = _checked_clock(clock)
        self._hooks = checked_hooks(hooks)
        self._transport = _checked_transport(transport)
        connections = self._checked_connections()
        self._new_limiter = partial(
            Limiter, read_limit(limit), hooks=self._hooks, connections=connections
        )
        self.limiter: Limiter = self._new_limiter(clock=clock or SYSTEM_CLOCK)
        """The limiter; replaced whenever the invoker is opened."""

    async def open(self, tally: Tally, statistics: Callable[[], InvokerStatistics]) -> Opened:
        """Open everything, in the running event loop.

        Args:
            tally: The invoker's counters.
            statistics: Returns the invoker's statistics, for its hooks.

        Raises:
            ConfigurationError: No region or no credentials were found, or a setting is invalid.
        """
        clock = default_clock() if self._clock is None else self._clock
        # Always a new limiter: a previous one holds stale state and times of another clock.
        self.limiter = self._new_limiter(clock=clock, files=open_files())
        waits = Waits(loop_teller())
        async with AsyncExitStack() as stack:
            transport, region = await self._open_transport(stack)
            if self._hooks:
                self._hooks.opened(statistics)
                stack.callback(self._hooks.closed, statistics)
            return Opened(
                engine=Engine(
                    self.limiter,
                    clock=clock,
                    tally=tally,
                    waits=waits,
                    hooks=self._hooks,
                    region=region,
                ),
                transport=guarded(transport, waits),
                stack=stack.pop_all(),
            )

    async def _open_transport(self, stack: AsyncExitStack) -> tuple[WholeTransport, str | None]:
        """Return the transport, and the region it sends to, if known."""
        if not isinstance(self._transport, str):
            return self._transport, None
        # Importing aiobotocore takes a third of a second, so it is deferred until it is needed.
        from asyncinvoke._transport.session import open_client, open_transport

        client: Any = self.client
        if client is None:
            client = await stack.enter_async_context(
                open_client(max_pool_connections=self.limiter.limit, **self._of_client)
            )
        region = getattr(client.meta, "region_name", None)
        return await open_transport(client, self._transport), region

    def _checked_connections(self) -> int | None:
        """Validate which client is used; return the size of its connection pool, if it is set."""
        given = [name for name, value in self._of_client.items() if value is not None]
        if not isinstance(self._transport, str) and (self.client is not None or given):
            unused = "client" if self.client is not None else given[0]
            raise ConfigurationError(f"{unused} has no effect on a transport that is given")
        config = self._of_client["config"]
        if self.client is None and config is None:
            return None
        if self.client is not None and given:
            raise ConfigurationError(f"{given[0]} has no effect on a client that is given")
        from asyncinvoke._transport.session import asked_pool_size, pool_size

        # With more attempts than connections, requests would wait in the pool's queue while their
        # signatures expire.
        return asked_pool_size(config) if self.client is None else pool_size(self.client)


def open_recorder(
    journal: Journal,
    *,
    identity: Mapping[str, object],
    shared: InvokeParameters,
    keyed: bool,
    engine: Engine,
) -> Recorder:
    """Return the recorder of a map, which samples the limiter and the counters as it writes.

    Args:
        journal: The journal.
        identity: The settings that must match for the run to be continued.
        shared: What all items have in common.
        keyed: Whether items are identified by keys.
        engine: The engine that executes the items.

    Raises:
        JournalError: This Python has no SQLite.
    """
    try:
        # Deferred: runs without a journal do not pay for importing SQLite.
        from asyncinvoke._journal.recorder import JournalRecorder
    except ImportError as error:
        if error.name not in ("sqlite3", "_sqlite3"):
            raise
        raise JournalError(
            f"a journal needs the module sqlite3, which this Python was built without: {error}"
        ) from None

    def sample() -> tuple[object, ...]:
        limiter, tally = engine.limiter, engine.tally
        throttles = {reason.value: count for reason, count in tally.throttles.items()}
        # The tightest limit in use is the one that constrains the run.
        scopes = limiter.statistics()
        limit = min((scope.limit for scope in scopes), default=limiter.limit)
        rates = [scope.rate for scope in scopes if scope.rate is not None]
        return (
            limiter.in_flight,
            limiter.waiting,
            limit,
            min(rates, default=None),
            json.dumps(throttles),
        )

    return JournalRecorder(
        journal,
        identity={**identity, "results": journal.results},
        shared=shared,
        keyed=keyed,
        sample=sample,
        clock=engine.clock,
    )


def checked_defaults(
    *, decode: Decode, retry: RetryPolicy | None, timeout: float | None, idempotent: bool
) -> Defaults:
    """Return the defaults of an invoker's calls.

    Raises:
        ConfigurationError: One of them is invalid.
    """
    policy = RetryPolicy.standard() if retry is None else retry
    if not isinstance(policy, RetryPolicy):
        raise ConfigurationError(f"retry {show_value(retry)} must be a RetryPolicy")
    try:
        check_timeout(timeout)
        check_flag("idempotent", idempotent)
    except InvalidRequestError as error:
        raise ConfigurationError(str(error)) from None
    return Defaults(decode=decode, retry=policy, timeout=timeout, idempotent=idempotent)


def _checked_clock(clock: Clock | None) -> Clock | None:
    _refuse_class("clock", clock)
    for name in ("time", "monotonic", "sleep"):
        if clock is not None and not callable(getattr(clock, name, None)):
            raise ConfigurationError(f"clock has no `{name}`: it is a {type(clock).__name__}")
    return clock


def _checked_transport(transport: AnyTransport) -> AnyTransport:
    _refuse_class("transport", transport)
    if isinstance(transport, str):
        if transport not in ("direct", "client"):
            raise ConfigurationError(
                f"transport {show_value(transport)} must be 'direct' or 'client'"
            )
    elif not all(callable(getattr(transport, name, None)) for name in ("send", "open")):
        raise ConfigurationError(
            f"transport must be 'direct', 'client' or an object with `send` and `open`, "
            f"not {type(transport).__name__}"
        )
    return transport


def _refuse_class(name: str, value: object) -> None:
    """Refuse a class, which has the methods of its instances but cannot take their place."""
    if isinstance(value, type):
        raise ConfigurationError(f"{name} {value.__name__} is a class: {value.__name__}()")
