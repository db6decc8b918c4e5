"""Reserved concurrency, and what the account has."""

from typing import Any

from asyncinvoke.local.management.code import UNZIPPED_LIMIT
from asyncinvoke.local.management.members import Members
from asyncinvoke.local.management.named import Registry, Target
from asyncinvoke.local.protocol import names
from asyncinvoke.local.protocol.refusals import broken, invalid

# AWS's quotas, in bytes.
_CODE_LIMITS = {
    "TotalCodeSize": 80_530_636_800,
    "CodeSizeUnzipped": UNZIPPED_LIMIT,
    "CodeSizeZipped": 52_428_800,
}


def put_concurrency(registry: Registry, target: Target, members: Members) -> dict[str, Any]:
    """`PutFunctionConcurrency`."""
    limit = members.integer("ReservedConcurrentExecutions")
    if limit is None:
        raise broken([names.missing("reservedConcurrentExecutions")])
    faults = names.out_of_range(limit, "reservedConcurrentExecutions", 0)
    if faults:
        raise broken(faults)
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
