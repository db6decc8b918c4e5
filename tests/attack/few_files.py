"""A map in a process that may open few files: `python -m tests.attack.few_files JSON`.

Run by `test_open_files.py`; prints the results of the items as JSON.
"""

import json
import logging
import os
import resource
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import anyio
from tenacity import stop_after_attempt, wait_none

from asyncinvoke import Backoff, LimitChanged, RetryPolicy
from asyncinvoke.typing import Event

from .invokers import open_invoker


class LogHandler(logging.Handler):
    """Records log messages."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def run(task: dict[str, Any]) -> dict[str, Any]:
    """Map over the items, with all descriptors in use before or after the invoker is opened."""
    lines = LogHandler()
    logging.getLogger("asyncinvoke").addHandler(lines)
    logging.getLogger("asyncinvoke").setLevel(logging.INFO)
    events: list[Event] = []
    ends: Counter[str] = Counter()
    attempts = 0
    held: list[int] = []
    # An item for which an attempt is spent on this is lost.
    once = Backoff(wait=wait_none(), stop=stop_after_attempt(1))
    retry = replace(RetryPolicy.batch(), transport=once)
    resource.setrlimit(resource.RLIMIT_NOFILE, (task["files"], task["files"]))
    async with open_invoker(
        task["url"], transport=task["transport"], limit=1000, clock=None, hooks=[events.append]
    ) as invoker:
        for _ in range(task["used_later"]):
            held.append(os.open(os.devnull, os.O_RDONLY))
        async with invoker.map("f", range(task["items"]), retry=retry) as run:
            async for outcome in run:
                ends["ok" if outcome.ok else str(outcome.error)] += 1
                attempts += len(outcome.attempts)
        for each in held:
            os.close(each)
        scopes = {str(scope.scope) for scope in invoker.statistics().scopes}
    return {
        "ends": ends,
        "attempts": attempts,
        "lines": lines.lines,
        "scopes": sorted(
            scopes | {str(event.scope) for event in events if isinstance(event, LimitChanged)}
        ),
    }


if __name__ == "__main__":
    given: dict[str, Any] = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(anyio.run(run, given, backend=given["backend"])))
