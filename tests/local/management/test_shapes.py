"""Requests are validated against botocore's service model, and responses conform to it."""

import base64
import io
import itertools
import json
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import botocore.session
import pytest
from botocore.model import Shape

from asyncinvoke.local import LocalLambda

pytestmark = pytest.mark.anyio

MODEL = botocore.session.get_session().get_service_model("lambda")
FUNCTIONS = "/2015-03-31/functions"
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "double": (int, float),
    "list": (list,),
    "structure": (dict,),
    "map": (dict,),
}
VALUES: tuple[Any, ...] = (7, 1.5, True, "x", [1], [None], {"a": 1})
# Ignored: they would only choose between things of which there is one.
UNREAD = {
    "ImageConfig",
    "ImageUri",
    "PublishTo",
    "S3ObjectStorageMode",
    "SourceKMSKeyArn",
}


def package() -> str:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", "def f(event, context):\n    return event\n")
    return base64.b64encode(data.getvalue()).decode()


CREATE: dict[str, Any] = {
    "FunctionName": "other",
    "Role": "arn:aws:iam::123456789012:role/r",
    "Runtime": "python3.13",
    "Handler": "app.f",
    "Code": {"ZipFile": package()},
}
PERMISSION = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "1" * 12}
REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "CreateFunction": ("POST", FUNCTIONS, CREATE),
    "UpdateFunctionConfiguration": ("PUT", f"{FUNCTIONS}/f/configuration", {}),
    "UpdateFunctionCode": ("PUT", f"{FUNCTIONS}/f/code", {"ZipFile": package()}),
    "PublishVersion": ("POST", f"{FUNCTIONS}/f/versions", {}),
    "CreateAlias": ("POST", f"{FUNCTIONS}/f/aliases", {"Name": "n", "FunctionVersion": "$LATEST"}),
    "AddPermission": ("POST", f"{FUNCTIONS}/f/policy", PERMISSION),
    "PublishLayerVersion": (
        "POST",
        "/2018-10-31/layers/l/versions",
        {"Content": {"ZipFile": package()}},
    ),
}


def members_of(shape: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Shape]]:
    for name, member in shape.members.items():
        if member.serialization.get("location") or name in UNREAD:
            continue
        yield (*path, name), member
        if member.type_name == "list":
            yield (*path, name, 0), member.member
            if member.member.type_name == "structure":
                yield from members_of(member.member, (*path, name, 0))
        if member.type_name == "structure" and len(path) < 2:
            yield from members_of(member, (*path, name))


def is_of(value: Any, shape: Shape) -> bool:
    return type(value) in TYPES[shape.type_name]


def breaking(shape: Any) -> Iterator[Any]:
    """Yield a value that violates each constraint of the model on strings."""
    if shape.type_name != "string":
        return
    most = shape.metadata.get("max", 10_000)
    if most < 10_000:
        yield "a" * (most + 1)
    if shape.metadata.get("min"):
        yield ""
    if shape.metadata.get("pattern", ".*") != ".*":
        yield "not \N{SNOWMAN} this"
    if shape.enum and shape.name != "Runtime":  # a layer may be for a newer one
        yield "NOT_ONE"


