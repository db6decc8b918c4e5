"""The checks of an Invoke request, without an endpoint: the first that fails decides."""

import json
import re
from dataclasses import replace
from typing import Any

import botocore.session
import pytest

from asyncinvoke.local import ReceivedInvocation, checks
from asyncinvoke.local.functions import configuration
from asyncinvoke.local.functions.versions import Versions
from asyncinvoke.local.protocol import names
from asyncinvoke.local.protocol.refusals import Refusal
from tests.doubles.handlers import echo


def test_the_first_check_that_fails_is_the_answer_in_this_order() -> None:
    def refused(now: float, **changes: Any) -> str:
        request = replace(EVERYTHING_WRONG, **changes)
        arguments: dict[str, Any] = {
            "region_name": "us-east-1",
            "account_id": "123456789012",
            "trace_id": "",
        }
        name = names.parse(request.function_name)
        try:
            checks.check_invocation(request, name, {"echo": versions}, now=now, **arguments)
        except Refusal as refusal:
            body = json.loads(refusal.answer("").payload)
            return str(body.get("message", body.get("Message")))
        return "invoked"

    config = configuration.check(
        name="echo",
        handler=echo,
        region_name="us-east-1",
        account_id="123456789012",
    )
    versions = Versions(config)
    versions.pend("$LATEST", 10.0)
    versions.update(config, 20.0)
    right: dict[str, Any] = {}
    for now, change, message in (
        (0, {}, "2 validation errors detected"),
        (0, {"invocation_type": "RequestResponse"}, "1 validation error detected"),
        (0, {"function_name": "arn:aws:lambda:eu-west-1:123456789012:function:nobody:live"}, "Fun"),
        (0, {"function_name": "nobody:live"}, "The derived qualifier"),
        (0, {"qualifier": "live"}, "Request must be smaller"),
        (0, {"size": 1}, "Could not parse request body"),
        (0, {"payload": b"1"}, "Client context must be"),
        (0, {"encoded_client_context": None}, "Function not found"),
        (0, {"function_name": "echo", "qualifier": None}, "The operation cannot be performed"),
        (15, {}, "invoked"),  # with the code before the update
        (25, {}, "invoked"),
    ):
        right |= change
        assert refused(now, **right).startswith(message), right


EVERYTHING_WRONG = ReceivedInvocation(
    request_id="",
    function_name="no name",
    qualifier="other",
    invocation_type="Soon",
    log_type="None",
    encoded_client_context="{}",
    tenant_id=None,
    payload=b"{",
    size=6_291_457,
)


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    "value", ["a", "a-_1", "a b", "a.b", "", "a!", "a" * 64, "a" * 65, "a" * 257]
)
def test_a_tenant_and_an_execution_are_named_as_the_model_allows(value: str, streams: bool) -> None:
    spelled_in_model = {"tenant_id": "TenantId", "durable_execution_name": "DurableExecutionName"}
    model = botocore.session.get_session().get_service_model("lambda")
    members: Any = model.operation_model(
        "InvokeWithResponseStream" if streams else "Invoke"
    ).input_shape
    right = replace(EVERYTHING_WRONG, invocation_type="RequestResponse", streams=streams)
    for field, member in spelled_in_model.items():
        shape = members.members.get(member)
        is_wrong = shape is not None and (
            re.fullmatch(shape.metadata["pattern"], value) is None
            or len(value) > shape.metadata["max"]
        )
        change: dict[str, Any] = {field: value}
        found = checks.header_violations(replace(right, **change))
        assert bool(found) == is_wrong
        spelled = member[0].lower() + member[1:]
        assert all(f"Value '{value}' at '{spelled}' failed" in text for text in found)
