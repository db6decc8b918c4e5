"""Which operation a request is for, and its answer."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from asyncinvoke.local.execution.guardian import Guardian
from asyncinvoke.local.functions.registry import FunctionRegistry
from asyncinvoke.local.management.code import CodeStore
from asyncinvoke.local.management.concurrency_api import (
    account_settings,
    delete_concurrency,
    get_concurrency,
    put_concurrency,
)
from asyncinvoke.local.management.functions_api import FunctionsApi
from asyncinvoke.local.management.members import Members
from asyncinvoke.local.management.named import find_function
from asyncinvoke.local.management.versions_api import (
    create_alias,
    delete_alias,
    get_alias,
    list_aliases,
    list_versions,
    publish,
    update_alias,
)
from asyncinvoke.local.protocol import answers, refusals
from asyncinvoke.local.protocol.answers import Answer
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
    """

    def __init__(
        self,
        registry: FunctionRegistry,
        guardian: Guardian,
        *,
        region_name: str,
        account_id: str,
        settling_time: float,
    ) -> None:
        self.registry = registry
        self._where = {"region_name": region_name, "account_id": account_id}
        self._code = CodeStore(guardian)
        self.functions: FunctionsApi = FunctionsApi(
            registry,
            self._code,
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
        for method, path, status_code, operation in _ROUTES:
            match = path.fullmatch(request.path)
            if match is not None and method == request.method:
                groups = [*map(unquote, match.groups())]
                members = await self._perform(operation, request, groups)
                return answers.of_json(request_id, status_code, members)
        raise refusals.unknown_operation()

    async def _perform(
        self, operation: "_Operation", request: ManagementRequest, groups: list[str]
    ) -> dict[str, Any] | None:
        try:
            if not groups:
                return await _done(operation(self, request))
            name, *others = groups
            qualifier = request.query.get("Qualifier")
            function = find_function(self.registry.functions, name, qualifier, **self._where)
            return await _done(operation(self, request, function, *others))
        finally:
            # What a refused request had uploaded goes too, and what was retired and ran on.
            if request.method != "GET":
                await self._code.keep(self.registry.directories())


_Members = dict[str, Any] | None
_Operation = Callable[..., _Members | Awaitable[_Members]]


async def _done(performed: _Members | Awaitable[_Members]) -> _Members:
    """Wait for an operation that takes time."""
    return await performed if isinstance(performed, Awaitable) else performed


_FUNCTION = "/2015-03-31/functions/([^/]+)"
_ALIAS = f"{_FUNCTION}/aliases/([^/]+)"
_CONCURRENCY = "/2017-10-31/functions/([^/]+)/concurrency"

_ROUTES: list[tuple[str, re.Pattern[str], int, _Operation]] = [
    (method, re.compile(path), status, operation)
    for method, path, status, operation in (
        # Each is given the request and, where the path names one, the function.
        (
            "POST",
            "/2015-03-31/functions/?",
            201,
            lambda api, asked: api.functions.create(asked.members),
        ),
        ("GET", "/2015-03-31/functions/?", 200, lambda api, asked: api.functions.list(asked.query)),
        (
            "GET",
            "/2016-08-19/account-settings/?",
            200,
            lambda api, _: account_settings(api.registry),
        ),
        ("GET", _FUNCTION, 200, lambda api, _, at: api.functions.get(at)),
        ("DELETE", _FUNCTION, 204, lambda api, _, at: api.functions.delete(at)),
        (
            "GET",
            f"{_FUNCTION}/configuration",
            200,
            lambda api, _, at: api.functions.get_configuration(at),
        ),
        (
            "PUT",
            f"{_FUNCTION}/configuration",
            200,
            lambda api, asked, at: api.functions.update_configuration(at, asked.members),
        ),
        (
            "PUT",
            f"{_FUNCTION}/code",
            200,
            lambda api, asked, at: api.functions.update_code(at, asked.members),
        ),
        ("POST", f"{_FUNCTION}/versions", 201, lambda _, asked, at: publish(at, asked.members)),
        ("GET", f"{_FUNCTION}/versions", 200, lambda _, asked, at: list_versions(at, asked.query)),
        ("POST", f"{_FUNCTION}/aliases", 201, lambda _, asked, at: create_alias(at, asked.members)),
        ("GET", f"{_FUNCTION}/aliases", 200, lambda _, asked, at: list_aliases(at, asked.query)),
        ("GET", _ALIAS, 200, lambda _api, _asked, at, name: get_alias(at, name)),
        ("PUT", _ALIAS, 200, lambda _, asked, at, name: update_alias(at, name, asked.members)),
        ("DELETE", _ALIAS, 204, lambda _api, _asked, at, name: delete_alias(at, name)),
        (
            "PUT",
            _CONCURRENCY,
            200,
            lambda api, asked, at: put_concurrency(api.registry, at, asked.members),
        ),
        ("DELETE", _CONCURRENCY, 204, lambda api, _, at: delete_concurrency(api.registry, at)),
        (
            "GET",
            "/2019-09-30/functions/([^/]+)/concurrency",
            200,
            lambda api, _, at: get_concurrency(api.registry, at),
        ),
    )
]
