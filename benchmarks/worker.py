"""One contestant in a separate process, which invokes on request and reports the cost.

It blocks on its standard input between requests, so that nothing else runs in its process.
"""

import argparse
import functools
import json
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import contestants, fanouts, others, streamed, watched
from benchmarks.child import CHECKOUT, Child
from benchmarks.contestants import Contestant, Drive
from benchmarks.process import memory
from benchmarks.running import run
from benchmarks.variants import Variant

CONTESTANTS: dict[str, Contestant] = {
    "invoke": contestants.invoke,
    "invoke, client transport": functools.partial(contestants.invoke, transport="client"),
    "map": contestants.fan_out,
    "map, client transport": functools.partial(contestants.fan_out, transport="client"),
    "direct transport alone": contestants.direct_transport,
    "aiobotocore": contestants.aiobotocore,
    "aioboto3": others.aioboto3,
    "boto3, threads": others.boto3_threads,
    "aws-sdk-lambda": others.aws_sdk_lambda,
    "aiohttp": others.aiohttp_floor,
    "gather, aiobotocore": fanouts.gather,
    "aiometer, aiobotocore": fanouts.aiometer,
    **{name: functools.partial(watched.invoke, who=name) for name in watched.LISTENERS},
    "stream": streamed.stream,
    "stream, core": streamed.stream_of_core,
    "stream, aiobotocore": streamed.aiobotocore_stream,
}
"""The names by which a `Worker` is asked for one."""


class Worker(Child):
    """A contestant with an open client.

    Args:
        name: The name in `CONTESTANTS`.
        url: The URL of the endpoint.
        variant: The conditions of the measurement.
        python: The interpreter that has its libraries.
        environment: Additional environment variables.
        checkout: The directory whose packages it imports.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str,
        variant: Variant,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        checkout: Path = CHECKOUT,
    ) -> None:
        arguments = (name, f"--url={url}", f"--variant={variant.to_json()}")
        super().__init__(
            "worker", *arguments, python=python, environment=environment, checkout=checkout
        )

    def invoke(
        self,
        count: int,
        *,
        size: int = 16,
        warm_up: int = 0,
        made_first: bool = True,
        watch_every: int = 0,
    ) -> dict[str, Any]:
        """Invoke a number of times and return the cost.

        Args:
            count: The number of invocations.
            size: The size of a payload, in bytes.
            warm_up: The number of small invocations before the measurement, since connections may
                have been closed while others had their turn.
            made_first: Whether payloads are created before the measurement, or on demand.
            watch_every: Read the resident memory before every n-th payload, which is created on
                demand; 0 for never.
        """
        return self.ask(
            count=count,
            size=size,
            warm_up=warm_up,
            made_first=made_first and not watch_every,
            watch_every=watch_every,
        )


async def measure(
    drive: Drive, *, count: int, size: int, warm_up: int, made_first: bool, watch_every: int
) -> dict[str, Any]:
    """Invoke a number of times; return the times in seconds and the memory in bytes."""
    resident: list[int] = []
    if warm_up:
        await drive([b"1"] * warm_up, [])

    def make() -> Iterator[bytes]:
        filling = b"x" * (size - 16)
        for number in range(count):
            if watch_every and number % watch_every == 0:
                resident.append(memory("VmRSS"))
            # No two are the same object, as in life.
            yield b'"%014d' % number + filling + b'"'

    payloads: Iterable[bytes] = list(make()) if made_first else make()
    # Where memory is watched, the measurement itself must not grow.
    latencies: deque[float] = deque(maxlen=watch_every or count)
    peak = memory("VmHWM")
    began, cpu_began = time.perf_counter(), time.process_time()
    await drive(payloads, latencies)
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


async def _serve(name: str, url: str, variant: Variant) -> None:
    async with CONTESTANTS[name](url, variant) as drive:
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
    parser.add_argument("--variant", type=Variant.from_json, required=True)
    options = parser.parse_args()
    try:
        variant = options.variant
        run(variant.loop, functools.partial(_serve, options.name, options.url, variant))
    except Exception as error:  # noqa: BLE001  # whoever asked is told
        print(json.dumps({"error": f"{options.name}: {_innermost(error)}"}))


if __name__ == "__main__":
    main()
