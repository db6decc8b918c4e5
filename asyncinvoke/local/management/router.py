"""Routes a request to its operation, and returns the answer."""

import logging
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from asyncinvoke.local.execution.guardian import Guardian
from asyncinvoke.local.functions.registry import FunctionRegistry
from asyncinvoke.local.management.code import CodeStore
from asyncinvoke.local.management.deploying import Deploying
from asyncinvoke.local.management.invoking_api import no_event_config
from asyncinvoke.local.management.layers_api import LayersApi
from asyncinvoke.local.management.packages import Packages, S3Code
from asyncinvoke.local.management.request import (
    Absent,
    Members,
    find_function,
    function_not_found,
    no_such_version,
)
from asyncinvoke.local.management.routes import LAYERS, ROUTES, Operation
from asyncinvoke.local.protocol import answers, refusals
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.names import LATEST
from asyncinvoke.local.protocol.refusals import Refusal

_logger = logging.getLogger(__name__)

BODY_LIMIT = 70_167_211
"""Largest request, in bytes (AWS's own error text): a package of 50 MB in base64, and the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementRequest:
    """A request for one of the operations, taken off HTTP."""

    method: str
    """The HTTP method."""
    path: str
    """The path, still percent-encoded."""
    query: Mapping[str, str]
    """The query."""
    body: bytes
    """The body."""
    tag_keys: tuple[str, ...] = ()
    """`tagKeys` of the query, which may be given more than once."""

    @property
    def members(self) -> Members:
        """What the body says.

        Raises:
            Refusal: It is not a JSON object.
        """
        return Members.parse(self.body)


class Management:
    """Answers the operations that set functions up.

    Args:
        registry: Where functions are.
        guardian: Knows of the code that was uploaded, should the endpoint be killed.
        region_name: The endpoint's region.
        account_id: The endpoint's account.
        settling_time: Seconds for which a function is Pending, or an update InProgress.
        s3: Where packages in S3 are found; None for nowhere.
    """

    def __init__(
        self,
        registry: FunctionRegistry,
        guardian: Guardian,
        *,
        region_name: str,
        account_id: str,
        settling_time: float,
        s3: str | Path | None,
    ) -> None:
        self.registry = registry
        self._where = {"region_name": region_name, "account_id": account_id}
        self._code = CodeStore(guardian)
        packages = Packages(S3Code(s3))
        self.layers: LayersApi = LayersApi(self._code, packages, **self._where)
        self.deploying: Deploying = Deploying(
            registry,
            self._code,
            packages,
            self.layers,
            region_name=region_name,
            account_id=account_id,
            settling_time=settling_time,
        )

    async def close(self) -> None:
        """Delete the code that was uploaded."""
        await self._code.close()

    async def answer(self, request: ManagementRequest, request_id: str) -> Answer:
        """Answer a request."""
        try:
            return await self._answer(request, request_id)
        except Refusal as refusal:
            return refusal.answer(request_id)
        except Exception:
            _logger.exception("%s %s could not be answered", request.method, request.path)
            return refusals.internal_error().answer(request_id)

    async def _answer(self, request: ManagementRequest, request_id: str) -> Answer:
        for method, path, status_code, operation in ROUTES:
            match = path.fullmatch(request.path)
            if match is not None and method == request.method:
                groups = [*map(unquote, match.groups())]
                members = await self._perform(operation, request, groups)
                return answers.of_json(request_id, status_code, members)
        raise refusals.unknown_operation(request.method, request.path)

    async def _perform(
        self, operation: Operation, request: ManagementRequest, groups: list[str]
    ) -> dict[str, Any] | None:
        try:
            if not groups or request.path.startswith(LAYERS):  # they name no function
                return await _done(operation(self, request, *groups))
            name, *others = groups
            qualifier = request.query.get("Qualifier")
            function = find_function(
                self.registry.functions,
                name,
                qualifier,
                absent=_absent(request),
                **self._where,
            )
            return await _done(operation(self, request, function, *others))
        finally:
            # What a refused request had uploaded goes too, and what was retired and ran on.
            if request.method != "GET":
                in_use = self.registry.directories(time.monotonic())
                await self._code.keep(in_use | self.layers.directories())


def _absent(request: ManagementRequest) -> Absent:
    """Return how an operation says that there is no such function, as recorded."""
    method, path = request.method, request.path
    if path.endswith("/concurrency") and method == "PUT":
        return lambda arn, _: function_not_found(arn, LATEST)
    if path.endswith("/aliases") and method == "POST":
        version = request.members.text("FunctionVersion")
        return lambda arn, qualifier: function_not_found(arn, qualifier or version)
    if path.endswith("/event-invoke-config") and method in ("GET", "DELETE"):
        return lambda arn, qualifier: no_event_config(f"{arn}:{qualifier or LATEST}")
    if "/event-invoke-config" in path:
        return lambda _arn, _qualifier: refusals.not_found("The function doesn't exist.")
    if path.endswith("/provisioned-concurrency"):
        return no_such_version
    return function_not_found


async def _done(
    performed: dict[str, Any] | Awaitable[dict[str, Any] | None] | None,
) -> dict[str, Any] | None:
    """Wait for an operation that takes time."""
    return await performed if isinstance(performed, Awaitable) else performed
