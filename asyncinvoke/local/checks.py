"""Checks an Invoke request and makes an invocation of it, or the answer that refuses it.

Pure: a request and what is registered in, an `Invocation` or an `Answer` out.
"""

import base64
import binascii
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any, NoReturn

from asyncinvoke.local.execution.invocation import Invocation
from asyncinvoke.local.functions.versions import Versions
from asyncinvoke.local.protocol import answers, json_errors, names
from asyncinvoke.local.protocol.answers import Answer
from asyncinvoke.local.protocol.names import FunctionName

INVOCATION_TYPES = ("Event", "RequestResponse", "DryRun")
STREAMING_INVOCATION_TYPES = ("RequestResponse", "DryRun")
LOG_TYPES = ("None", "Tail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An Invoke request as it arrived, taken off HTTP."""

    function_name: str
    """The path's name or ARN, percent-decoded."""
    qualifier: str | None
    """The `Qualifier` of the query."""
    invocation_type: str
    """`X-Amz-Invocation-Type`, RequestResponse when absent."""
    log_type: str
    """`X-Amz-Log-Type`, None when absent."""
    client_context: str | None
    """`X-Amz-Client-Context`, still in base64."""
    tenant_id: str | None
    """`X-Amz-Tenant-Id`."""
    trace_id: str | None
    """`X-Amzn-Trace-Id`."""
    body: bytes
    """The payload, cut where it exceeds the larger limit."""
    size: int
    """How many bytes the payload really had."""
    streams: bool = False
    """Whether it is InvokeWithResponseStream."""


def check(
    request: Request,
    name: FunctionName | None,
    versions: Versions | None,
    *,
    request_id: str,
    now: float,
    region_name: str,
    account_id: str,
) -> Invocation | Answer:
    """Make an invocation of a request, or the answer that says what is wrong with it.

    Args:
        request: The request.
        name: Its function name in parts; None if it is none.
        versions: The function registered under the bare name; None without.
        request_id: The id of the answer.
        now: Seconds of the monotonic clock.
        region_name: The endpoint's region.
        account_id: The endpoint's account.
    """
    faults = names.faults(request.function_name, request.qualifier)
    for value, member, allowed in (
        (
            request.invocation_type,
            "invocationType",
            STREAMING_INVOCATION_TYPES if request.streams else INVOCATION_TYPES,
        ),
        (request.log_type, "logType", LOG_TYPES),
    ):
        if value not in allowed:
            faults.append(names.not_one_of(value, member, allowed))
    if faults or name is None:
        return answers.invalid(request_id, faults)

    if name.region is not None and name.region != region_name:
        return answers.wrong_region(request_id, name.region, region_name)
    if None not in (name.qualifier, request.qualifier) and name.qualifier != request.qualifier:
        return answers.qualifier_conflict(request_id)
    qualifier = name.qualifier or request.qualifier

    is_event = request.invocation_type == "Event"
    if request.size > (answers.EVENT_LIMIT if is_event else answers.SYNC_LIMIT):
        return answers.too_large(request_id, request.size, event=is_event)
    try:
        event = decode_event(request.body)
    except (ValueError, RecursionError) as error:
        return answers.bad_json(request_id, json_errors.describe(request.body, error))
    try:
        client_context = _client_context(request.client_context)
    except ValueError:
        return answers.bad_client_context(request_id)

    account = name.account or account_id
    arn = f"arn:aws:lambda:{region_name}:{account}:function:{name.name}"
    config = versions.resolve(qualifier) if versions and account == account_id else None
    if config is None:
        return answers.function_not_found(request_id, f"{arn}:{qualifier or names.LATEST}")
    if versions is not None and now < versions.pending_until:
        return answers.conflict(request_id, answers.not_active("Pending"))
    # An Event waits in the queue until the update is done.
    if versions is not None and not is_event and now < versions.updates_until(config.version):
        return answers.conflict(request_id, answers.updating(config.arn))
    return Invocation(
        request_id=request_id,
        function_name=config.name,
        version=config.version,
        arn=config.arn if qualifier is None else f"{config.arn}:{qualifier}",
        is_qualified=qualifier is not None,
        payload=request.body or b"{}",
        event=event,
        trace_id=request.trace_id or _new_trace_id(),
        client_context=None if is_event else client_context,
        tenant_id=request.tenant_id,
        tail=request.log_type == "Tail" and not is_event,
    )


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def decode_event(body: bytes) -> Any:
    """Read a payload; none is an empty object.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    return _DECODER.decode(body.decode()) if body else {}


def _client_context(header: str | None) -> dict[str, Any] | None:
    if header is None:
        return None
    try:
        value = _DECODER.decode(base64.b64decode(header, validate=True).decode())
    except (binascii.Error, RecursionError) as error:
        raise ValueError from error
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of error for the caller
    return value


def _new_trace_id() -> str:
    return f"root=1-{int(time.time()):08x}-{secrets.token_hex(12)};sampled=0"
