"""Parameters of paths and queries are validated against botocore's service model."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import botocore.session
import pytest

from asyncinvoke.local import LocalLambda
from asyncinvoke.local.management.routes import ROUTES

pytestmark = pytest.mark.anyio

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
