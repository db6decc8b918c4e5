"""Management requests that no SDK would send: each gets one clear answer, never a 500."""

import json
from typing import Any

import pytest

from asyncinvoke.local import LocalLambda

pytestmark = pytest.mark.anyio

FUNCTIONS = "/2015-03-31/functions"
WHOLE: dict[str, Any] = {
    "FunctionName": "f",
    "Role": "arn:aws:iam::123456789012:role/r",
    "Runtime": "python3.13",
    "Handler": "app.f",
    "Code": {"ZipFile": ""},
}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[]", "the body is not a JSON object"),
        ("{", "the body is not a JSON object"),
        ("[" * 100_000, "the body is not a JSON object"),
        ('{"FunctionName": ["f"]}', "FunctionName: it must be a text"),
        ('{"FunctionName": "\\ud800"}', "FunctionName: it must be a text of whole characters"),
        ({"Handler": 5}, "Handler: it must be a text"),
        ({"Timeout": "3"}, "Timeout: it must be a whole number"),
        ({"Timeout": True}, "Timeout: it must be a whole number"),
        ({"Timeout": 2.5}, "Timeout: it must be a whole number"),
        ({"Code": "zip"}, "Code: it must be an object"),
        ({"Code": {"ZipFile": 1}}, "ZipFile: it must be a text"),
        ({"Environment": []}, "Environment: it must be an object"),
        ({"Environment": {"Variables": ["a"]}}, "Variables: it must be an object"),
        ({"Environment": {"Variables": {"KEY": 1}}}, "KEY: it must be a text"),
    ],
)
async def test_a_member_of_another_type_is_named_and_not_repeated(
    local: LocalLambda, request_to: Any, body: Any, message: str
) -> None:
    text = body if isinstance(body, str) else json.dumps({**WHOLE, **body})

    reply = await request_to(local.url, FUNCTIONS, text)

    assert reply.error == (
        400,
        "SerializationException",
        {"Type": "User", "message": message},
    )


@pytest.mark.parametrize(
    ("left_out", "code", "message"),
    [
        (
            "FunctionName",
            "ValidationException",
            (
                "1 validation error detected: Value null at 'functionName' failed to satisfy "
                "constraint: Member must not be null"
            ),
        ),
        (
            "Handler",
            "InvalidParameterValueException",
            (
                "Runtime and Handler are mandatory parameters for functions created with deployment "
                "packages."
            ),
        ),
        (
            "Code",
            "InvalidParameterValueException",
            "Please provide a source for function code: this endpoint takes a ZipFile, or code in S3.",
        ),
    ],
)
async def test_a_member_that_is_left_out_is_named(
    local: LocalLambda, request_to: Any, left_out: str, code: str, message: str
) -> None:
    members = {**WHOLE, left_out: None}

    reply = await request_to(local.url, FUNCTIONS, json.dumps(members))

    assert (reply.status, reply.headers["x-amzn-errortype"]) == (400, code)
    assert reply.json()["message"] == message


async def test_two_parameters_out_of_range_are_both_named(
    local: LocalLambda, request_to: Any
) -> None:
    reply = await request_to(
        local.url, FUNCTIONS, json.dumps({**WHOLE, "Timeout": 0, "MemorySize": 1})
    )

    assert reply.error == (
        400,
        "ValidationException",
        {
            "message": "2 validation errors detected: Value '0' at 'timeout' failed to satisfy "
            "constraint: Member must have value greater than or equal to 1; Value '1' at "
            "'memorySize' failed to satisfy constraint: Member must have value greater than or "
            "equal to 128"
        },
    )


async def test_conflicting_qualifiers_and_invalid_names_are_refused_here_too(
    local: LocalLambda, request_to: Any
) -> None:
    local.function("f", lambda event, context: event)

    differ = await request_to(local.url, f"{FUNCTIONS}/f%3A1?Qualifier=2", method="GET")
    no_name = await request_to(local.url, f"{FUNCTIONS}/no%20name", method="GET")
    marker = await request_to(local.url, f"{FUNCTIONS}?MaxItems=none", method="GET")

    assert differ.json()["message"] == (
        "The derived qualifier from the function name does not match the specified qualifier."
    )
    for reply, member in ((no_name, "functionName"), (marker, "maxItems")):
        assert (reply.status, reply.headers["x-amzn-errortype"]) == (400, "ValidationException")
        assert f"at '{member}'" in reply.json()["message"]


async def test_a_callable_has_no_code_and_no_handler_to_change(
    local: LocalLambda, request_to: Any
) -> None:
    local.function("f", lambda event, context: event)

    for path, body in (("code", {"ZipFile": ""}), ("configuration", {"Handler": "app.g"})):
        reply = await request_to(local.url, f"{FUNCTIONS}/f/{path}", json.dumps(body), method="PUT")
        assert reply.status == 400
        assert "f is a callable of this process" in reply.json()["message"]


async def test_an_upload_over_the_limit_is_413(
    local: LocalLambda, request_to: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncinvoke.local.edge.http_edge.BODY_LIMIT", 1000)

    reply = await request_to(local.url, FUNCTIONS, b" " * 1001)

    assert reply.error == (
        413,
        "RequestEntityTooLargeException",
        {
            "Type": "User",
            "message": "Request must be smaller than 1000 bytes for the CreateFunction operation",
        },
    )


async def test_a_fault_of_the_endpoint_itself_is_a_500_that_an_sdk_can_read(
    local: LocalLambda, request_to: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(registry: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("asyncinvoke.local.management.routes.account_settings", broken)

    reply = await request_to(local.url, "/2016-08-19/account-settings", method="GET")

    assert (reply.status, reply.headers["x-amzn-errortype"]) == (500, "ServiceException")
    assert "lost" not in reply.body.decode()
