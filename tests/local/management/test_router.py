"""Management requests that no SDK would send: each gets one clear answer, never a 500.

Parameters of paths and queries are checked as botocore's service model says.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import botocore.session
import pytest

from asyncinvoke.local import LocalLambda
from asyncinvoke.local.management.routes import ROUTES

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


MODEL = botocore.session.get_session().get_service_model("lambda")

VALID = {
    "Arn": "arn:aws:lambda:us-east-1:123456789012:layer:l:1",
    "FunctionName": "f",
    "LayerName": "l",
    "Name": "a",
    "Qualifier": "a",
    "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f",
    "StatementId": "s",
    "tagKeys": "k",
    "UUID": "0" * 36,
    "VersionNumber": "1",
}
LENIENT = {
    "CompatibleRuntime",  # a layer may be for a newer one
    "VersionNumber",  # that AWS refuses text there is not known
}


def breaking(name: str, shape: Any) -> Iterator[str]:
    """Yield a value that violates each constraint of the model."""
    said = shape.metadata
    if shape.type_name == "integer":
        yield from (str(said["min"] - 1), str(said["max"] + 1))
    if shape.type_name != "string":
        return
    if said.get("max", 10_000) < 10_000:
        yield "a" * (257 if name == "FunctionName" else said["max"] + 1)
    if said.get("min", 0) > 1:
        yield "a" * (said["min"] - 1)
    if "pattern" in said or shape.enum:
        yield "not ! this"
    if name == "Name":
        yield "2024"


def requests() -> Iterator[tuple[str, str, str]]:
    """Yield an operation, a method, and a path with one invalid parameter."""
    for operation in MODEL.operation_names:
        model = MODEL.operation_model(operation)
        uri, _, fixed = model.http["requestUri"].partition("?")
        method = model.http["method"]
        wanted: Any = model.input_shape
        parameters = {
            member.serialization["name"]: (member, member.serialization["location"])
            for member in wanted.members.values()
            if member.serialization.get("location") in ("uri", "querystring")
        }
        for wrong, (shape, _) in parameters.items():
            for value in () if wrong in LENIENT else breaking(wrong, shape):
                values = {**VALID, wrong: value}
                path = uri
                for name in parameters:
                    path = path.replace(f"{{{name}}}", quote(values.get(name, "x"), safe=""))
                if not any(method == each and there.fullmatch(path) for each, there, *_ in ROUTES):
                    continue
                query = {
                    name: values[name]
                    for name, (_, location) in parameters.items()
                    if location == "querystring"
                    and (name == wrong or name in ("Arn", "tagKeys", "Qualifier"))
                }
                yield operation, method, f"{path}?{fixed}&{urlencode(query)}"


def echo(event: Any, _: object) -> Any:
    return event


async def test_each_parameter_that_violates_the_model_is_refused(request_to: Any) -> None:
    accepted, tried = [], set()
    async with LocalLambda(settling_time=0.0, allow_unsigned=True) as local:
        local.function("f", echo)
        for operation, method, path in requests():
            tried.add(operation)
            reply = await request_to(local.url, path, "{}", method=method)
            if reply.headers.get("x-amzn-errortype") != "ValidationException":
                accepted.append((operation, path, reply.status))

    assert accepted == []
    assert {"GetAlias", "DeleteAlias", "ListAliases", "ListTags", "RemovePermission"} <= tried
    assert len(tried) > 35
