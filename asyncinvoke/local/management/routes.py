"""The management operations: by method and path, with the status of a success.

For features that the endpoint lacks, Get and List respond as the service does if none is set, so that
tools which only check for them continue. Operations that would set them are unknown.
"""

import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from asyncinvoke.local.management.attached_api import (
    add_permission,
    get_policy,
    list_tags,
    remove_permission,
    tag,
    untag,
)
from asyncinvoke.local.management.functions_api import (
    create_alias,
    delete_alias,
    delete_function,
    get_alias,
    get_function,
    get_function_configuration,
    list_aliases,
    list_functions,
    list_versions,
    publish,
    update_alias,
)
from asyncinvoke.local.management.invoking_api import (
    account_settings,
    delete_concurrency,
    delete_event_config,
    get_concurrency,
    get_event_config,
    list_event_configs,
    put_concurrency,
    put_event_config,
    update_event_config,
)
from asyncinvoke.local.management.request import PAGE, NamedFunction, no_such_version, page
from asyncinvoke.local.protocol import refusals
from asyncinvoke.local.protocol.names import LATEST


def no_function_url(function: NamedFunction) -> dict[str, Any]:
    """`GetFunctionUrlConfig`."""
    function.config  # noqa: B018  # raises for an unknown qualifier
    raise refusals.nothing_there()


def no_provisioned_concurrency(function: NamedFunction) -> dict[str, Any]:
    """`GetProvisionedConcurrencyConfig`."""
    if function.qualifier in (None, LATEST):
        raise refusals.invalid(
            "The function resource provided must be an alias or a published version."
        )
    if function.versions.resolve(function.qualifier) is None:
        raise no_such_version(function.versions.latest.arn, function.qualifier)
    raise refusals.no_provisioned_concurrency()


def no_mapping() -> dict[str, Any]:
    """`GetEventSourceMapping`."""
    raise refusals.nothing_there()


def runtime_management(function: NamedFunction) -> dict[str, Any]:
    """`GetRuntimeManagementConfig`."""
    return {"UpdateRuntimeOn": "Auto", "FunctionArn": function.arn}


NO_CODE_SIGNING: dict[str, Any] = {}
RECURSION: dict[str, Any] = {"RecursiveLoop": "Terminate"}


_Members: TypeAlias = dict[str, Any] | None
Operation: TypeAlias = Callable[..., _Members | Awaitable[_Members]]
"""Called with the router, the request, the function if the path has one, and the other path groups."""

# Groups that have a name are checked as parameters of that name.

_FUNCTIONS = "/2015-03-31/functions"
_FUNCTION = f"{_FUNCTIONS}/([^/]+)"
_ALIAS = f"{_FUNCTION}/aliases/(?P<Name>[^/]+)"
_POLICY = f"{_FUNCTION}/policy"
_TAGS = "/2017-03-31/tags/(?P<Resource>[^/]+)"
_CONCURRENCY = "/2017-10-31/functions/([^/]+)/concurrency"
_EVENTS = "/2019-09-25/functions/([^/]+)/event-invoke-config"
_SINCE_2019 = "/2019-09-30/functions/([^/]+)"
MAPPINGS = "/2015-03-31/event-source-mappings"
LAYERS = "/2018-10-31/layers"
_LAYER = f"{LAYERS}/([^/]+)/versions"

