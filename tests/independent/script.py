"""A script of calls through an invoker, each reduced to facts that can be compared."""

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

import asyncinvoke
from asyncinvoke import Invoker, Outcome, Response, RetryPolicy, ThrottleReason

from . import deployed

Facts = dict[str, object]
"""The facts about one call, by name."""

ACCOUNT_CONCURRENCY = 5
"""The concurrency limit of both servers."""

CALLERS = 9
"""The number of concurrent calls that reach a limit."""

WAIT_SECONDS = 30.0

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MANY = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A server, and what is needed to call it."""

    url: str
    """Its endpoint URL."""
    invoker: Invoker
    """An invoker that makes one attempt, with a fixed limit."""
    folder: Path
    """An empty folder of this server for this call."""


Call = Callable[[Site], Awaitable[Facts]]
"""Makes a call at a site, and returns the facts."""

CALLS: dict[str, Call] = {}
"""The calls of the script by name, in order."""


def _call(function: Call) -> Call:
    name = getattr(function, "__name__", "").replace("_", " ").strip()
    CALLS[name] = function
    return function


def _invoke(name: str, function: str, payload: object = None, **options: Any) -> None:
    """Add a call that is just `invoker.invoke`."""
    CALLS[name] = lambda site: facts_of(site.invoker.invoke(function, payload, **options))


async def facts_of(call: Awaitable[Response]) -> Facts:
    """Await a call and reduce its response or its error."""
    try:
        return of_response(await call)
    except asyncinvoke.AsyncInvokeError as error:
        return of_error(error)


def of_response(response: Response) -> Facts:
    """Reduce a response."""
    return {
        "status": response.status_code,
        "payload": _json(response.payload),
        "executed_version": response.executed_version,
        "request_id": _ID.fullmatch(response.request_id or "") is not None,
        "attempts": len(response.attempts),
    }


def of_error(error: Exception) -> Facts:
    """Reduce an error to what a caller can act on."""
    facts: Facts = {"error": type(error).__name__}
    for name in ("status_code", "code", "reason", "scope", "delivery", "gave_up", "retry_after"):
        if hasattr(error, name):
            value = getattr(error, name)
            facts[name] = None if value is None else str(value)
    if isinstance(error, asyncinvoke.FunctionError):
        facts["function_error"] = error.function_error
        facts["error_type"] = error.error_type
        facts["error_message"] = _ID.sub("ID", error.error_message or "")
        facts["has_trace"] = bool(error.stack_trace)
        facts["executed_version"] = error.response.executed_version
    elif isinstance(error, asyncinvoke.InvocationError):
        facts["message"] = error.message
    return facts


_invoke("success", "echo", {"name": "Zoë", "numbers": [1, 2.5, None]})
_invoke("no payload", "echo")
_invoke("null result", "nothing")
_invoke("dry run", "echo", invocation_type="DryRun")
_invoke("client context", "custom", client_context={"custom": {"shop": "north"}})
_invoke("tenant id", "echo", 1, tenant_id="shop 1")
_invoke("function error", "fail", 7)
_invoke("timeout", "slow")
_invoke("exit status", "leave", 3)
_invoke("exit without a status", "leave", 0)
_invoke("result that is not JSON", "unserializable")
_invoke("handler that is not there", "missing")
_invoke("answer too large", "letters", 6_400_000)
_invoke("payload that is not JSON", "echo", b'{"cut": ')
_invoke("unknown function", "nobody")
_invoke("unknown version", "echo", qualifier="7")
_invoke("unknown alias", "echo:blue")
_invoke("another region", f"arn:aws:lambda:eu-west-1:{deployed.ACCOUNT}:function:echo")
# Refused before it is sent; `matrix.py` has what the service says.
_invoke("qualifiers that differ", "echo:1", qualifier="2")
_invoke("reserve of zero", "closed")


async def _describe(site: Site, function: str, **options: Any) -> Facts:
    try:
        response = await site.invoker.invoke(function, **options)
    except asyncinvoke.AsyncInvokeError as error:
        return of_error(error)
    told = response.json()
    same = told.pop("request_id") == response.request_id
    return {**of_response(response), **told, "payload": None, "same_request_id": same}


CALLS["context"] = partial(_describe, function="tell")
CALLS["version"] = partial(_describe, function="tell", qualifier="1")
CALLS["alias in the name"] = partial(_describe, function="tell:live")
CALLS["partial ARN"] = partial(_describe, function=f"{deployed.ACCOUNT}:function:tell:live")


@_call
async def log_tail(site: Site) -> Facts:
    """Request the log."""
    response = await site.invoker.invoke("echo", "hello", log_type="Tail")
    lines = (response.log_result or "").splitlines()
    return {
        "printed": "echo saw hello" in lines,
        "begins": [line.split(" ")[0] for line in lines[:1]],
        "ends": [line.split(" ")[0] for line in lines[-2:]],
        "without": (await site.invoker.invoke("echo", "hello")).log_result,
    }


@_call
async def event(site: Site) -> Facts:
    """An Event is accepted, and runs once."""
    accepted = await site.invoker.send_event("record", {"folder": str(site.folder), "item": 1})
    await until_files(site.folder, 1)
    return {**of_response(accepted), "ran": items(site.folder)}


@_call
async def event_to_a_reserve_of_zero(site: Site) -> Facts:
    """An Event is accepted though the function may not run."""
    return await facts_of(
        site.invoker.send_event("closed", {"folder": str(site.folder), "item": 1})
    )


@_call
async def event_to_an_unknown_function(site: Site) -> Facts:
    """An Event is refused."""
    return await facts_of(site.invoker.send_event("nobody"))


@_call
async def dry_run_does_not_run(site: Site) -> Facts:
    """A dry run leaves no trace, and what follows does."""
    payload = {"folder": str(site.folder), "item": "dry"}
    await site.invoker.invoke("record", payload, invocation_type="DryRun")
    await site.invoker.invoke("record", {**payload, "item": "real"})
    return {"ran": items(site.folder)}


async def _stream(site: Site, function: str, payload: object = None, **options: Any) -> Facts:
    data = b""
    try:
        async with site.invoker.stream(function, payload, **options) as stream:
            async for chunk in stream:
                data += chunk
    except asyncinvoke.AsyncInvokeError as error:
        return {**of_error(error), "data": _json(data)}
    return {
        "data": _json(data),
        "status": stream.status_code,
        "executed_version": stream.executed_version,
        "content_type": stream.content_type,
        "ended": stream.response is not None,
    }


CALLS["stream"] = partial(_stream, function="echo", payload={"name": "Zoë"})
CALLS["stream of a function error"] = partial(_stream, function="fail", payload=7)
CALLS["stream of an unknown function"] = partial(_stream, function="nobody")
CALLS["stream to a reserve of zero"] = partial(_stream, function="closed")


async def _crowd(site: Site, function: str, folder: Path) -> Facts:
    """Make more concurrent calls than allowed, and block the admitted ones until all others end."""
    started, release = folder / "started", folder / "release"
    started.mkdir(parents=True)
    outcomes: list[Facts] = []

    async def one(place: int) -> None:
        event = {"started": str(started / str(place)), "release": str(release)}
        outcomes.append(await facts_of(site.invoker.invoke(function, event)))

    try:
        async with anyio.create_task_group() as tasks:
            for place in range(CALLERS):
                tasks.start_soon(one, place)
            with anyio.fail_after(WAIT_SECONDS):
                while len(outcomes) + len(items_in(started)) < CALLERS:
                    await anyio.sleep(0.02)
            elsewhere = await facts_of(site.invoker.invoke("echo", "others"))
            release.touch()
    finally:
        release.touch()
    throttled = [facts for facts in outcomes if facts.get("error") == "ThrottledError"]
    return {
        "succeeded": sum("error" not in facts for facts in outcomes),
        "throttled": len(throttled),
        "reasons": sorted({str(facts["reason"]) for facts in throttled}),
        "scopes": sorted({str(facts["scope"]) for facts in throttled}),
        "deliveries": sorted({str(facts["delivery"]) for facts in throttled}),
        "others": elsewhere.get("payload", elsewhere.get("reason")),
    }


@_call
async def more_callers_than_the_account_has_room_for(site: Site) -> Facts:
    """Reach the account's concurrency."""
    return await _crowd(site, "hold", site.folder)


