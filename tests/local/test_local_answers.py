"""Answers recorded from AWS, over real HTTP."""

import base64
import re
from typing import Any

import pytest

from asyncinvoke.local import LocalLambda

pytestmark = pytest.mark.anyio

ARN = "arn:aws:lambda:us-east-1:123456789012:function:echo"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def echo(event: Any, context: Any) -> Any:
    return event


async def ids(event: Any, context: Any) -> Any:
    return [context.aws_request_id, context.invoked_function_arn]


@pytest.fixture(autouse=True)
def functions(local: LocalLambda) -> None:
    local.function("echo", echo)
    local.function("ids", ids)


async def test_success_has_the_recorded_headers(invoke: Any) -> None:
    reply = await invoke("echo", b'{"a": [1, null, "x"]}')
    assert (reply.status, reply.json()) == (200, {"a": [1, None, "x"]})
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-amz-executed-version"] == "$LATEST"
    assert reply.headers["x-amzn-remapped-content-length"] == "0"
    assert reply.headers["connection"] == "keep-alive"
    assert re.fullmatch(
        r"root=1-[0-9a-f]{8}-[0-9a-f]{24};sampled=0", reply.headers["x-amzn-trace-id"]
    )
    assert UUID.fullmatch(reply.headers["x-amzn-requestid"])
    assert not {"x-amz-function-error", "x-amz-log-result"} & reply.headers.keys()


async def test_no_body_is_an_empty_object_and_none_is_null(local: LocalLambda, invoke: Any) -> None:
    async def nothing(event: Any, context: Any) -> None:
        assert event == {}

    local.function("nothing", nothing)
    assert (await invoke("echo")).body == b"{}"
    assert (await invoke("nothing")).body == b"null"


async def test_the_request_id_is_the_one_that_the_handler_sees(invoke: Any) -> None:
    reply = await invoke("ids")
    assert reply.json()[0] == reply.headers["x-amzn-requestid"]


async def test_dry_run_answers_204_and_runs_nothing(local: LocalLambda, invoke: Any) -> None:
    reply = await invoke("echo", Invocation_Type="DryRun")
    assert (reply.status, reply.body) == (204, b"")
    assert "x-amz-executed-version" not in reply.headers
    assert local.statistics().executions == 0


async def test_an_event_answers_202_without_body_version_and_type(invoke: Any) -> None:
    reply = await invoke("echo", Invocation_Type="Event")
    assert (reply.status, reply.body) == (202, b"")
    assert reply.headers["content-length"] == "0"
    assert not {"x-amz-executed-version", "content-type"} & reply.headers.keys()


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


@pytest.mark.parametrize(
    ("name", "qualifier", "shown"),
    [
        ("nope", None, "nope:$LATEST"),
        ("n" * 65, None, f"{'n' * 65}:$LATEST"),
        ("echo:live", None, "echo:live"),
        ("echo", "7", "echo:7"),
        ("echo:$LATEST.PUBLISHED", None, "echo:$LATEST.PUBLISHED"),
    ],
)
async def test_an_unknown_function_or_version_is_not_found(
    invoke: Any, name: str, qualifier: str | None, shown: str
) -> None:
    reply = await invoke(name, qualifier=qualifier)
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{shown}"
    body = {"Type": "User", "Message": f"Function not found: {arn}"}
    assert reply.error == (404, "ResourceNotFoundException", body)


async def test_another_account_has_no_such_function(invoke: Any) -> None:
    arn = ARN.replace("123456789012", "999999999999")
    body = {"Type": "User", "Message": f"Function not found: {arn}:$LATEST"}
    assert (await invoke(arn)).error == (404, "ResourceNotFoundException", body)


async def test_another_region_is_not_reachable(invoke: Any) -> None:
    message = "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"
    reply = await invoke(ARN.replace("us-east-1", "eu-west-1"))
    assert reply.error == (
        404,
        "ResourceNotFoundException",
        {"Type": "User", "Message": message},
    )


async def test_two_qualifiers_must_agree(invoke: Any) -> None:
    message = "The derived qualifier from the function name does not match the specified qualifier."
    assert (await invoke("echo:1", qualifier="2")).error == (
        400,
        "InvalidParameterValueException",
        {"Type": "User", "message": message},
    )


async def test_one_fault_is_counted_and_named(invoke: Any) -> None:
    status, code, body = (await invoke("no/name")).error
    assert (status, code, list(body)) == (400, "ValidationException", ["message"])
    assert body["message"].startswith(
        "1 validation error detected: Value 'no/name' at 'functionName' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?"
    )


async def test_two_faults_are_listed(invoke: Any) -> None:
    _, _, body = (await invoke("no/name", qualifier="no.qualifier")).error
    assert body["message"].startswith("2 validation errors detected: Value 'no/name' at ")
    assert "; Value 'no.qualifier' at 'qualifier' failed to satisfy constraint:" in body["message"]


async def test_a_qualifier_has_at_most_128_characters(invoke: Any) -> None:
    _, _, body = (await invoke("echo", qualifier="q" * 129)).error
    assert body["message"] == (
        f"1 validation error detected: Value '{'q' * 129}' at 'qualifier' failed to satisfy "
        "constraint: Member must have length less than or equal to 128"
    )


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
async def test_a_client_context_that_is_no_object_is_refused(invoke: Any, context: str) -> None:
    status, code, _ = (await invoke("echo", Client_Context=context)).error
    assert (status, code) == (400, "InvalidRequestContentException")


@pytest.mark.parametrize(
    ("invocation_type", "limit", "ok", "message"),
    [
        (
            "RequestResponse",
            6_291_456,
            200,
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        ),
        (
            "Event",
            1_048_576,
            202,
            "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
        ),
    ],
)
async def test_a_payload_may_have_the_limits_size_and_no_byte_more(
    invoke: Any, invocation_type: str, limit: int, ok: int, message: str
) -> None:
    body = b'"' + b"x" * (limit - 2) + b'"'
    assert (await invoke("echo", body, Invocation_Type=invocation_type)).status == ok
    reply = await invoke("echo", body + b" ", Invocation_Type=invocation_type)
    assert reply.status == 413
    assert reply.headers["x-amzn-errortype"] == "RequestEntityTooLargeException"
    assert reply.json()["message"] == message


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
