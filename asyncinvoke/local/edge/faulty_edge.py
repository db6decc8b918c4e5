"""Stands before the edge while faults are set: finds the fault that a request meets, and plays it."""

import time
from functools import partial
from typing import Protocol

from aiohttp import web

from asyncinvoke.local.edge.http_edge import (
    HttpEdge,
    InvocationService,
    invoke_path,
    received_head,
)
from asyncinvoke.local.edge.observing import AnsweredInvocation, Listener
from asyncinvoke.local.edge.streaming import CollectedStream
from asyncinvoke.local.edge.wire import AiohttpWire
from asyncinvoke.local.faults import player
from asyncinvoke.local.faults.injected import Faults, InjectedFault
from asyncinvoke.local.faults.steps import is_read
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.received import ReceivedInvocation


class CountingService(InvocationService, Protocol):
    """A service that counts faults."""

    def count_fault(self, function_name: str, *, arrived: bool) -> None:
        """Count a request that met a fault.

        Args:
            function_name: The name or ARN that it gives.
            arrived: Whether the request itself is to be counted too.
        """
        ...


class FaultyEdge:
    """The handler of the endpoint's HTTP server.

    Args:
        edge: Where requests go that meet no fault.
        service: The service behind it, without a listener.
        faults: The faults.
        listener: Who is told about each request; None for nobody.
    """

    def __init__(
        self,
        edge: HttpEdge,
        service: CountingService,
        faults: Faults,
        listener: Listener | None,
    ) -> None:
        self._edge = edge
        self._service = service
        self._faults = faults
        self._listener = listener

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, or play its fault."""
        if not self._faults.are_set:
            return await self._edge(request)
        path = invoke_path(request)
        fault = None if path is None else self._faults.take(path.name)
        if path is None or fault is None:
            return await self._edge(request)
        return await self._meet(fault, request, received_head(request, path))

    async def _meet(
        self, fault: InjectedFault, request: web.BaseRequest, received: ReceivedInvocation
    ) -> web.StreamResponse:
        self._service.count_fault(received.function_name, arrived=not fault.after_run)
        if is_read(fault.step):
            received = await self._edge.read(request, received)
        began = time.monotonic()
        run = partial(self._run, received) if fault.after_run else None
        answer = await player.answer_of(fault.step, received.request_id, run=run)
        wire = AiohttpWire(request)
        try:
            await player.play(fault.step, answer, wire)
        finally:
            if self._listener is not None:
                duration = time.monotonic() - began
                name = type(fault.step).__name__
                self._listener(
                    AnsweredInvocation.of(received, answer, duration=duration, fault=name)
                )
        return wire.response

    async def _run(self, received: ReceivedInvocation) -> Answer:
        if not received.streams:
            return await self._service.invoke(received)
        stream = CollectedStream()
        return stream.finish(await self._service.invoke(received, stream))
