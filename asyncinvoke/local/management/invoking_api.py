"""Settings for invoking: reserved concurrency, Event configuration, account limits."""

import dataclasses
import re
import time
from collections.abc import Mapping
from typing import Any

from asyncinvoke.local.functions.event_config import AGE_RANGE, MAX_RETRY_ATTEMPTS
from asyncinvoke.local.functions.registry import FunctionRegistry
from asyncinvoke.local.functions.versions import EventSettings
from asyncinvoke.local.management.code import UNZIPPED_LIMIT, ZIPPED_LIMIT
from asyncinvoke.local.management.request import PAGE, Members, NamedFunction, page
from asyncinvoke.local.protocol import names, refusals
from asyncinvoke.local.protocol.names import LATEST

# AWS's quotas, in bytes.
_CODE_LIMITS = {
    "TotalCodeSize": 80_530_636_800,
    "CodeSizeUnzipped": UNZIPPED_LIMIT,
    "CodeSizeZipped": ZIPPED_LIMIT,
}


DESTINATION_PATTERN = (
    r"^$|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:([a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\d{1})?:"
    r"(\d{12})?:(.*)"
)
"""The pattern of an Event's destination, from the service's model."""

_DESTINATION = re.compile(DESTINATION_PATTERN)
_DESTINATIONS = ("OnSuccess", "OnFailure")
_DESTINATION_SERVICES = ("sqs", "sns", "events", "s3")


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
        # AWS keeps 100 unreserved; an endpoint may have fewer in total.
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


def put_event_config(
    registry: FunctionRegistry, function: NamedFunction, members: Members
) -> dict[str, Any]:
    """`PutFunctionEventInvokeConfig`, which replaces all settings."""
    return _set(registry, function, EventSettings(), members)


def update_event_config(
    registry: FunctionRegistry, function: NamedFunction, members: Members
) -> dict[str, Any]:
    """`UpdateFunctionEventInvokeConfig`, which keeps settings that are not given."""
    return _set(registry, function, _get(function), members)


def no_event_config(arn: str) -> refusals.Refusal:
    """Return the error for a function without Event settings."""
    return refusals.not_found(f"The function {arn} doesn't have an EventInvokeConfig")


def get_event_config(function: NamedFunction) -> dict[str, Any]:
    """`GetFunctionEventInvokeConfig`."""
    return _described(_named(function), _get(function))


def delete_event_config(function: NamedFunction) -> None:
    """`DeleteFunctionEventInvokeConfig`."""
    _get(function)
    del function.versions.event_settings[_named(function)]


def list_event_configs(function: NamedFunction, query: Mapping[str, str]) -> dict[str, Any]:
    """`ListFunctionEventInvokeConfigs`."""
    settings = function.versions.event_settings
    found = ((arn, _described(arn, each)) for arn, each in settings.items())
    return page("FunctionEventInvokeConfigs", found, query, limit=PAGE)


def _set(
    registry: FunctionRegistry, function: NamedFunction, current: EventSettings, members: Members
) -> dict[str, Any]:
    attempts = members.integer("MaximumRetryAttempts")
    age = members.integer("MaximumEventAgeInSeconds")
    destinations = members.any("DestinationConfig")
    if attempts is None and age is None and destinations is None:
        raise refusals.invalid(
            "You must specify at least one of error handling or destination setting."
        )
    wrong = []
    if attempts is not None:
        wrong += names.out_of_range(attempts, "maximumRetryAttempts", 0, MAX_RETRY_ATTEMPTS)
    if age is not None:
        wrong += names.out_of_range(age, "maximumEventAgeInSeconds", *AGE_RANGE)
    requested = {name: _destination(members, name) for name in _DESTINATIONS}
    for name, arn in requested.items():
        if _DESTINATION.fullmatch(arn) is None:
            member = f"destinationConfig.{name[0].lower()}{name[1:]}.destination"
            wrong += names.broken(arn, member, DESTINATION_PATTERN)
    if wrong:
        raise refusals.violated(wrong)
    for name, arn in requested.items():
        if arn:
            _check_destination(registry, function, name, arn)
    settings = dataclasses.replace(
        current,
        maximum_retry_attempts=current.maximum_retry_attempts if attempts is None else attempts,
        maximum_event_age=current.maximum_event_age if age is None else age,
        destinations=current.destinations if destinations is None else destinations,
        last_modified=time.time(),
    )
    arn = _arn(function)
    function.versions.event_settings[arn] = settings
    return _described(arn, settings)


def _get(function: NamedFunction) -> EventSettings:
    settings = function.versions.event_settings.get(_named(function))
    if settings is None:
        raise no_event_config(_named(function))
    return settings


def _destination(members: Members, name: str) -> str:
    return members.members("DestinationConfig").members(name).text("Destination") or ""


def _check_destination(
    registry: FunctionRegistry, function: NamedFunction, name: str, arn: str
) -> None:
    """Check that a destination can receive records.

    Raises:
        Refusal: It cannot.
    """
    service = arn.split(":")[2]
    if service == "lambda":
        bare = ":".join(arn.split(":")[:7])
        if bare == function.versions.latest.arn:
            raise refusals.invalid("You can't specify the function as a destination for itself.")
        if bare not in {versions.latest.arn for versions in [*registry.functions.values()]}:
            raise refusals.invalid(f"The destination ARN {arn} is invalid.")
    elif service not in _DESTINATION_SERVICES:
        shown = dict.fromkeys(_DESTINATIONS, "null") | {name: f"{name}(destination={arn})"}
        raise refusals.invalid(
            f"The provided destination config DestinationConfig(onSuccess={shown['OnSuccess']}, "
            f"onFailure={shown['OnFailure']}) is invalid."
        )


def _arn(function: NamedFunction) -> str:
    function.config  # noqa: B018  # raises for an unknown qualifier
    return _named(function)


def _named(function: NamedFunction) -> str:
    return f"{function.versions.latest.arn}:{function.qualifier or LATEST}"


def _described(arn: str, settings: EventSettings) -> dict[str, Any]:
    described: dict[str, Any] = {
        "FunctionArn": arn,
        "LastModified": settings.last_modified,
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}, **settings.destinations},
    }
    if settings.maximum_retry_attempts is not None:
        described["MaximumRetryAttempts"] = settings.maximum_retry_attempts
    if settings.maximum_event_age is not None:
        described["MaximumEventAgeInSeconds"] = settings.maximum_event_age
    return described