_TABLE: list[tuple[str, str, int, Operation]] = [
    # functions
    ("POST", f"{_FUNCTIONS}/?", 201, lambda api, asked: api.deploying.create(asked.members)),
    ("GET", f"{_FUNCTIONS}/?", 200, lambda api, asked: list_functions(api.registry, asked.query)),
    ("GET", _FUNCTION, 200, lambda api, _, at: get_function(api.registry, at)),
    ("DELETE", _FUNCTION, 204, lambda api, _, at: delete_function(api.registry, at)),
    (
        "GET",
        f"{_FUNCTION}/configuration",
        200,
        lambda _api, _asked, at: get_function_configuration(at),
    ),
    (
        "PUT",
        f"{_FUNCTION}/configuration",
        200,
        lambda api, asked, at: api.deploying.update_configuration(at, asked.members),
    ),
    (
        "PUT",
        f"{_FUNCTION}/code",
        200,
        lambda api, asked, at: api.deploying.update_code(at, asked.members),
    ),
    # versions and aliases
    ("POST", f"{_FUNCTION}/versions", 201, lambda _, asked, at: publish(at, asked.members)),
    ("GET", f"{_FUNCTION}/versions", 200, lambda _, asked, at: list_versions(at, asked.query)),
    ("POST", f"{_FUNCTION}/aliases", 201, lambda _, asked, at: create_alias(at, asked.members)),
    ("GET", f"{_FUNCTION}/aliases", 200, lambda _, asked, at: list_aliases(at, asked.query)),
    ("GET", _ALIAS, 200, lambda _api, _asked, at, name: get_alias(at, name)),
    ("PUT", _ALIAS, 200, lambda _, asked, at, name: update_alias(at, name, asked.members)),
    ("DELETE", _ALIAS, 204, lambda _api, _asked, at, name: delete_alias(at, name)),
    # concurrency, and the account
    (
        "PUT",
        _CONCURRENCY,
        200,
        lambda api, asked, at: put_concurrency(api.registry, at, asked.members),
    ),
    ("DELETE", _CONCURRENCY, 204, lambda api, _, at: delete_concurrency(api.registry, at)),
    (
        "GET",
        f"{_SINCE_2019}/concurrency",
        200,
        lambda api, _, at: get_concurrency(api.registry, at),
    ),
    ("GET", "/2016-08-19/account-settings/?", 200, lambda api, _: account_settings(api.registry)),
    # the Event queue
    ("PUT", _EVENTS, 200, lambda api, asked, at: put_event_config(api.registry, at, asked.members)),
    (
        "POST",
        _EVENTS,
        200,
        lambda api, asked, at: update_event_config(api.registry, at, asked.members),
    ),
    ("GET", _EVENTS, 200, lambda _api, _asked, at: get_event_config(at)),
    ("DELETE", _EVENTS, 204, lambda _api, _asked, at: delete_event_config(at)),
    ("GET", f"{_EVENTS}/list", 200, lambda _, asked, at: list_event_configs(at, asked.query)),
    # tags and permissions
    ("GET", _TAGS, 200, lambda _api, _asked, at: list_tags(at)),
    ("POST", _TAGS, 204, lambda _, asked, at: tag(at, asked.members)),
    ("DELETE", _TAGS, 204, lambda _, asked, at: untag(at, asked.tag_keys)),
    ("GET", _POLICY, 200, lambda _api, _asked, at: get_policy(at, now=time.monotonic())),
    (
        "POST",
        _POLICY,
        201,
        lambda _, asked, at: add_permission(at, asked.members, now=time.monotonic()),
    ),
    (
        "DELETE",
        f"{_POLICY}/(?P<StatementId>[^/]+)",
        204,
        lambda _, asked, at, sid: remove_permission(
            at, sid, asked.query.get("RevisionId"), now=time.monotonic()
        ),
    ),
    # layers
    ("POST", _LAYER, 201, lambda api, asked, name: api.layers.publish(name, asked.members)),
    ("GET", f"{LAYERS}/?", 200, lambda api, asked: api.layers.list(asked.query)),
    ("GET", _LAYER, 200, lambda api, asked, name: api.layers.list_versions(name, asked.query)),
    ("GET", f"{_LAYER}/([^/]+)", 200, lambda api, _, name, number: api.layers.get(name, number)),
    (
        "DELETE",
        f"{_LAYER}/([^/]+)",
        204,
        lambda api, _, name, number: api.layers.delete(name, number),
    ),
    # features that the endpoint lacks, which are never set
    (
        "GET",
        "/2021-10-31/functions/([^/]+)/url",
        200,
        lambda _api, _, at: no_function_url(at),
    ),
    (
        "GET",
        "/2021-10-31/functions/([^/]+)/urls",
        200,
        lambda _api, asked, _: page("FunctionUrlConfigs", (), asked.query, limit=PAGE),
    ),
    (
        "GET",
        f"{_SINCE_2019}/provisioned-concurrency",
        200,
        lambda _, asked, at: (
            page("ProvisionedConcurrencyConfigs", (), asked.query, limit=PAGE)
            if "List" in asked.query
            else no_provisioned_concurrency(at)
        ),
    ),
    ("GET", f"{MAPPINGS}/?", 200, lambda _, asked: page("EventSourceMappings", (), asked.query)),
    ("GET", f"{MAPPINGS}/(?P<UUID>[^/]+)", 200, lambda *_: no_mapping()),
    (
        "GET",
        "/2020-06-30/functions/([^/]+)/code-signing-config",
        200,
        lambda *_: NO_CODE_SIGNING,
    ),
    ("GET", "/2024-08-31/functions/([^/]+)/recursion-config", 200, lambda *_: RECURSION),
    (
        "GET",
        "/2021-07-20/functions/([^/]+)/runtime-management-config",
        200,
        lambda _api, _, at: runtime_management(at),
    ),
]

ROUTES = [
    (method, re.compile(path), status, operation) for method, path, status, operation in _TABLE
]
"""The method, path, status of a success, and operation."""
