"""A fake Lambda service that records its payloads, and recorded maps over it."""

import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import anyio.lowlevel

from asyncinvoke import Invoker, Journal, MapStatistics, Outcome, RetryPolicy
from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._model.response import Reply
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.base import Stream


class FakeService:
    """A transport that echoes each item, except for those that are to fail.

    Args:
        failing: Items on which the function fails.
        lost: Items whose response is lost, so that they may or may not have run.
        refused: Items that are rejected before they run.
        stuck: Items that get no response.
        notes: Whether it records the phase of a request, which a caller's transport need not do.
    """

    def __init__(
        self,
        *,
        failing: Iterable[object] = (),
        lost: Iterable[object] = (),
        refused: Iterable[object] = (),
        stuck: Iterable[object] = (),
        notes: bool = True,
    ) -> None:
        self.failing = list(failing)
        self.lost = list(lost)
        self.refused = list(refused)
        self.stuck = list(stuck)
        self._notes = notes
        self.sent: list[Any] = []
        self.statistics: MapStatistics | None = None

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        item = json.loads(payload)
        if self._notes:
            progress.phase = Phase.CONNECTED
        await anyio.lowlevel.checkpoint()
        if item in self.refused:
            return Failure(status_code=404, code="ResourceNotFoundException", message="no such")
        self.sent.append(item)
        if self._notes:
            progress.phase = Phase.WRITTEN
        await anyio.lowlevel.checkpoint()
        if item in self.stuck:
            await anyio.sleep_forever()
        if item in self.lost:
            return Failure(fault=TransportFault.CONNECTION_LOST, message="reset")
        if item in self.failing:
            return Reply(
                status_code=200,
                payload=json.dumps({"errorType": "Busy", "errorMessage": f"{item}?"}).encode(),
                function_error="Unhandled",
                executed_version="3",
                request_id="3c30f3e1-7a1d-4bd1-8a8e-6b4be6a2a3f1",
            )
        return Reply(
            status_code=200,
            payload=payload,
            executed_version="3",
            request_id="11111111-2222-3333-4444-555555555555",
        )

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Stream | Failure:
        raise NotImplementedError

    async def map(
        self,
        journal: Journal | Path,
        payloads: Any,
        function_name: str = "work",
        *,
        invoker: Any = None,
        take: int | None = None,
        **options: Any,
    ) -> list[Outcome]:
        """Run a map; return all its outcomes, or leave it after the first `take`."""
        self.sent.clear()
        options.setdefault("retry", RetryPolicy())
        outcomes: list[Outcome] = []
        async with (
            Invoker(transport=self, **(invoker or {})) as opened,
            opened.map(
                function_name, payloads, journal=journal, **{"concurrency": 4, **options}
            ) as run,
        ):
            try:
                async for outcome in run:
                    outcomes.append(outcome)
                    if len(outcomes) == take:
                        break
            finally:
                self.statistics = run.statistics()
        return outcomes


async def streamed(items: Iterable[object]) -> AsyncIterator[object]:
    """Yield items; the input cannot be read twice."""
    for item in items:
        await anyio.lowlevel.checkpoint()
        yield item


def indexes(outcomes: Iterable[Outcome]) -> list[int]:
    return sorted(outcome.index for outcome in outcomes)