@_call
async def more_callers_than_a_reserve_has_room_for(site: Site) -> Facts:
    """Reach a function's reserved concurrency; others continue; without the reserve it has more."""
    with deployed.client_of(site.url) as sdk:
        reserve = partial(sdk.put_function_concurrency, ReservedConcurrentExecutions=2)
        await anyio.to_thread.run_sync(partial(reserve, FunctionName="narrow"))
        reserved = await _crowd(site, "narrow", site.folder / "reserved")
        others = await _crowd(site, "hold", site.folder / "others")
        await anyio.to_thread.run_sync(
            partial(sdk.delete_function_concurrency, FunctionName="narrow")
        )
    shared = await _crowd(site, "narrow", site.folder / "shared")
    return {
        **reserved,
        "left_for_others": others["succeeded"],
        "without_the_reserve": shared["succeeded"],
        "reasons_without_it": shared["reasons"],
    }


@_call
async def fan_out_over_the_limit(site: Site) -> Facts:
    """Map more payloads than the limit allows, at first none: each is run and answered once."""
    ran, started = site.folder / "ran", site.folder / "started"
    release = site.folder / "release"
    ran.mkdir()
    started.mkdir()
    payloads = [{"folder": str(ran), "item": item} for item in range(_MANY)]
    outcomes: list[Outcome] = []
    throttles_before = _throttles(site.invoker)

    async def release_after_a_throttle() -> None:
        with anyio.fail_after(WAIT_SECONDS):
            while _throttles(site.invoker) == throttles_before:
                await anyio.sleep(0.02)
        release.touch()

    try:
        async with anyio.create_task_group() as tasks:
            for place in range(ACCOUNT_CONCURRENCY):
                event = {"started": str(started / str(place)), "release": str(release)}
                tasks.start_soon(site.invoker.invoke, "hold", event)
            await until_files(started, ACCOUNT_CONCURRENCY)
            tasks.start_soon(release_after_a_throttle)
            async with site.invoker.map(
                "record", payloads, concurrency=2 * ACCOUNT_CONCURRENCY, retry=RetryPolicy.batch()
            ) as run:
                async for outcome in run:
                    outcomes.append(outcome)
    finally:
        release.touch()
    reasons = Counter(attempt.reason for outcome in outcomes for attempt in outcome.attempts)
    answered = {outcome.index: outcome.unwrap().json() for outcome in outcomes}
    return {
        "answered": answered == {item: item for item in range(_MANY)},
        "ran": sorted(items(ran)) == list(range(_MANY)),
        "delivered": reasons[None],
        "was_throttled": reasons[ThrottleReason.CONCURRENT_INVOCATION_LIMIT_EXCEEDED] > 0,
        "reasons": sorted(str(reason) for reason in reasons),
    }


