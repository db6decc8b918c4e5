"""Calls in a process without free descriptors: `python -m tests.transport.without_files LOOP PORT`.

Run by `test_without_files.py`, because lowering the limit would affect other tests in the process.
Prints as JSON, for each variant and each place that needs a descriptor, the results of a call
without one and of a call afterwards.
"""

import contextlib
import json
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any

import anyio

from asyncinvoke._model.delivery import Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._request.parameters import checked
from tests.transport.variants import VARIANTS, open_variant

LOOPS = ["asyncio", "trio"]
PLACES = {"address": "127.0.0.1", "name": "localhost", "stream": "127.0.0.1"}
"""The host names to connect to; one of the calls is a stream."""


@contextlib.contextmanager
def no_file_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


async def call(transport: Any, place: str) -> object:
    parameters, progress = checked("f"), Progress()
    if place != "stream":
        return await transport.send(parameters, b"1", progress)
    opened = await transport.open(parameters, b"1", progress)
    if not isinstance(opened, Failure):
        await opened.aclose()
    return opened


async def results_of(port: str) -> list[tuple[str, str, str | None, str | None, bool]]:
    told: list[tuple[str, str, str | None, str | None, bool]] = []
    for variant in VARIANTS:
        for place, host in PLACES.items():
            async with open_variant(f"http://{host}:{port}", variant) as transport:
                if place == "name":
                    # Files needed earlier have been read; no connection and no name is cached.
                    async with open_variant(f"http://127.0.0.1:{port}", variant) as other:
                        await call(other, place)
                with no_file_left():
                    failed = await call(transport, place)
                fault = phase = None
                if isinstance(failed, Failure):
                    fault, phase = failed.fault, failed.phase.name
                then = not isinstance(await call(transport, place), Failure)
                told.append((variant, place, fault, phase, then))
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(anyio.run(results_of, sys.argv[2], backend=sys.argv[1])))
