"""One contestant in a process of its own, which invokes when it is told to and says what it cost.

It blocks on its standard input between the questions, so that nothing else runs in its process.
"""

import argparse
import asyncio
import functools
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from benchmarks import contestants, fanouts
from benchmarks.child import Child
from benchmarks.contestants import Contestant, Drive
from benchmarks.process import memory

CONTESTANTS: dict[str, Contestant] = {
    "invoke": contestants.invoke,
    "invoke, client transport": functools.partial(contestants.invoke, transport="client"),
    "map": contestants.fan_out,
    "map, client transport": functools.partial(contestants.fan_out, transport="client"),
    "direct transport alone": contestants.direct_transport,
    "aiobotocore": contestants.aiobotocore,
    "aioboto3": contestants.aioboto3,
    "boto3, threads": contestants.boto3_threads,
    "aws-sdk-lambda": contestants.aws_sdk_lambda,
    "aiohttp": contestants.aiohttp_floor,
    "gather, aiobotocore": fanouts.gather,
    "aiometer, aiobotocore": fanouts.aiometer,
}
"""The names by which a `Worker` is asked for one."""


class Worker(Child):
    """A contestant with an open client.

    Args:
        name: Its name in `CONTESTANTS`.
        url: The endpoint.
        in_flight: How many invocations it has in flight.
        python: The interpreter whose environment has its libraries.
    """

    def __init__(
        self, name: str, *, url: str, in_flight: int, python: str = sys.executable
    ) -> None:
        super().__init__("worker", name, f"--url={url}", f"--in-flight={in_flight}", python=python)

    def invoke(self, count: int, *, size: int = 16, watch_every: int = 0) -> dict[str, Any]:
        """Invoke so many times and return what it cost.

        Args:
            count: How many invocations.
            size: The size of a payload, in bytes.
            watch_every: Look at the resident memory before each so many-th payload; 0 for never.
        """
        return self.ask(count=count, size=size, watch_every=watch_every)


async def measure(drive: Drive, *, count: int, size: int, watch_every: int) -> dict[str, Any]:
    """Invoke so many times, and give the times in seconds and the memory in bytes."""
    resident: list[int] = []

    def payloads() -> Iterator[bytes]:
        filling = b"x" * (size - 16)
        for number in range(count):
            if watch_every and number % watch_every == 0:
                resident.append(memory("VmRSS"))
            # No two are the same object, as in life.
            yield b'"%014d' % number + filling + b'"'

    # Where memory is watched, the measurement itself must not grow.
    latencies: deque[float] = deque(maxlen=watch_every or count)
    peak = memory("VmHWM")
    began, cpu_began = time.perf_counter(), time.process_time()
    await drive(payloads(), latencies)
    cpu, wall = time.process_time() - cpu_began, time.perf_counter() - began
    ordered = sorted(latencies)
    return {
        "cpu": cpu / count,
        "wall": wall / count,
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[len(ordered) * 99 // 100],
        "peak_growth": memory("VmHWM") - peak,
        "resident": resident,
    }


async def _serve(name: str, url: str, in_flight: int) -> None:
    async with CONTESTANTS[name](url, in_flight) as drive:
        for line in sys.stdin:
            print(json.dumps(await measure(drive, **json.loads(line))), flush=True)


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CONTESTANTS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    options = parser.parse_args()
    try:
        asyncio.run(_serve(options.name, options.url, options.in_flight))
    except Exception as error:  # noqa: BLE001  # whoever asked is told
        print(json.dumps({"error": f"{options.name}: {_innermost(error)}"}))


if __name__ == "__main__":
    main()