def _throttles(invoker: Invoker) -> int:
    return sum(invoker.statistics().throttles.values())


@_call
async def new_code_and_old_version(site: Site) -> Facts:
    """New code replaces `$LATEST`; a version published before is unchanged."""
    with deployed.client_of(site.url) as sdk:

        def change() -> tuple[Any, ...]:
            old = sdk.publish_version(FunctionName="changing")["Version"]
            again = sdk.publish_version(FunctionName="changing")["Version"]
            changed = {"Variables": {"SHOP": "south"}}
            sdk.update_function_configuration(FunctionName="changing", Environment=changed)
            deployed.wait(sdk, "function_updated_v2", "changing")
            new = sdk.publish_version(FunctionName="changing")["Version"]
            return old, again, new

        versions = await anyio.to_thread.run_sync(change)
    shops = [
        (await site.invoker.invoke("changing", qualifier=qualifier)).json()["shop"]
        for qualifier in ("1", "2", "$LATEST")
    ]
    return {"versions": versions, "shops": shops}


async def until_files(folder: Path, count: int) -> None:
    """Wait until a folder holds a number of files."""
    with anyio.fail_after(WAIT_SECONDS):
        while len(items_in(folder)) < count:
            await anyio.sleep(0.02)


def items_in(folder: Path) -> list[Path]:
    """Return the complete files of a folder."""
    return [path for path in folder.iterdir() if path.suffix != ".part"]


def items(folder: Path) -> list[Any]:
    """Return the contents of the files of a folder."""
    return [json.loads(path.read_text("utf-8")) for path in items_in(folder)]


def _json(payload: bytes) -> object:
    try:
        value = json.loads(payload) if payload else payload
    except ValueError:
        return payload
    # A value that is too large is represented by its size.
    return len(value) if isinstance(value, str) and len(value) > 1000 else value
