"""`docs/fidelity.md` names every guess, and every field of a request that has no effect."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest

import asyncinvoke.local
from asyncinvoke.local import LocalLambda
from asyncinvoke.local.management import returned, settings
from asyncinvoke.local.management.request import Members
from tests.local.management.test_shapes import CREATE, FUNCTIONS, package

HOME = Path(asyncinvoke.local.__file__).parent
PAGE = (Path(__file__).parents[2] / "docs" / "fidelity.md").read_text("utf-8")
MODEL = botocore.session.get_session().get_service_model("lambda")
OPERATIONS = (
    "CreateFunction",
    "UpdateFunctionConfiguration",
    "UpdateFunctionCode",
    "PublishVersion",
)
EVERYTHING: dict[str, Any] = {
    **CREATE,
    "FunctionName": "f",
    "Architectures": ["arm64"],
    "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:123456789012:queue"},
    "Description": "a function",
    "Environment": {"Variables": {"KEY": "value"}},
    "EphemeralStorage": {"Size": 1024},
    "FileSystemConfigs": [
        {
            "Arn": "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-0123456789abcdef0",
            "LocalMountPath": "/mnt/x",
        }
    ],
    "ImageConfig": {"Command": ["app.g"]},
    "KMSKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1",
    "Layers": [],
    "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "WARN"},
    "MemorySize": 256,
    "Publish": True,
    "PublishTo": "LATEST_PUBLISHED",
    "SnapStart": {"ApplyOn": "PublishedVersions"},
    "Tags": {"key": "value"},
    "Timeout": 7,
    "TracingConfig": {"Mode": "Active"},
    "VpcConfig": {"SubnetIds": ["subnet-1"]},
}
IN_S3 = {
    "S3Bucket": "bucket",
    "S3Key": "code.zip",
    "S3ObjectVersion": "7",
    "S3ObjectStorageMode": "REFERENCE",
    "SourceKMSKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1",
}


def choices() -> list[str]:
    """Return the names of all choices: constants under the comment, in any module."""
    names = []
    for path in sorted(HOME.rglob("*.py")):
        for block in path.read_text("utf-8").split("# GUESS: ")[1:]:
            chosen = re.findall(r"^([A-Z_]+) = ", block.partition("\n\n")[0], re.MULTILINE)
            assert chosen, f"{path.name} names no choice"
            names += chosen
    return names


def test_every_choice_that_was_never_recorded_is_on_the_page_and_nothing_else() -> None:
    table = PAGE.partition("| name | what |\n|---|---|\n")[2].partition("\n\n")[0]
    listed = [
        name for row in table.splitlines() for name in re.findall("`(\\w+)`", row.split("|")[1])
    ]
    assert sorted(choices()) == sorted(listed)


def fields(outcome: str) -> set[str]:
    """Return the fields of the table by how they are treated."""
    table = PAGE.partition("| field | in AWS | here |\n|---|---|---|\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (\w+)\b[^|]* \|$", table, re.MULTILINE)
    assert len(rows) == len(table.splitlines())
    return {name for name, here in rows if here == outcome}


def modelled() -> set[str]:
    """Return the members that a request for one of the operations may have in its body."""
    found = set()
    for operation in OPERATIONS:
        members = MODEL.operation_model(operation).input_shape.members
        for name, shape in members.items():
            if shape.serialization.get("location"):
                continue
            found.add(name)
            if shape.type_name == "structure" and name not in (
                *fields("returned") - {"EphemeralStorage", "SnapStart", "TracingConfig"},
                *fields("ignored"),
                *fields("refused"),
            ):
                found |= set(shape.members)
    return found


def test_the_fields_that_are_returned_or_refused_are_those_of_the_code() -> None:
    assert fields("returned") == returned.WITHOUT_EFFECT
    assert fields("refused") == set(settings.REFUSED)


@pytest.mark.anyio
async def test_the_fields_that_are_ignored_are_those_that_nothing_reads(
    request_to: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[str] = set()

    class Recorded(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            read.add(name)
            return super().get(name, default)

    initialize = Members.__init__
    monkeypatch.setattr(
        Members, "__init__", lambda self, values: initialize(self, Recorded(values))
    )
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "code.zip").write_bytes(base64.b64decode(package()))
    async with LocalLambda(settling_time=0.0, allow_unsigned=True, s3=tmp_path) as local:
        created = await request_to(local.url, FUNCTIONS, json.dumps(EVERYTHING))
        replies = [
            await request_to(local.url, f"{FUNCTIONS}/f/{path}", json.dumps(body), method=method)
            for method, path, body in (
                ("PUT", "configuration", EVERYTHING),
                ("PUT", "code", {**IN_S3, "ImageUri": "x", "PublishTo": "LATEST_PUBLISHED"}),
                ("POST", "versions", {"PublishTo": "LATEST_PUBLISHED"}),
            )
        ]

    assert [reply.status for reply in (created, *replies)] == [201, 200, 200, 201]
    assert modelled() - read == fields("ignored") & modelled()
    assert not fields("ignored") & read
    # Fields that the table lists as returned are returned; every setting of the test is in it.
    returned = created.json()
    assert fields("returned") <= EVERYTHING.keys()
    for name in fields("returned") - {"SnapStart"}:
        assert returned[name] == EVERYTHING[name]
    assert returned["SnapStart"]["ApplyOn"] == "PublishedVersions"
