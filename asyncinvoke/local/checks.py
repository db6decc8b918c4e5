"""The checks of an Invoke request: names, size, content, function and state, in AWS's order.

No I/O, no clock. Each check raises the `Refusal` that is the answer; management asks for some of
them too. Names are checked apart from `asyncinvoke._request` on purpose: the two ends of the wire
must be able to disagree.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from asyncinvoke.local.execution.invocation import Invocation
from asyncinvoke.local.functions.configuration import FunctionConfig
from asyncinvoke.local.functions.versions import Versions
from asyncinvoke.local.protocol import names, received, refusals
from asyncinvoke.local.protocol.names import LATEST, FunctionName
from asyncinvoke.local.protocol.received import ReceivedInvocation

INVOCATION_TYPES = ("Event", "RequestResponse", "DryRun")
STREAMING_INVOCATION_TYPES = ("RequestResponse", "DryRun")
LOG_TYPES = ("None", "Tail")


def check_invocation(
    request: ReceivedInvocation,
    name: FunctionName | None,
    functions: Mapping[str, Versions],
    *,
    now: float,
    region_name: str,
    account_id: str,
    trace_id: str,
    chance: float = 1.0,
) -> Invocation:
    """Return what a request asks to be run.

    Args:
        request: The request.
        name: Its function name in parts; None if it breaks the pattern.
        functions: Every function, by name.
        now: Seconds of the monotonic clock.
        region_name: The endpoint's region.
        account_id: The endpoint's account.
        trace_id: What the invocation is traced by.
        chance: From 0.0 to 1.0, which decides for an alias that shares out its invocations.

    Raises:
        Refusal: It is refused.
    """
    violations = enum_violations(request)
    name = check_name(request.function_name, name, request.qualifier, violations)
    qualifier = one_qualifier(name, request.qualifier, region_name=region_name)
    check_size(request)
    event, client_context = read_event(request.payload), read_client_context(request)
    versions, config = find_version(
        functions,
        name,
        qualifier,
        region_name=region_name,
        account_id=account_id,
        chance=chance,
    )
    check_active(versions, config, now=now)
    return invocation_of(
        request, config, qualifier, event=event, client_context=client_context, trace_id=trace_id
    )


def check_name(
    text: str, name: FunctionName | None, qualifier: str | None, violations: Sequence[str] = ()
) -> FunctionName:
    """Return the function name of a request.

    Args:
        text: The name, ARN or partial ARN, as it was given.
        name: The same in parts; None if it breaks the pattern.
        qualifier: The `Qualifier` of the query.
        violations: Constraints that the request violates elsewhere, for the same answer.

    Raises:
        Refusal: It violates a constraint.
    """
    found = [*names.violations(text, name, qualifier), *violations]
    if found or name is None:
        raise refusals.violated(found)
    return name


def one_qualifier(name: FunctionName, qualifier: str | None, *, region_name: str) -> str | None:
    """Return the qualifier that a request gives, behind its name or beside it.

    Raises:
        Refusal: It gives two that differ, or its name is one of another region.
    """
    if name.region not in (None, region_name):
        raise refusals.wrong_region(str(name.region), region_name)
    if None not in (name.qualifier, qualifier) and name.qualifier != qualifier:
        raise refusals.qualifiers_differ()
    return name.qualifier or qualifier


def enum_violations(request: ReceivedInvocation) -> list[str]:
    """Return the constraints that the invocation type and the log type violate."""
    types = STREAMING_INVOCATION_TYPES if request.streams else INVOCATION_TYPES
    return [
        *names.not_one_of(request.invocation_type, "invocationType", types),
        *names.not_one_of(request.log_type, "logType", LOG_TYPES),
    ]


def check_size(request: ReceivedInvocation) -> None:
    """Refuse a payload that is too large for its invocation type."""
    is_event = request.invocation_type == "Event"
    if request.size > (refusals.EVENT_LIMIT if is_event else refusals.SYNC_LIMIT):
        raise refusals.too_large(request.size, event=is_event)


def read_event(payload: bytes) -> Any:
    """Return what a payload holds; none is an empty object.

    Raises:
        Refusal: It is not JSON, or nested too deeply.
    """
    try:
        return _DECODER.decode(payload.decode()) if payload else {}
    except (ValueError, RecursionError) as error:
        raise refusals.bad_json(received.words_on_bad_json(payload, error)) from error


def read_client_context(request: ReceivedInvocation) -> dict[str, Any] | None:
    """Return what the client context holds; None without one.

    Raises:
        Refusal: It is not a JSON object in base64.
    """
    if request.encoded_client_context is None:
        return None
    try:
        text = base64.b64decode(request.encoded_client_context, validate=True).decode()
        value = _DECODER.decode(text)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise refusals.bad_client_context() from error
    if not isinstance(value, dict):
        raise refusals.bad_client_context()
    return value


def find_version(
    functions: Mapping[str, Versions],
    name: FunctionName,
    qualifier: str | None,
    *,
    region_name: str,
    account_id: str,
    chance: float = 1.0,
) -> tuple[Versions, FunctionConfig]:
    """Return the function and the version that a request names.

    Raises:
        Refusal: There is none.
    """
    account = name.account or account_id
    versions = functions.get(name.name) if account == account_id else None
    config = None if versions is None else versions.resolve(qualifier, chance)
    if versions is None or config is None:
        arn = f"arn:aws:lambda:{region_name}:{account}:function:{name.name}"
        raise refusals.function_not_found(f"{arn}:{qualifier or LATEST}")
    return versions, config


def check_active(versions: Versions, config: FunctionConfig, *, now: float) -> None:
    """Refuse what a version that is pending cannot do now.

    Args:
        versions: The function.
        config: The version that is to be run or changed.
        now: Seconds of the monotonic clock.
    """
    if now < versions.pending_until(config.version):
        raise refusals.not_active("Pending")


def check_changeable(versions: Versions, *, now: float) -> None:
    """Refuse a change of a function that is pending, or being updated. It can be invoked then."""
    check_active(versions, versions.latest, now=now)
    if now < versions.updates_until(LATEST):
        raise refusals.updating(versions.latest.arn)


def invocation_of(
    request: ReceivedInvocation,
    config: FunctionConfig,
    qualifier: str | None,
    *,
    event: Any,
    client_context: dict[str, Any] | None,
    trace_id: str,
) -> Invocation:
    """Return the invocation of a request that passed every check."""
    is_event = request.invocation_type == "Event"
    return Invocation(
        request_id=request.request_id,
        function_name=config.name,
        version=config.version,
        arn=config.arn if qualifier is None else f"{config.arn}:{qualifier}",
        is_qualified=qualifier is not None,
        payload=request.payload or b"{}",
        event=event,
        trace_id=trace_id,
        # As in AWS, an Event has neither.
        client_context=None if is_event else client_context,
        tail=request.log_type == "Tail" and not is_event,
        tenant_id=request.tenant_id,
    )


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