def placed(body: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(json.dumps(body))
    at: Any = whole
    for key, following in itertools.pairwise(path):
        if not isinstance(at, list):
            at[key] = at.get(key) or {}
        if following == 0:
            at[key] = [{}]
        at = at[key]
    at[path[-1]] = value
    return whole


@pytest.mark.parametrize("operation", REQUESTS)
async def test_requests_that_violate_the_model_are_refused_by_every_operation_without_a_500(
    request_to: Any, operation: str
) -> None:
    method, path, body = REQUESTS[operation]
    wrong = []
    # `$LATEST` is active at once: a request accepted by mistake must not affect later ones.
    async with LocalLambda(settling_time=0.0, allow_unsigned=True) as local:
        created = {**CREATE, "FunctionName": "f"}
        await request_to(local.url, FUNCTIONS, json.dumps(created))
        tried = 0
        for where, shape in members_of(MODEL.operation_model(operation).input_shape):
            values = [value for value in VALUES if not is_of(value, shape)]
            if where[-1] in ("ZipFile", "CodeSha256", "RevisionId"):
                values = values[:1]
            for value in (*values, *breaking(shape)):
                asked = json.dumps(placed(body, where, value))
                reply = await request_to(local.url, path, asked, method=method)
                tried += 1
                if reply.status != 400:
                    wrong.append((where, value, reply.status))

    assert wrong == []
    assert tried >= 5


async def test_a_function_that_is_refused_for_its_tags_is_not_there(request_to: Any) -> None:
    tags = {f"k{number}": "v" for number in range(51)}
    async with LocalLambda(settling_time=0.0, allow_unsigned=True) as local:
        reply = await request_to(local.url, FUNCTIONS, json.dumps({**CREATE, "Tags": tags}))
        found = await request_to(local.url, FUNCTIONS, method="GET")

    assert reply.status == 400
    assert found.json() == {"Functions": []}


@pytest.mark.parametrize(
    ("tags", "rule"),
    [
        ({"": "v"}, "Map keys must satisfy constraint: "),
        ({"k" * 129: "v"}, "Map keys must satisfy constraint: "),
        ({"<k>": "v"}, "Map keys must satisfy constraint: "),
        ({"k": "v" * 257}, "Map value must satisfy constraint: "),
        ({"k": None}, "Map value must satisfy constraint: "),
        ({"k": "a\nb"}, "Map value must satisfy constraint: "),
        ({"\ud800": "v"}, "Tags: it must be a text of whole characters"),
    ],
)
async def test_a_tag_that_the_service_refuses_is_refused_when_a_function_is_made_and_later(
    request_to: Any, tags: dict[str, str | None], rule: str
) -> None:
    whole = {"the key-1_.:/=+@" + "\N{LATIN SMALL LETTER E WITH ACUTE}" * 112: "v" * 256}
    arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
    path = f"/2017-03-31/tags/{quote(arn, safe='')}"
    async with LocalLambda(settling_time=0.0, allow_unsigned=True) as local:
        made = await request_to(local.url, FUNCTIONS, json.dumps({**CREATE, "Tags": tags}))
        named = {**CREATE, "FunctionName": "f", "Tags": whole}
        await request_to(local.url, FUNCTIONS, json.dumps(named))
        tagged = await request_to(local.url, path, json.dumps({"Tags": tags}))
        told = await request_to(local.url, path, method="GET")

    assert (made.status, tagged.status) == (400, 400)
    assert rule in made.json()["message"]
    assert tagged.json()["message"] == made.json()["message"]
    assert told.json() == {"Tags": whole}


LAYER_ARN = "arn:aws:lambda:us-east-1:123456789012:layer:"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("no name", 400),
        ("a\0b", 400),
        ("a" * 141, 400),
        (f"{LAYER_ARN}l:1", 400),
        (f"{LAYER_ARN.replace('us-east-1', 'eu-west-1')}l", 404),
        (f"{LAYER_ARN.replace('123456789012', '210987654321')}l", 404),
        (f"{LAYER_ARN}l", 201),
    ],
)
async def test_a_layer_that_no_function_could_name_is_not_published(
    request_to: Any, name: str, status: int
) -> None:
    path = f"/2018-10-31/layers/{quote(name, safe='')}/versions"
    content = json.dumps({"Content": {"ZipFile": package()}})
    async with LocalLambda(allow_unsigned=True) as local:
        published = await request_to(local.url, path, content)
        listed = await request_to(local.url, path, method="GET")
        told = await request_to(local.url, f"{path}/1", method="GET")
        by_arn = await request_to(
            local.url,
            f"/2018-10-31/layers?find=LayerVersion&Arn={LAYER_ARN}l:1",
            method="GET",
        )

    expected = 200 if status == 201 else status
    assert (published.status, listed.status, told.status) == (status, expected, expected)
    assert by_arn.status == (200 if status == 201 else 404)


async def test_lists_of_layers_are_of_the_runtime_and_the_architecture_that_they_ask_for(
    request_to: Any,
) -> None:
    of = [
        ("a", {"CompatibleRuntimes": ["python3.13"], "CompatibleArchitectures": ["arm64"]}),
        ("a", {"CompatibleRuntimes": ["python3.14"], "CompatibleArchitectures": ["x86_64"]}),
        ("b", {}),
    ]
    layers = "/2018-10-31/layers"
    async with LocalLambda(allow_unsigned=True) as local:
        for name, members in of:
            body = json.dumps({"Content": {"ZipFile": package()}, **members})
            await request_to(local.url, f"{layers}/{name}/versions", body)

        async def found(query: str) -> tuple[dict[str, int], list[int]]:
            whole = await request_to(local.url, f"{layers}?{query}", method="GET")
            one = await request_to(local.url, f"{layers}/a/versions?{query}", method="GET")
            latest = {
                each["LayerName"]: each["LatestMatchingVersion"]["Version"]
                for each in whole.json()["Layers"]
            }
            return latest, [each["Version"] for each in one.json()["LayerVersions"]]

        assert await found("") == ({"a": 2, "b": 1}, [2, 1])
        assert await found("CompatibleRuntime=python3.13") == ({"a": 1}, [1])
        assert await found("CompatibleArchitecture=x86_64") == ({"a": 2}, [2])
        both = "CompatibleRuntime=python3.13&CompatibleArchitecture=x86_64"
        assert await found(both) == ({}, [])


