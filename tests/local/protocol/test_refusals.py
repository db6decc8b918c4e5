"""Which requests are accepted, rejected, or run nothing, over real HTTP."""

import base64
from typing import Any

import pytest

from asyncinvoke.local import LocalLambda
from tests.doubles.handlers import echo

pytestmark = pytest.mark.anyio

ARN = "arn:aws:lambda:us-east-1:123456789012:function:echo"


async def ids(event: Any, context: Any) -> Any:
    return [context.aws_request_id, context.invoked_function_arn]


@pytest.fixture(autouse=True)
def functions(local: LocalLambda) -> None:
    local.function("echo", echo)
    local.function("ids", ids)


async def test_a_dry_run_runs_nothing(local: LocalLambda, invoke: Any) -> None:
    assert (await invoke("echo", Invocation_Type="DryRun")).status == 204
    assert local.statistics().executions == 0


@pytest.mark.parametrize(
    ("name", "qualifier"),
    [
        ("ids", None),
        ("function:ids", None),
        ("123456789012:function:ids", None),
        ("arn:aws:lambda:us-east-1:123456789012:function:ids", None),
        ("arn:aws-cn:lambda:us-east-1:123456789012:function:ids", None),
        ("ids:$LATEST", None),
        ("ids", "$LATEST"),
        ("ids:$LATEST", "$LATEST"),
    ],
)
async def test_every_form_of_the_name_reaches_the_function(
    invoke: Any, name: str, qualifier: str | None
) -> None:
    reply = await invoke(name, qualifier=qualifier)
    suffix = ":$LATEST" if qualifier or "$" in name else ""
    assert reply.json()[1] == ARN.replace("echo", "ids") + suffix


async def test_another_account_has_no_such_function(invoke: Any) -> None:
    arn = ARN.replace("123456789012", "999999999999")
    body = {"Type": "User", "Message": f"Function not found: {arn}:$LATEST"}
    assert (await invoke(arn)).error == (404, "ResourceNotFoundException", body)


@pytest.mark.parametrize("header", ["Invocation_Type", "Log_Type"])
async def test_an_unknown_type_is_invalid(invoke: Any, header: str) -> None:
    status, code, body = (await invoke("echo", **{header: "Other"})).error
    assert (status, code) == (400, "ValidationException")
    assert "Value 'Other' at" in body["message"]


@pytest.mark.parametrize(
    "body", [b"{", b"\x99", b"nope", b"NaN", b'{"a": 1} x', b"[" * 100_000, b" "]
)
async def test_a_body_that_is_not_json_is_refused(
    local: LocalLambda, invoke: Any, body: bytes
) -> None:
    status, code, answer = (await invoke("echo", body)).error
    assert (status, code, answer["Type"]) == (400, "InvalidRequestContentException", "User")
    assert answer["message"].startswith(
        "Could not parse request body into json: Could not parse payload into json: "
    )
    assert local.statistics().executions == 0


@pytest.mark.parametrize("context", ["%%%", base64.b64encode(b"[1]").decode()])
async def test_a_client_context_that_is_not_an_object_is_refused(invoke: Any, context: str) -> None:
    status, code, _ = (await invoke("echo", Client_Context=context)).error
    assert (status, code) == (400, "InvalidRequestContentException")


@pytest.mark.parametrize(
    ("invocation_type", "limit", "ok"),
    [("RequestResponse", 6_291_456, 200), ("Event", 1_048_576, 202)],
)
async def test_a_payload_may_have_the_limits_size_and_no_byte_more(
    invoke: Any, invocation_type: str, limit: int, ok: int
) -> None:
    body = b'"' + b"x" * (limit - 2) + b'"'
    assert (await invoke("echo", body, Invocation_Type=invocation_type)).status == ok
    assert (await invoke("echo", body + b" ", Invocation_Type=invocation_type)).status == 413


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/2015-03-31/functions/echo/invocations"),
        ("POST", "/2015-03-31/functions/echo"),
        ("POST", "/2015-03-31/functions/invocations"),
        ("GET", "/"),
    ],
)
async def test_any_other_operation_is_unknown(
    local: LocalLambda, request_to: Any, method: str, path: str
) -> None:
    status, code, _ = (await request_to(local.url, path, method=method)).error
    assert (status, code) == (404, "UnknownOperationException")
    assert local.statistics().invocations == 0
