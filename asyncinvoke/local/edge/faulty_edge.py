"""Stands before the edge while faults are set: finds the fault that a request meets, and plays it."""

import time
import uuid
from dataclasses import replace
from typing import Protocol

from aiohttp import web

from asyncinvoke.local.checks import Request
from asyncinvoke.local.edge import player
from asyncinvoke.local.edge.http_edge import HttpEdge, Invoked, Service, invoked_function
from asyncinvoke.local.edge.observing import AnsweredInvocation, Listener
from asyncinvoke.local.edge.player import CollectedOutput
from asyncinvoke.local.faults.injected import Faults, InjectedFault
from asyncinvoke.local.faults.steps import Reset
from asyncinvoke.local.protocol.answers import Answer


class CountingService(Service, Protocol):
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
        invoked = invoked_function(request)
        fault = self._faults.find(invoked.name) if invoked else None
        if invoked is None or fault is None:
            return await self._edge(request)
        return await self._meet(fault, request, invoked)

    async def _meet(
        self, fault: InjectedFault, request: web.BaseRequest, invoked: Invoked
    ) -> web.StreamResponse:
        request_id, name, step = str(uuid.uuid4()), invoked.name, fault.step
        self._service.count_fault(name, arrived=not fault.after_run)
        if isinstance(step, Reset) and not step.read:
            self._tell(_broken(fault, request_id, name))
            return await player.play(request, step, None)
        invoke = await self._edge.read(request, invoked, request_id)
        began = time.monotonic()
        told = replace(_broken(fault, request_id, name), invocation_type=invoke.invocation_type)
        real = await self._run(invoke, request_id) if fault.after_run else None
        answer = player.answer_of(step, request_id, real)
        if answer is not None:
            told = replace(
                told,
                status_code=answer.status,
                function_error=answer.headers.get("X-Amz-Function-Error"),
            )
        try:
            return await player.play(request, step, answer)
        finally:
            self._tell(replace(told, duration=time.monotonic() - began))

    async def _run(self, invoke: Request, request_id: str) -> Answer:
        if not invoke.streams:
            return await self._service.invoke(invoke, request_id)
        output = CollectedOutput()
        return output.as_stream(await self._service.invoke(invoke, request_id, output))

    def _tell(self, told: AnsweredInvocation) -> None:
        if self._listener is not None:
            self._listener(told)


def _broken(fault: InjectedFault, request_id: str, function_name: str) -> AnsweredInvocation:
    return AnsweredInvocation(
        request_id=request_id,
        function_name=function_name,
        invocation_type="RequestResponse",
        status_code=0,
        function_error=None,
        reason=None,
        duration=0.0,
        fault=type(fault.step).__name__,
    )
