"""asyncinvoke and bare aiobotocore as they are compared, each set up as its documentation says.

A contestant is an async context manager over a URL and a `Variant`; it yields a `Drive`, which invokes
once per payload. Libraries are imported where they are used, since some live in a separate
environment.
"""

import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from benchmarks.canned_answers import BODY
from benchmarks.running import together
from benchmarks.variants import Variant

FUNCTION = "work"
REGION = "eu-west-1"
NEVER = 3600.0
"""A timeout that never passes, in seconds."""

Call: TypeAlias = Callable[[bytes], Awaitable[bytes]]
"""Invokes once and returns the answer's body."""

Latencies: TypeAlias = list[float] | deque[float]
"""How long each invocation took, in seconds."""

Drive: TypeAlias = Callable[[Iterable[bytes], Latencies], Awaitable[None]]
"""Invokes once for each payload and appends how long each invocation took."""

Contestant: TypeAlias = Callable[[str, Variant], contextlib.AbstractAsyncContextManager[Drive]]
"""Opens a client for a URL and the surroundings in which it is measured."""


def check(body: bytes) -> None:
    """Raise an error unless this is the endpoint's answer."""
    if body != BODY:
        raise RuntimeError("the endpoint answered something else")


def workers(call: Call, variant: Variant, check: Callable[[bytes], None] = check) -> Drive:
    """Run a call from one worker task per place in flight; each takes the next payload when it is done."""

    async def drive(payloads: Iterable[bytes], latencies: Latencies) -> None:
        remaining = iter(payloads)

        async def work() -> None:
            for payload in remaining:
                began = time.perf_counter()
                body = await call(payload)
                latencies.append(time.perf_counter() - began)
                check(body)

        await together(variant.loop, work, variant.in_flight)

    return drive


def credentials_session(variant: Variant) -> Any:
    """Return an aiobotocore session with the credentials of a variant."""
    from aiobotocore.session import get_session

    session = get_session()
    if variant.credentials == "refreshable":
        import datetime as dt

        from aiobotocore.credentials import AioRefreshableCredentials
        from botocore.credentials import tzlocal

        async def refresh() -> dict[str, str]:
            raise RuntimeError("credentials were renewed an hour too early")

        # As botocore builds those of a role; without a token, as the static ones are, so that
        # only what it takes to ask for them differs.
        session._credentials = AioRefreshableCredentials(  # noqa: SLF001
            "AKIDEXAMPLE",
            "not-a-secret",
            None,
            dt.datetime.now(tzlocal()) + dt.timedelta(hours=1),
            refresh,
            "assume-role",
        )
    return session


def open_invoker(
    url: str, variant: Variant, transport: Any = "direct", hooks: Iterable[Any] = ()
) -> Any:
    """Return the invoker of a variant, not yet entered."""
    from asyncinvoke import Invoker

    return Invoker(
        session=credentials_session(variant),
        region_name=REGION,
        endpoint_url=url,
        limit=variant.in_flight,
        transport=transport,
        hooks=hooks,
    )


@contextlib.asynccontextmanager
async def invoke(
    url: str, variant: Variant, transport: Any = "direct", hooks: Iterable[Any] = ()
) -> AsyncIterator[Drive]:
    """`Invoker.invoke` with all features."""
    async with open_invoker(url, variant, transport, hooks) as invoker:

        async def call(payload: bytes) -> bytes:
            content: bytes = (await invoker.invoke(FUNCTION, payload)).payload
            return content

        async def call_in_time(payload: bytes) -> bytes:
            content: bytes = (await invoker.invoke(FUNCTION, payload, timeout=NEVER)).payload
            return content

        yield workers(call_in_time if variant.timeout else call, variant)


@contextlib.asynccontextmanager
async def fan_out(url: str, variant: Variant, transport: Any = "direct") -> AsyncIterator[Drive]:
    """`Invoker.map` with all features."""
    in_time = {"timeout": NEVER} if variant.timeout else {}
    async with open_invoker(url, variant, transport) as invoker:

        async def drive(payloads: Iterable[bytes], latencies: Latencies) -> None:
            async with invoker.map(FUNCTION, payloads, **in_time) as run:
                async for outcome in run:
                    check(outcome.unwrap().payload)
                    latencies.append(outcome.elapsed)

        yield drive


@contextlib.asynccontextmanager
async def direct_transport(url: str, variant: Variant) -> AsyncIterator[Drive]:
    """The direct transport alone, without limits, history and retries."""
    from asyncinvoke._model.delivery import Progress
    from asyncinvoke._model.response import Reply
    from asyncinvoke._request.parameters import InvokeParameters
    from asyncinvoke._request.target import Target
    from asyncinvoke._transport.session import choose_transport, open_client

    async with open_client(
        session=None,
        region_name=REGION,
        endpoint_url=url,
        config=None,
        max_pool_connections=variant.in_flight,
    ) as client:
        transport = choose_transport(client, "direct")
        parameters = InvokeParameters(target=Target.parse(FUNCTION))

        async def call(payload: bytes) -> bytes:
            answer = await transport.send(parameters, payload, Progress())
            assert isinstance(answer, Reply)
            return answer.payload

        yield workers(call, variant)


@contextlib.asynccontextmanager
async def aiobotocore_client(url: str, variant: Variant) -> AsyncIterator[Any]:
    """A bare aiobotocore client without retries, as for an invoker."""
    from aiobotocore.config import AioConfig

    options: dict[str, Any] = {}
    if variant.loop == "trio":
        from aiobotocore.httpxsession import HttpxSession

        # Its own five seconds to write, and to wait for a connection, are too few for some variants.
        options["http_session_cls"] = HttpxSession
        options["connector_args"] = {"write_timeout": 60.0, "pool_timeout": None}
    config = AioConfig(
        max_pool_connections=variant.in_flight, retries={"total_max_attempts": 1}, **options
    )
    async with credentials_session(variant).create_client(
        "lambda", region_name=REGION, endpoint_url=url, config=config
    ) as client:
        yield client


@contextlib.asynccontextmanager
async def aiobotocore_call(url: str, variant: Variant) -> AsyncIterator[Call]:
    """Bare aiobotocore's `invoke`."""
    async with aiobotocore_client(url, variant) as client:
        yield sdk_call(client)


@contextlib.asynccontextmanager
async def aiobotocore(url: str, variant: Variant) -> AsyncIterator[Drive]:
    """Bare aiobotocore in a loop of workers."""
    async with aiobotocore_call(url, variant) as call:
        yield workers(call, variant)


def sdk_call(client: Any) -> Call:
    """Return a call through a client with aiobotocore's interface."""

    async def call(payload: bytes) -> bytes:
        answer = await client.invoke(FunctionName=FUNCTION, Payload=payload)
        async with answer["Payload"] as body:
            content: bytes = await body.read()
            return content

    return call
