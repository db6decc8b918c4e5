"""Counts the Python calls that an invocation makes within the package, and their files.

Run `python -m tests.engine.trace`. It counts frames of the package alone, by `sys.setprofile`: no
clock, so that any machine gives the same numbers. `tests/engine/test_trace.py` holds the bounds.
"""

import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import FrameType

import anyio

import asyncinvoke
from asyncinvoke import Invoker, RetryPolicy
from asyncinvoke.local import Answer, LocalLambda

PACKAGE = str(Path(asyncinvoke.__file__).parent)
HTTP = "_transport/http/"
BY_TIME = ("_limits/rate.py roll",)
"""Functions called every half a second: they depend on the machine, and are not counted."""
OTHERS = tuple(f"{PACKAGE}/{room}" for room in ("local", "testing", "cli"))


@dataclass(kw_only=True)
class Trace:
    """The calls within the package during a trace."""

    calls: list[str] = field(default_factory=list)
    """The file and function of each call, in order."""

    @property
    def of_http(self) -> int:
        """The number of calls in the HTTP room."""
        return sum(call.startswith(HTTP) for call in self.calls)

    @property
    def modules(self) -> set[str]:
        """The files of the calls."""
        return {call.split()[0] for call in self.calls}

    @property
    def modules_beside_http(self) -> set[str]:
        """The files outside the HTTP room."""
        return {module for module in self.modules if not module.startswith(HTTP)}

    @property
    def hops(self) -> int:
        """The number of calls into another file."""
        files = [call.split()[0] for call in self.calls]
        return sum(a != b for a, b in pairwise(files))


@contextmanager
def traced(trace: Trace) -> Iterator[None]:
    """Count the package's calls in this thread; a resumed coroutine is not counted again."""
    seen: set[int] = set()
    kept: list[FrameType] = []

    def profile(frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename
        ours = file.startswith(PACKAGE) and not file.startswith(OTHERS)
        if event == "call" and ours and id(frame) not in seen:
            seen.add(id(frame))
            kept.append(frame)
            call = f"{file.removeprefix(PACKAGE)[1:]} {frame.f_code.co_name}"
            if call not in BY_TIME:
                trace.calls.append(call)

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)


async def count(invocation: Callable[[], Awaitable[object]]) -> Trace:
    """Count one invocation."""
    trace = Trace()
    with traced(trace):
        await invocation()
    return trace


async def report() -> dict[str, Trace]:
    """Count a warm invocation, one that is throttled once, and an item of a map."""
    async with (
        LocalLambda() as local,
        Invoker(endpoint_url=local.url, retry=RetryPolicy.batch()) as invoker,
    ):
        names = [f"f{number}" for number in range(5)]
        for name in names:
            local.function(name, lambda event, _: event)

        async def invoke(name: str) -> object:
            return await invoker.invoke(name, {"n": 1})

        async def map_of(items: int) -> Trace:
            trace = Trace()
            async with invoker.map(names[0], range(items), concurrency=1) as run:
                await anext(run)
                with traced(trace):
                    async for _ in run:
                        pass
            return trace

        for name in names * 3:
            await invoke(name)
        warm = [await count(partial(invoke, names[-1])) for _ in names]
        throttle = b'{"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"}'
        throttled = []
        for name in names:
            await invoke(name)
            local.fault(Answer(status_code=429, payload=throttle), function_name=name, count=1)
            throttled.append(await count(partial(invoke, name)))
        short, long = await map_of(20), await map_of(40)
        return {
            # A call in a new second asks for credentials and restarts rate counts.
            "invoke": min(warm, key=lambda trace: len(trace.calls)),
            "one 429": min(throttled, key=lambda trace: len(trace.calls)),
            "20 items of a map": Trace(calls=long.calls[len(short.calls) :]),
        }


def main() -> None:
    """Print the counts."""
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "secret")
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    for name, trace in anyio.run(report).items():
        sys.stdout.write(
            f"{name}: {len(trace.calls)} calls in {len(trace.modules)} files, {trace.hops} of them on "
            f"to another file; {trace.of_http} of the calls are HTTP\n"
        )
        if "-v" in sys.argv:
            sys.stdout.writelines(f"  {call}\n" for call in trace.calls)


if __name__ == "__main__":
    main()
