"""What the service has and this endpoint does not: answered as it answers where none is set.

No I/O, no clock. So a tool that asks before it acts goes on; one that sets something is told.
"""

from typing import Any

from asyncinvoke.local.management.named import NamedFunction
from asyncinvoke.local.protocol import refusals


def no_function_url(function: NamedFunction) -> dict[str, Any]:
    """`GetFunctionUrlConfig`."""
    function.config  # noqa: B018  # refuses a qualifier that means nothing
    raise refusals.nothing_there()


def no_provisioned_concurrency(_: NamedFunction) -> dict[str, Any]:
    """`GetProvisionedConcurrencyConfig`, and the list."""
    raise refusals.no_provisioned_concurrency()


def no_mapping() -> dict[str, Any]:
    """`GetEventSourceMapping`."""
    raise refusals.nothing_there()


def runtime_management(function: NamedFunction) -> dict[str, Any]:
    """`GetRuntimeManagementConfig`."""
    return {"UpdateRuntimeOn": "Auto", "FunctionArn": function.arn}


NO_FUNCTION_URLS: dict[str, Any] = {"FunctionUrlConfigs": []}
NO_PROVISIONED: dict[str, Any] = {"ProvisionedConcurrencyConfigs": []}
NO_MAPPINGS: dict[str, Any] = {"EventSourceMappings": []}
NO_CODE_SIGNING: dict[str, Any] = {}
RECURSION: dict[str, Any] = {"RecursiveLoop": "Terminate"}
