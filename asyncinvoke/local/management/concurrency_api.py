"""Reserved concurrency, and what the account has."""

from typing import Any

from asyncinvoke.local.functions.registry import FunctionRegistry
from asyncinvoke.local.management.code import UNZIPPED_LIMIT, ZIPPED_LIMIT
from asyncinvoke.local.management.members import Members
from asyncinvoke.local.management.named import NamedFunction
from asyncinvoke.local.protocol import names, refusals

# AWS's quotas, in bytes.
_CODE_LIMITS = {
    "TotalCodeSize": 80_530_636_800,
    "CodeSizeUnzipped": UNZIPPED_LIMIT,
    "CodeSizeZipped": ZIPPED_LIMIT,
}


def put_concurrency(
    registry: FunctionRegistry, function: NamedFunction, members: Members
) -> dict[str, Any]:
    """`PutFunctionConcurrency`."""
    if function.qualifier is not None:
        raise refusals.invalid(
            "This operation is permitted on Lambda functions only. Aliases and versions do not "
            "support this operation. Please specify either a function name or an unqualified "
            "function ARN."
        )
    limit = members.integer("ReservedConcurrentExecutions")
    if limit is None:
        raise refusals.violated(names.missing(reservedConcurrentExecutions=limit))
    violations = names.out_of_range(limit, "reservedConcurrentExecutions", 0)
    if violations:
        raise refusals.violated(violations)
    try:
        registry.reserve(function.versions.name, limit)
    except ValueError as error:
        # AWS keeps 100 for functions without a reserve; an endpoint may have fewer in all.
        raise refusals.invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's "
            "UnreservedConcurrentExecution below its minimum value of [0]."
        ) from error
    return {"ReservedConcurrentExecutions": limit}


def get_concurrency(registry: FunctionRegistry, function: NamedFunction) -> dict[str, Any]:
    """`GetFunctionConcurrency`."""
    limit = registry.reserved(function.versions.name)
    return {} if limit is None else {"ReservedConcurrentExecutions": limit}


def delete_concurrency(registry: FunctionRegistry, function: NamedFunction) -> None:
    """`DeleteFunctionConcurrency`."""
    registry.reserve(function.versions.name, None)


def account_settings(registry: FunctionRegistry) -> dict[str, Any]:
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