async def test_the_architecture_of_new_code_is_returned(request_to: Any) -> None:
    async with LocalLambda(settling_time=0.0, allow_unsigned=True) as local:
        await request_to(local.url, FUNCTIONS, json.dumps({**CREATE, "FunctionName": "f"}))
        code = {"ZipFile": package(), "Architectures": ["arm64"]}
        reply = await request_to(local.url, f"{FUNCTIONS}/f/code", json.dumps(code), method="PUT")
        told = await request_to(local.url, f"{FUNCTIONS}/f/configuration", method="GET")

    assert reply.status == 200
    assert told.json()["Architectures"] == ["arm64"]


@pytest.mark.parametrize(
    "member",
    [
        {"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}},
        {"DurableConfig": {"ExecutionTimeout": 60}},
        {"CodeSigningConfigArn": "arn:aws:lambda:us-east-1:123456789012:code-signing-config:csc-1"},
    ],
)
async def test_what_cannot_be_honoured_is_refused_and_not_dropped(
    request_to: Any, member: dict[str, Any]
) -> None:
    async with LocalLambda(settling_time=0.0, allow_unsigned=True) as local:
        reply = await request_to(local.url, FUNCTIONS, json.dumps({**CREATE, **member}))

    assert (reply.status, reply.headers["x-amzn-errortype"]) == (
        400,
        "InvalidParameterValueException",
    )
    assert next(iter(member)) in reply.json()["message"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (FUNCTIONS, "Functions"),
        (f"{FUNCTIONS}/f0/versions", "Versions"),
        (f"{FUNCTIONS}/f0/aliases", "Aliases"),
        ("/2018-10-31/layers", "Layers"),
        ("/2018-10-31/layers/l0/versions", "LayerVersions"),
        ("/2019-09-25/functions/f0/event-invoke-config/list", "FunctionEventInvokeConfigs"),
    ],
)
async def test_every_list_comes_in_the_pages_that_are_asked_for(
    request_to: Any, path: str, name: str
) -> None:
    content = json.dumps({"Content": {"ZipFile": package()}})
    events = "/2019-09-25/functions/f0/event-invoke-config"
    async with LocalLambda(settling_time=0.0, allow_unsigned=True) as local:
        for number in range(3):
            created = json.dumps({**CREATE, "FunctionName": f"f{number}"})
            await request_to(local.url, FUNCTIONS, created)
            alias = json.dumps({"Name": f"a{number}", "FunctionVersion": "$LATEST"})
            await request_to(local.url, f"{FUNCTIONS}/f0/aliases", alias)
            await request_to(local.url, f"/2018-10-31/layers/l{number}/versions", content)
            await request_to(local.url, "/2018-10-31/layers/l0/versions", content)
            await request_to(
                local.url,
                f"{events}?Qualifier=a{number}",
                '{"MaximumRetryAttempts": 1}',
                method="PUT",
            )
            changed = json.dumps({"Description": str(number)})
            await request_to(local.url, f"{FUNCTIONS}/f0/configuration", changed, method="PUT")
            await request_to(local.url, f"{FUNCTIONS}/f0/versions", "{}")
        whole = (await request_to(local.url, path, method="GET")).json()[name]
        found, marker = [], ""
        for _ in whole:
            page = await request_to(
                local.url, f"{path}?MaxItems=1&Marker={quote(marker)}", method="GET"
            )
            found += page.json()[name]
            marker = page.json().get("NextMarker", "")
        refused = await request_to(local.url, f"{path}?MaxItems=0", method="GET")

    assert len(whole) >= 3
    assert found == whole
    assert marker == ""
    assert refused.status == 400


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 20, "%C2%B2", "-1", "one"])
async def test_an_impossible_layer_version_does_not_exist(request_to: Any, number: str) -> None:
    path = f"/2018-10-31/layers/l/versions/{number}"
    async with LocalLambda(allow_unsigned=True) as local:
        told = await request_to(local.url, path, method="GET")
        deleted = await request_to(local.url, path, method="DELETE")

    assert told.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert (told.status, deleted.status) == (404, 204)
