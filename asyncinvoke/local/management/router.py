"""Routes management requests to operations, checks their parameters, and returns the responses."""

import logging
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from asyncinvoke.local.execution.guardian import Guardian
from asyncinvoke.local.functions.registry import FunctionRegistry
from asyncinvoke.local.management import shapes
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
from asyncinvoke.local.management.routes import LAYERS, MAPPINGS, ROUTES, Operation
from asyncinvoke.local.management.shapes import Text
from asyncinvoke.local.protocol import answers, names, refusals
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.names import LATEST
from asyncinvoke.local.protocol.refusals import Refusal

_logger = logging.getLogger(__name__)

BODY_LIMIT = 70_167_211
"""The maximum size of a request, in bytes (AWS's own error text): 50 MB in base64, and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementRequest:
    """A management request, independent of HTTP."""

    method: str
    """The HTTP method."""
    path: str
    """The path, still percent-encoded."""
    query: Mapping[str, str]
    """The query."""
    body: bytes
    """The body."""
    tag_keys: tuple[str, ...] = ()
    """The values of `tagKeys` in the query, which can be repeated."""

    @property
    def members(self) -> Members:
        """The members of the body.

        Raises:
            Refusal: It is not a JSON object.
        """
        return Members.parse(self.body)


class Management:
    """Handles the management operations.

    Args:
        registry: The functions.
        guardian: Deletes uploaded code if the endpoint is killed.
        region_name: The endpoint's region.
        account_id: The endpoint's account.
        settling_time: Seconds for which a function is Pending, or an update InProgress.
        s3: The source of packages in S3; None for none.
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
        """Delete uploaded code."""
        await self._code.close()

    async def answer(self, request: ManagementRequest, request_id: str) -> Answer:
        """Return the response to a request."""
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
                named = {name: unquote(text) for name, text in match.groupdict().items()}
                shapes.check({**request.query, **named}, _PARAMETERS)
                members = await self._perform(operation, request, groups)
                return answers.of_json(request_id, status_code, members)
        raise refusals.unknown_operation(request.method, request.path)

    async def _perform(
        self, operation: Operation, request: ManagementRequest, groups: list[str]
    ) -> dict[str, Any] | None:
        try:
            if not groups or request.path.startswith((LAYERS, MAPPINGS)):  # no function
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
            # Delete unused code, including that of refused requests and of retired environments.
            if request.method != "GET":
                in_use = self.registry.directories(time.monotonic())
                await self._code.keep(in_use | self.layers.directories())


def _absent(request: ManagementRequest) -> Absent:
    """Return the error that an operation uses for a missing function, as recorded."""
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
    """Return the result of an operation, sync or async."""
    return await performed if isinstance(performed, Awaitable) else performed


_REGION = r"(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}"
_RESOURCE = (
    rf"arn:(aws[a-zA-Z-]*):lambda:{_REGION}:\d{{12}}:(function:[a-zA-Z0-9-_]+"
    r"(:(\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:"
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|"
    r"(capacity-provider|network-connector):[a-zA-Z0-9-_]{1,64})"
)
_LAYER_VERSION = (
    rf"((arn:(aws[a-zA-Z-]*)?:lambda:{_REGION}:\d{{12}}:layer:[a-zA-Z0-9-_]+:[0-9]+)|"
    r"(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+))"
)

_PARAMETERS: Mapping[str, shapes.Shape] = {
    "Arn": Text(least=1, most=2048, pattern=_LAYER_VERSION),
    "CompatibleArchitecture": Text(choices=("x86_64", "arm64")),
    "EventSourceArn": shapes.ARN,
    "FunctionName": Text(least=1, most=256, pattern=names.NAME_PATTERN),
    "MasterRegion": Text(least=1, most=50, pattern=f"ALL|{_REGION}"),
    "Name": shapes.ALIAS,
    "Resource": Text(least=1, pattern=_RESOURCE),
    "StatementId": Text(least=1, most=100, pattern="([a-zA-Z0-9-_.]+)"),
    "UUID": Text(least=36, most=36),
}
"""The parameters in paths and queries that have the same shape in all operations, by name.

Names and qualifiers of functions, names of layers and the parameters of pages are checked where they are
used.
"""
