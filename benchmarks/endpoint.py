"""An endpoint in a separate process, with limits that may change: `Endpoint` starts one.

Run as a module, it serves until its standard input is closed, and answers each line read there with a
line of JSON: its counts so far.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from typing import Any, Self

from aiohttp import web

from asyncinvoke.local import LocalLambda
from benchmarks.child import Child

FUNCTION = "work"
CALM = "calm"


class Endpoint(Child):
    """A process that serves the function `work`, which sleeps.

    Args:
        duration: The duration of the function, in seconds.
        spread: The variation of the duration, as a fraction of it.
        account: The account's concurrency.
        reserved: The function's reserved concurrency.
        moves: Pairs (seconds after the first request, limit) that change the account's
            concurrency.
        rate: A limit on requests per second instead, with `FunctionInvocationRateLimitExceeded`.
    """

    def __init__(
        self,
        *,
        duration: float = 0.1,
        spread: float = 0.0,
        account: int = 1000,
        reserved: int | None = None,
        moves: tuple[tuple[float, int], ...] = (),
        rate: float | None = None,
    ) -> None:
        arguments = [f"--duration={duration}", f"--spread={spread}", f"--account={account}"]
        arguments += [f"--move={after}:{limit}" for after, limit in moves]
        if reserved is not None:
            arguments += [f"--reserved={reserved}"]
        if rate is not None:
            arguments += [f"--rate={rate}"]
        super().__init__("endpoint", *arguments)

    def __enter__(self) -> Self:
        super().__enter__()
        self.url = self.ask()["url"]
        return self

    def counts(self) -> dict[str, Any]:
        """Return the counts: executions, throttled, repeated (payloads that ran twice)."""
        return self.ask()


class Seen:
    """The payloads that ran, and how often."""

    def __init__(self, duration: float, spread: float) -> None:
        self._duration = duration
        self._spread = spread
        self._random = random.Random(1)
        self.payloads: Counter[str] = Counter()
        self.began: float | None = None

    async def run(self, payload: object) -> object:
        """Run the function once."""
        self.payloads[json.dumps(payload)] += 1
        await asyncio.sleep(
            self._duration * self._random.uniform(1 - self._spread, 1 + self._spread)
        )
        return payload

    def counts(self) -> dict[str, int]:
        """Return the number of executions, and of repeated ones."""
        executions = sum(self.payloads.values())
        return {"executions": executions, "repeated": executions - len(self.payloads)}


class Bucket:
    """A token bucket that holds the tokens of a tenth of a second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(rate / 10, 1.0)
        self._tokens = self._most
        self._stamp = time.monotonic()

    def take(self) -> bool:
        """Take a token, if there is one; return whether there was."""
        now = time.monotonic()
        self._tokens = min(self._tokens + (now - self._stamp) * self._rate, self._most)
        self._stamp = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


async def serve_rate(seen: Seen, rate: float) -> None:
    bucket = Bucket(rate)
    throttled = 0

    async def invoke(request: web.Request) -> web.Response:
        nonlocal throttled
        body = await request.read()
        if not bucket.take():
            throttled += 1
            return web.json_response(
                {
                    "Reason": "FunctionInvocationRateLimitExceeded",
                    "Type": "User",
                    "message": "Rate Exceeded.",
                },
                status=429,
                headers={"x-amzn-ErrorType": "TooManyRequestsException"},
            )
        return web.json_response(
            await seen.run(json.loads(body)), headers={"X-Amz-Executed-Version": "$LATEST"}
        )

    app = web.Application()
    app.router.add_post("/2015-03-31/functions/{name}/invocations", invoke)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    await answer_lines(f"http://{host}:{port}", lambda: {**seen.counts(), "throttled": throttled})
    await runner.cleanup()


async def serve_local(
    seen: Seen, account: int, reserved: int | None, moves: list[tuple[float, int]]
) -> None:
    async def work(event: object, _context: object) -> object:
        if seen.began is None:
            seen.began = time.monotonic()
            loop = asyncio.get_running_loop()
            for after, limit in moves:
                loop.call_later(after, setattr, local, "account_concurrency", limit)
        return await seen.run(event)

    async def calm(event: object, _context: object) -> object:
        await asyncio.sleep(0.05)
        return event

    async with LocalLambda(account_concurrency=account) as local:
        local.function(FUNCTION, work, reserved_concurrency=reserved, timeout=60)
        local.function(CALM, calm, timeout=60)
        await answer_lines(
            local.url,
            lambda: {**seen.counts(), "throttled": sum(local.statistics().throttles.values())},
        )


async def answer_lines(url: str, counts: Any) -> None:
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps({"url": url, **counts()}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duration", type=float, default=0.1)
    parser.add_argument("--spread", type=float, default=0.0)
    parser.add_argument("--account", type=int, default=1000)
    parser.add_argument("--reserved", type=int)
    parser.add_argument("--move", action="append", default=[])
    parser.add_argument("--rate", type=float)
    options = parser.parse_args()
    seen = Seen(options.duration, options.spread)
    moves = [(float(move.split(":")[0]), int(move.split(":")[1])) for move in options.move]
    serving = (
        serve_local(seen, options.account, options.reserved, moves)
        if options.rate is None
        else serve_rate(seen, options.rate)
    )
    # The endpoint is there to be measured with: the less it takes itself, the better.
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.run(serving)
        return
    asyncio.run(serving)


if __name__ == "__main__":
    main()
