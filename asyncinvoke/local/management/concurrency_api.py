"""Reserved concurrency, and what the account has."""

from collections.abc import Mapping
from typing import Any

from asyncinvoke.local.management.problems import invalid
from asyncinvoke.local.management.registry import Registry, Target

# AWS's quotas, in bytes.
_CODE_LIMITS = {
    "TotalCodeSize": 80_530_636_800,
    "CodeSizeUnzipped": 262_144_000,
    "CodeSizeZipped": 52_428_800,
}


def put_concurrency(
    registry: Registry, target: Target, members: Mapping[str, Any]
) -> dict[str, Any]:
    """`PutFunctionConcurrency`."""
    limit = members.get("ReservedConcurrentExecutions")
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise invalid(f"ReservedConcurrentExecutions {limit!r}: it must be a whole number from 0.")
    try:
        registry.reserve(target.versions.name, limit)
    except ValueError as error:
        # AWS keeps 100 for functions without a reserve; an endpoint may have fewer in all.
        raise invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's "
            "UnreservedConcurrentExecution below its minimum value of [0]."
        ) from error
    return {"ReservedConcurrentExecutions": limit}


def get_concurrency(registry: Registry, target: Target) -> dict[str, Any]:
    """`GetFunctionConcurrency`."""
    limit = registry.reserved(target.versions.name)
    return {} if limit is None else {"ReservedConcurrentExecutions": limit}


def delete_concurrency(registry: Registry, target: Target) -> None:
    """`DeleteFunctionConcurrency`."""
    registry.reserve(target.versions.name, None)


def account_settings(registry: Registry) -> dict[str, Any]:
    """`GetAccountSettings`."""
    account, unreserved = registry.concurrency()
    functions = registry.functions.values()
    return {
        "AccountLimit": {
            **_CODE_LIMITS,
            "ConcurrentExecutions": account,
            "UnreservedConcurrentExecutions": unreserved,
        },
        "AccountUsage": {
            "TotalCodeSize": sum(
                config.deployment.code_size
                for versions in functions
                for config in versions.published
            ),
            "FunctionCount": len(registry.functions),
        },
    }
