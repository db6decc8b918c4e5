"""A process that forks others on demand, each of which runs a map with a journal and may be killed.

Everything is imported once, so that each such process costs only a fork. It is requested by a line of
JSON on standard input; the replies are its process ID, and later its exit status.
"""

import json
import os
import sys
from typing import Any

import anyio

import asyncinvoke
import asyncinvoke._transport.session  # noqa: F401  # what an invoker imports when it is entered
from asyncinvoke import InvocationError, Invoker, Journal, Outcome

CONCURRENCY = 16


def payload(index: int) -> dict[str, int]:
    return {"item": index}


def key(item: dict[str, int]) -> str:
    return f"key-{item['item']}"


def code(outcome: Outcome) -> str | None:
    return outcome.error.code if isinstance(outcome.error, InvocationError) else None


async def session(
    url: str,
    journal: str,
    items: int,
    *,
    keyed: bool = False,
    streamed: bool = False,
    concurrency: int = CONCURRENCY,
    **options: Any,
) -> list[Outcome]:
    """Run or continue a map to its end; return the outcomes that the loop has received."""
    if keyed:
        options["key"] = key
    async with (
        Invoker(endpoint_url=url, limit=concurrency) as invoker,
        invoker.map(
            "work",
            map(payload, range(items)) if streamed else [payload(each) for each in range(items)],
            journal=Journal(journal),
            concurrency=concurrency,
            **options,
        ) as run,
    ):
        return [outcome async for outcome in run]


def run(backend: str, url: str, journal: str, items: int, **options: Any) -> list[Outcome]:
    """Run a session on a new event loop."""
    return anyio.run(lambda: session(url, journal, items, **options), backend=backend)


def serve() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        backend = asked.pop("backend")
        pid = os.fork()
        if not pid:
            try:
                run(backend, **asked)
                os._exit(0)
            except BaseException as error:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
                os._exit(1)
        answer(pid=pid)
        answer(status=os.waitpid(pid, 0)[1])


def answer(**said: int) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
