"""Code that sets functions up with boto3 works unchanged: create, wait, update, publish, delete."""

import base64
import contextlib
import gzip
import hashlib
import http.server
import io
import json
import struct
import sys
import threading
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from asyncinvoke.local import EventConfig, LocalLambda

pytestmark = pytest.mark.anyio

REGION = "us-east-1"
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/tests"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:tell"
SETTLING_TIME = 0.3
FOREVER = 3600.0
QUICKLY = {"Delay": 0.05, "MaxAttempts": 200}

CODE = """
import os

def tell(event, context):
    return [{word!r}, context.function_version, os.environ.get("SHOP")]

def leave(event, context):
    with open(event, "w") as file:
        file.write({word!r})

def where(event, context):
    return os.getcwd()

def logs(event, context):
    import logging
    logging.getLogger().info("informed")
    logging.getLogger().warning("warned")

def hold(event, context):
    import time
    open(event["started"], "w").close()
    while not os.path.exists(event["release"]):
        time.sleep(0.01)
    import late
    return late.WORD
"""


def package(word: str, **others: str) -> bytes:
    """Zip a module whose functions return a word, with other modules beside it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("app.py", CODE.format(word=word))
        for name, text in others.items():
            bundle.writestr(f"{name}.py", text)
    return archive.getvalue()


class Sdk:
    """A boto3 client whose blocking calls run in worker threads."""

    def __init__(self, url: str) -> None:
        once = Config(retries={"total_max_attempts": 1})
        self.client = boto3.client("lambda", REGION, endpoint_url=url, config=once)

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        async def call(**arguments: Any) -> Any:
            method = getattr(self.client, operation)
            return await anyio.to_thread.run_sync(partial(method, **arguments))

        return call

    async def create(self, name: str = "tell", **options: Any) -> Any:
        """Call `CreateFunction` with the minimum of parameters."""
        needed = {"Runtime": "python3.13", "Role": ROLE, "Handler": f"app.{name}"}
        code = {"ZipFile": package("old")}
        return await self.create_function(
            **{"FunctionName": name, "Code": code, **needed, **options}
        )

    async def wait(self, waiter: str, name: str = "tell") -> None:
        """Wait as setup code does."""
        wait = partial(self.client.get_waiter(waiter).wait, WaiterConfig=QUICKLY)
        await anyio.to_thread.run_sync(partial(wait, FunctionName=name))

    async def answer(self, name: str = "tell", **options: Any) -> Any:
        """Call `Invoke`, and return the function's result."""
        answer = await self.invoke(FunctionName=name, **options)
        with contextlib.closing(answer["Payload"]) as body:
            return json.loads(body.read())

    async def refusal(self, operation: str, **arguments: Any) -> tuple[int, str, str]:
        """Return the status, code and message with which an operation is refused."""
        with pytest.raises(ClientError) as caught:
            await getattr(self, operation)(**arguments)
        error: Any = caught.value.response
        return (
            error["ResponseMetadata"]["HTTPStatusCode"],
            error["Error"]["Code"],
            error["Error"]["Message"],
        )


@contextlib.asynccontextmanager
async def endpoint(**options: Any) -> AsyncIterator[tuple[LocalLambda, Sdk]]:
    """An endpoint and a client of it."""
    async with LocalLambda(region_name=REGION, account_id=ACCOUNT, **options) as local:
        sdk = Sdk(local.url)
        with contextlib.closing(sdk.client):
            yield local, sdk


@pytest.fixture
async def sdk() -> AsyncIterator[Sdk]:
    """A client of an endpoint whose functions can be used at once."""
    async with endpoint(settling_time=0) as (_, sdk):
        yield sdk


async def test_a_function_is_created_awaited_invoked_updated_and_deleted() -> None:
    async with endpoint(settling_time=SETTLING_TIME) as (_, sdk):
        code = package("old")
        created = await sdk.create(
            Code={"ZipFile": code}, Timeout=20, MemorySize=256, Description="tells",
            Environment={"Variables": {"SHOP": "north"}},
        )  # fmt: skip
        assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
        assert created["FunctionArn"] == ARN
        assert (created["State"], created["StateReasonCode"]) == ("Pending", "Creating")
        assert created["CodeSize"] == len(code)
        assert created["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()

        await sdk.wait("function_active_v2")
        assert await sdk.answer() == ["old", "$LATEST", "north"]

        updated = await sdk.update_function_code(FunctionName="tell", ZipFile=package("new"))
        assert updated["LastUpdateStatus"] == "InProgress"
        await sdk.wait("function_updated_v2")
        assert await sdk.answer() == ["new", "$LATEST", "north"]

        await sdk.update_function_configuration(
            FunctionName="tell", Environment={"Variables": {"SHOP": "south"}}, Timeout=10
        )
        await sdk.wait("function_updated")
        got = await sdk.get_function_configuration(FunctionName="tell")
        assert (got["Timeout"], got["MemorySize"], got["Description"]) == (10, 256, "tells")
        assert await sdk.answer() == ["new", "$LATEST", "south"]

        deleted = await sdk.delete_function(FunctionName="tell")
        assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert await sdk.refusal("invoke", FunctionName="tell") == (
            404,
            "ResourceNotFoundException",
            f"Function not found: {ARN}:$LATEST",
        )
        await sdk.create()
        await sdk.wait("function_exists")


async def test_a_pending_function_cannot_be_invoked_and_one_that_is_updated_not_changed() -> None:
    async with endpoint(settling_time=FOREVER) as (local, sdk):
        await sdk.create()
        local.function("other", lambda event, context: event)
        await sdk.update_function_configuration(FunctionName="other", Timeout=9)
        version = local.function("third", lambda event, context: event).publish_version()
        await sdk.update_function_configuration(FunctionName="third", Timeout=9)

        pending = await sdk.refusal("invoke", FunctionName="tell")
        change = await sdk.refusal("update_function_configuration", FunctionName="other")
        publish = await sdk.refusal("publish_version", FunctionName="other")

        begin = "The operation cannot be performed at this time. "
        assert pending == (
            409,
            "ResourceConflictException",
            f"{begin}The function is currently in the following state: Pending",
        )
        updating = (
            409,
            "ResourceConflictException",
            f"{begin}An update is in progress for resource: {ARN.replace('tell', 'other')}",
        )
        assert change == updating == publish
        assert await sdk.answer("other") == {}
        assert await sdk.answer("third", Qualifier=version) == {}


async def test_an_event_in_the_middle_of_an_update_is_run_with_the_new_code(tmp_path: Path) -> None:
    told = tmp_path / "told"
    async with endpoint(settling_time=SETTLING_TIME) as (local, sdk):
        await sdk.create("leave")
        await sdk.wait("function_active_v2", "leave")
        await sdk.update_function_code(FunctionName="leave", ZipFile=package("new"))
        accepted = await sdk.invoke(
            FunctionName="leave", InvocationType="Event", Payload=json.dumps(str(told))
        )
        assert accepted["StatusCode"] == 202
        with anyio.fail_after(30):
            while local.statistics().executions == 0 or local.statistics().in_flight:
                await anyio.sleep(0.02)

    assert told.read_text("utf-8") == "new"


async def test_versions_keep_their_code_and_aliases_move_between_them(sdk: Sdk) -> None:
    created = await sdk.create(Publish=True)
    # As LocalStack recorded from AWS: only an update that publishes returns the ARN of the version.
    assert (created["Version"], created["FunctionArn"]) == ("1", ARN)
    same = await sdk.publish_version(FunctionName="tell")
    assert same["Version"] == "1"

    code = await sdk.update_function_code(FunctionName="tell", ZipFile=package("new"), Publish=True)
    assert (code["Version"], code["FunctionArn"]) == ("2", f"{ARN}:2")
    alias = await sdk.create_alias(
        FunctionName="tell", Name="live", FunctionVersion="1", Description="what runs"
    )
    assert alias["AliasArn"] == f"{ARN}:live"
    assert await sdk.answer(Qualifier="live") == ["old", "1", None]

    moved = await sdk.update_alias(
        FunctionName="tell", Name="live", FunctionVersion="2", RevisionId=alias["RevisionId"]
    )
    assert (moved["FunctionVersion"], moved["Description"]) == ("2", "what runs")
    assert await sdk.answer("tell:live") == ["new", "2", None]
    assert await sdk.answer(f"{ARN}:1") == ["old", "1", None]
    found = await sdk.get_function(FunctionName="tell:live", Qualifier="live")
    assert found["Configuration"]["FunctionArn"] == f"{ARN}:2"
    third = await sdk.publish_version(FunctionName="tell", Description="the third")
    assert third["Version"] == "2"
    await sdk.update_function_configuration(FunctionName="tell", MemorySize=512)
    third = await sdk.publish_version(FunctionName="tell", Description="the third")
    assert (third["Version"], third["Description"]) == ("3", "the third")
    again = await sdk.publish_version(FunctionName="tell", Description="the third")
    assert again["Version"] == "3"


async def test_a_version_that_an_alias_points_to_cannot_be_deleted(sdk: Sdk) -> None:
    await sdk.create(Publish=True)
    await sdk.create_alias(FunctionName="tell", Name="live", FunctionVersion="1")
    await sdk.create_alias(FunctionName="tell", Name="blue", FunctionVersion="1")

    assert await sdk.refusal("delete_function", FunctionName="tell", Qualifier="1") == (
        409,
        "ResourceConflictException",
        "Unable to delete version because the following aliases reference it: [blue, live]",
    )
    for qualifier, message in {
        "live": "Deletion of aliases is not currently supported.",
        "$LATEST": "$LATEST version cannot be deleted without deleting the function.",
    }.items():
        refused = await sdk.refusal("delete_function", FunctionName="tell", Qualifier=qualifier)
        assert refused == (400, "InvalidParameterValueException", message)

    for alias in ("live", "blue"):
        await sdk.delete_alias(FunctionName="tell", Name=alias)
    await sdk.delete_function(FunctionName="tell", Qualifier="1")
    await sdk.delete_function(FunctionName="tell", Qualifier="99")
    assert (await sdk.refusal("invoke", FunctionName="tell", Qualifier="1"))[0] == 404
    assert await sdk.answer() == ["old", "$LATEST", None]


async def test_reserved_concurrency_is_set_returned_and_removed(sdk: Sdk) -> None:
    await sdk.create()
    await sdk.put_function_concurrency(FunctionName="tell", ReservedConcurrentExecutions=0)

    assert (await sdk.refusal("invoke", FunctionName="tell"))[:2] == (
        429,
        "TooManyRequestsException",
    )
    assert (await sdk.get_function_concurrency(FunctionName=ARN))[
        "ReservedConcurrentExecutions"
    ] == 0
    assert (await sdk.get_function(FunctionName="tell"))["Concurrency"] == {
        "ReservedConcurrentExecutions": 0
    }
    refused = await sdk.refusal(
        "put_function_concurrency", FunctionName="tell", ReservedConcurrentExecutions=1001
    )
    assert refused[:2] == (400, "InvalidParameterValueException")
    await sdk.delete_function_concurrency(FunctionName="tell")
    assert "Concurrency" not in await sdk.get_function(FunctionName="tell")
    assert await sdk.answer() == ["old", "$LATEST", None]


async def test_account_settings_count_functions_and_what_is_not_reserved(sdk: Sdk) -> None:
    await sdk.create()
    await sdk.put_function_concurrency(FunctionName="tell", ReservedConcurrentExecutions=100)

    settings = await sdk.get_account_settings()

    assert settings["AccountLimit"]["ConcurrentExecutions"] == 1000
    assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == 900
    assert settings["AccountUsage"]["FunctionCount"] == 1
    assert settings["AccountUsage"]["TotalCodeSize"] == len(package("old"))


async def test_lists_come_in_pages_and_survive_what_is_deleted_meanwhile(sdk: Sdk) -> None:
    names = [f"f{number}" for number in range(5)]
    for name in names:
        await sdk.create(name, Publish=True, Handler="app.tell")

    seen: list[list[str]] = []
    marker: dict[str, str] = {}
    while True:
        page = await sdk.list_functions(MaxItems=2, **marker)
        seen.append([function["FunctionName"] for function in page["Functions"]])
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
        await sdk.delete_function(FunctionName=seen[-1][-1])
    assert seen == [["f0", "f1"], ["f2", "f3"], ["f4"]]

    every = await sdk.list_functions(FunctionVersion="ALL")
    assert [function["Version"] for function in every["Functions"]] == ["$LATEST", "1"] * 3
    for alias in ("b", "a"):
        await sdk.create_alias(FunctionName="f0", Name=alias, FunctionVersion="1")
    aliases = await sdk.list_aliases(FunctionName="f0", FunctionVersion="1")
    assert [alias["Name"] for alias in aliases["Aliases"]] == ["a", "b"]
    assert (await sdk.list_aliases(FunctionName="f0", FunctionVersion="$LATEST"))["Aliases"] == []
    versions = await sdk.list_versions_by_function(FunctionName="f0", MaxItems=1)
    rest = await sdk.list_versions_by_function(FunctionName="f0", Marker=versions["NextMarker"])
    assert [found["Version"] for found in versions["Versions"] + rest["Versions"]] == [
        "$LATEST",
        "1",
    ]


async def test_code_goes_when_nothing_runs_it_any_longer(tmp_path: Path) -> None:
    started, release = tmp_path / "started", tmp_path / "release"
    event = json.dumps({"started": str(started), "release": str(release)})
    async with endpoint(settling_time=0) as (_, sdk):
        await sdk.create("where")
        old = Path(await sdk.answer("where"))
        await sdk.update_function_code(FunctionName="where", ZipFile=package("new"))
        new = Path(await sdk.answer("where"))
        assert (old.exists(), new.exists()) == (False, True)

        late = {"ZipFile": package("slow", late="WORD = 'late'")}
        await sdk.create("hold", Code=late, Timeout=30)
        async with anyio.create_task_group() as tasks:
            said: list[Any] = []

            async def hold() -> None:
                said.append(await sdk.answer("hold", Payload=event))

            tasks.start_soon(hold)
            with anyio.fail_after(30):
                while not started.exists():
                    await anyio.sleep(0.02)
            await sdk.delete_function(FunctionName="hold")
            release.touch()
        assert said == ["late"]
        await sdk.delete_function(FunctionName="where")
        assert not new.exists()
        assert not [*new.parent.iterdir()]
    assert not new.parent.exists()


def lying(claimed: int) -> bytes:
    """Return a zip of a megabyte that claims to be of another size."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("app.py", "#" * 1_000_000)
    return archive.getvalue().replace(struct.pack("<I", 1_000_000), struct.pack("<I", claimed))


def entries(*names: str) -> bytes:
    """Return a zip of files with these names."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        for name in names:
            bundle.writestr(name, "")
    return archive.getvalue()


NOT_A_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"no zip", NOT_A_ZIP, id="no zip"),
        pytest.param(gzip.compress(b"no zip"), NOT_A_ZIP, id="another archive"),
        pytest.param(package("cut")[:-30], NOT_A_ZIP, id="cut short"),
        pytest.param(package("x").replace(b"\x78", b"\x00", 1)[:40] + b"PK", NOT_A_ZIP, id="rubble"),
        pytest.param(lying(10), NOT_A_ZIP, id="larger than it claims"),
        pytest.param(lying(300_000_000), "Unzipped size must be smaller than 262144000 bytes",
                     id="claims to be too large"),
        pytest.param(entries("a", "a/b"), NOT_A_ZIP, id="a file as a folder"),
        pytest.param(entries("n" * 300), NOT_A_ZIP, id="a name that is too long"),
    ],
)  # fmt: skip
async def test_a_package_that_cannot_be_used_is_refused_and_leaves_nothing(
    sdk: Sdk, content: bytes, message: str
) -> None:
    await sdk.create("where")
    here = Path(await sdk.answer("where"))

    refused = await sdk.refusal("create", name="bad", Code={"ZipFile": content})
    also = await sdk.refusal("update_function_code", FunctionName="where", ZipFile=content)

    assert refused == also == (400, "InvalidParameterValueException", message)
    assert [*here.parent.iterdir()] == [here]


async def test_no_file_of_a_package_is_written_outside_and_programs_stay_programs(sdk: Sdk) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("app.py", CODE.format(word="old"))
        bundle.writestr("../outside", "")
        bundle.writestr("/root-file", "")
        program = zipfile.ZipInfo("bin/tool")
        program.external_attr = 0o100755 << 16
        bundle.writestr(program, "")
    await sdk.create("where", Code={"ZipFile": archive.getvalue()})
    here = Path(await sdk.answer("where"))

    files = {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()}
    assert {"app.py", "bin/tool", "outside", "root-file"} <= files
    assert not (here.parent / "outside").exists()
    assert here.joinpath("bin/tool").stat().st_mode & 0o777 == 0o755


async def test_what_cannot_be_created_is_refused_as_aws_words_it(sdk: Sdk) -> None:
    await sdk.create()
    cases: list[tuple[dict[str, Any], tuple[int, str, str]]] = [
        ({"FunctionName": ARN}, (409, "ResourceConflictException", "Function already exist: tell")),
        ({"Timeout": 901}, (400, "ValidationException", "Value '901' at 'timeout'")),
        (
            {"Timeout": 901, "MemorySize": 10_241},
            (400, "ValidationException", "2 validation errors detected: "),
        ),
        ({"FunctionName": "no such name"}, (400, "ValidationException", "at 'functionName'")),
        ({"Runtime": "nodejs24.x"}, (400, "InvalidParameterValueException", "nodejs24.x")),
        ({"Handler": "no\0.tell"}, (400, "InvalidParameterValueException", "Handler 'no\\x00.tell'")),
        ({"PackageType": "Image"}, (400, "InvalidParameterValueException", "PackageType Image")),
        ({"Code": {"S3Bucket": "b" * 3, "S3Key": "k"}}, (400, "InvalidParameterValueException", "in S3")),
        (
            {"Environment": {"Variables": {"A=B": "c"}}},
            (400, "InvalidParameterValueException", "Environment variable A=B"),
        ),
        (
            {"Environment": {"Variables": {"A": "c"}}},
            (400, "InvalidParameterValueException", "Environment variable A: a name is a letter and "),
        ),
    ]  # fmt: skip
    for changed, (status, code, words) in cases:
        refused = await sdk.refusal("create", **{"FunctionName": "bad", **changed})
        assert refused[:2] == (status, code), changed
        assert words in refused[2]


async def test_a_handler_is_returned_as_given_and_checked_by_the_runtime(sdk: Sdk) -> None:
    path = "import os\ndef h(e, c): return os.environ['_HANDLER']"
    code = {"ZipFile": package("old", **{"folder/path": path})}
    created = await sdk.create("path", Code=code, Handler="folder/path.h")
    assert created["Handler"] == await sdk.answer("path") == "folder/path.h"
    for handler, error_type, message in [
        ("folder/path.no", "Runtime.HandlerNotFound", "'no' missing on module 'folder/path'"),
        ("nothing", "Runtime.MalformedHandlerName", "Bad handler 'nothing': not enough values"),
        ("../up.h", "TypeError", "relative import"),
    ]:
        changed = await sdk.update_function_configuration(FunctionName="path", Handler=handler)
        assert changed["Handler"] == handler
        failed = await sdk.answer("path")
        assert failed["errorType"] == error_type, failed
        assert message in failed["errorMessage"]


async def test_missing_resources_are_named_by_their_arn(sdk: Sdk) -> None:
    await sdk.create()
    for operation, arguments, message in [
        ("get_function", {"FunctionName": "no"}, f"Function not found: {ARN[:-4]}no"),
        ("get_function", {"FunctionName": "no:2"}, f"Function not found: {ARN[:-4]}no:2"),
        ("get_function", {"FunctionName": "tell:2"}, f"Function not found: {ARN}:2"),
        ("delete_function", {"FunctionName": "no"}, f"Function not found: {ARN[:-4]}no"),
        (
            "get_function",
            {"FunctionName": ARN.replace(REGION, "eu-west-1")},
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        ),
        (
            "get_alias",
            {"FunctionName": "tell", "Name": "no"},
            f"Cannot find alias arn: {ARN}:no",
        ),
        ("update_alias", {"FunctionName": "tell", "Name": "no"}, f"Alias not found: {ARN}:no"),
        (
            "create_alias",
            {"FunctionName": "tell", "Name": "live", "FunctionVersion": "7"},
            f"Function not found: {ARN}:7",
        ),
    ]:
        refused = await sdk.refusal(operation, **arguments)
        assert refused == (404, "ResourceNotFoundException", message)


async def test_an_older_revision_is_not_overwritten(sdk: Sdk) -> None:
    created = await sdk.create()
    await sdk.update_function_configuration(FunctionName="tell", Timeout=9)

    changes: dict[str, dict[str, Any]] = {
        "update_function_configuration": {"Timeout": 5},
        "update_function_code": {"ZipFile": package("new")},
        "publish_version": {},
    }
    for operation, arguments in changes.items():
        refused = await sdk.refusal(
            operation, FunctionName="tell", RevisionId=created["RevisionId"], **arguments
        )
        assert refused[:2] == (412, "PreconditionFailedException")


async def test_a_version_is_published_only_of_the_code_that_was_meant(sdk: Sdk) -> None:
    created = await sdk.create()
    refused = await sdk.refusal("publish_version", FunctionName="tell", CodeSha256="x" * 43 + "=")
    assert refused[:2] == (400, "InvalidParameterValueException")
    assert "Please try again with the CodeSHA256 in $LATEST" in refused[2]
    published = await sdk.publish_version(FunctionName="tell", CodeSha256=created["CodeSha256"])
    assert published["Version"] == "1"


async def test_settings_that_mean_nothing_are_refused_and_change_nothing(sdk: Sdk) -> None:
    await sdk.create()
    await sdk.publish_version(FunctionName="tell")
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("put_function_event_invoke_config", {}, "InvalidParameterValueException"),
        (
            "put_function_concurrency",
            {"FunctionName": "tell:1", "ReservedConcurrentExecutions": 5},
            "InvalidParameterValueException",
        ),
        ("create_alias", {"Name": "7", "FunctionVersion": "1"}, "ValidationException"),
    ]
    for operation, arguments, code in cases:
        refused = await sdk.refusal(operation, **{"FunctionName": "tell", **arguments})
        assert refused[:2] == (400, code), operation
    assert "Concurrency" not in await sdk.get_function(FunctionName="tell")
    assert (await sdk.list_aliases(FunctionName="tell"))["Aliases"] == []


async def test_a_dry_run_of_new_code_changes_nothing(sdk: Sdk) -> None:
    await sdk.create()

    dry = await sdk.update_function_code(FunctionName="tell", ZipFile=package("new"), DryRun=True)
    got = await sdk.get_function_configuration(FunctionName="tell")

    assert dry["CodeSha256"] != got["CodeSha256"]
    assert await sdk.answer() == ["old", "$LATEST", None]


async def test_a_call_during_an_update_is_served_with_the_old_code() -> None:
    async with endpoint(settling_time=FOREVER) as (local, sdk):
        await sdk.create()
        versions = local._service.registry.functions["tell"]
        versions.pend("$LATEST", 0.0)
        assert (await sdk.answer())[0] == "old"
        await sdk.update_function_code(FunctionName="tell", ZipFile=package("new"))
        assert (await sdk.answer())[0] == "old"
        versions._updating_until = 0.0
        assert (await sdk.answer())[0] == "new"


async def test_only_a_description_is_a_change_that_makes_a_version(sdk: Sdk) -> None:
    await sdk.create(Publish=True)
    await sdk.update_function_configuration(FunctionName="tell", Description="another")
    second = await sdk.publish_version(FunctionName="tell")
    assert (second["Version"], second["Description"]) == ("2", "another")
    again = await sdk.publish_version(FunctionName="tell")
    assert again["Version"] == "2"


async def test_a_revision_changes_when_a_function_becomes_ready(sdk: Sdk) -> None:
    async with endpoint(settling_time=SETTLING_TIME) as (_, slow):
        created = await slow.create()
        await slow.wait("function_active_v2")
        active = await slow.get_function_configuration(FunctionName="tell")
        assert active["RevisionId"] != created["RevisionId"]
        refused = await slow.refusal(
            "update_function_configuration", FunctionName="tell", RevisionId=created["RevisionId"]
        )
        assert refused[:2] == (412, "PreconditionFailedException")
        updated = await slow.update_function_configuration(
            FunctionName="tell", Timeout=9, RevisionId=active["RevisionId"]
        )
        await slow.wait("function_updated_v2")
        done = await slow.get_function_configuration(FunctionName="tell")
        assert len({x["RevisionId"] for x in (created, active, updated, done)}) == 4
        code = await slow.update_function_code(
            FunctionName="tell", ZipFile=package("new"), Publish=True
        )
        assert (code["Version"], code["State"]) == ("1", "Pending")
        await slow.wait("function_updated_v2")
        assert (await slow.answer(Qualifier="1"))[0] == "new"


async def test_code_in_s3_is_taken_from_a_folder_or_an_endpoint(tmp_path: Path) -> None:
    bucket = tmp_path / "cats"
    (bucket / "of").mkdir(parents=True)
    (bucket / "of" / "code.zip").write_bytes(package("old"))
    (bucket / "private.zip").write_bytes(package("old"))
    (tmp_path / "secret.zip").write_bytes(package("secret"))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if "private" in self.path and "Authorization" not in self.headers:
                self.send_error(403)
            elif "cut" in self.path:
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(b"less")
            else:
                super().do_GET()

    serve = partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            for where in (tmp_path, f"http://127.0.0.1:{server.server_port}"):
                async with endpoint(settling_time=0, s3=where) as (_, sdk):
                    await sdk.create(Code={"S3Bucket": "cats", "S3Key": "of/code.zip"})
                    assert (await sdk.answer())[0] == "old"
                    private = {"S3Bucket": "cats", "S3Key": "private.zip"}
                    await sdk.create("signed", Code=private, Handler="app.tell")
                    assert (await sdk.answer("signed"))[0] == "old"
                    other = ("../secret.zip", "NoSuchKey"), ("cut.zip", "Unreachable")
                    for key, code in [("no.zip", "NoSuchKey"), other[where != tmp_path]]:
                        refused = await sdk.refusal(
                            "create", name="other", Code={"S3Bucket": "cats", "S3Key": key}
                        )
                        assert refused[1] == "InvalidParameterValueException"
                        assert f"S3 Error Code: {code}" in refused[2]
        finally:
            server.shutdown()
            thread.join()


async def test_the_settings_of_the_event_queue_take_effect(sdk: Sdk) -> None:
    async with endpoint(settling_time=0) as (local, client):
        ended: list[Any] = []
        local.function("fail", fail_always, events=EventConfig(on_failure=ended.append))
        await client.put_function_event_invoke_config(FunctionName="fail", MaximumRetryAttempts=0)
        await client.invoke(FunctionName="fail", InvocationType="Event")
        with anyio.fail_after(30):
            while not ended:
                await anyio.sleep(0.01)
    assert ended[0]["requestContext"]["approximateInvokeCount"] == 1


async def fail_always(event: Any, context: Any) -> Any:
    raise ValueError("no good")


async def test_logs_are_json_if_that_was_asked_for(sdk: Sdk) -> None:
    await sdk.create("logs", LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN"})
    answer = await sdk.invoke(FunctionName="logs", LogType="Tail")
    answer["Payload"].close()
    tail = base64.b64decode(answer["LogResult"]).decode().splitlines()
    (logged,) = [json.loads(line) for line in tail if line.startswith("{")]
    assert (logged["level"], logged["message"]) == ("WARNING", "warned")


async def test_a_function_imports_from_its_layers_and_keeps_them(sdk: Sdk) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("python/shared.py", "WORD = 'from a layer'")
    layer = await sdk.publish_layer_version(
        LayerName="lib", Content={"ZipFile": archive.getvalue()}, CompatibleRuntimes=["python3.13"]
    )
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:lib:1"
    assert (layer["LayerVersionArn"], layer["Version"]) == (arn, 1)
    assert layer["Content"]["CodeSize"] == len(archive.getvalue())
    (listed,) = (await sdk.list_layers())["Layers"]
    assert listed["LatestMatchingVersion"]["LayerVersionArn"] == arn
    (version,) = (await sdk.list_layer_versions(LayerName="lib"))["LayerVersions"]
    assert version["CompatibleRuntimes"] == ["python3.13"]
    by_arn = await sdk.get_layer_version_by_arn(Arn=arn)
    assert by_arn["Content"] == layer["Content"]

    code = {"ZipFile": package("old", user="import shared\ndef f(e, c): return shared.WORD")}
    refused = await sdk.refusal("create", Layers=[arn.replace(":1", ":2")])
    assert refused[2] == f"Layer version {arn.replace(':1', ':2')} does not exist."
    refused = await sdk.refusal("create", Layers=[arn] * 6)
    assert refused[2] == "Cannot reference more than 5 layers."
    created = await sdk.create("user", Code=code, Handler="user.f", Layers=[arn])
    assert created["Layers"] == [{"Arn": arn, "CodeSize": len(archive.getvalue())}]
    await sdk.delete_layer_version(LayerName="lib", VersionNumber=1)
    assert (await sdk.list_layers())["Layers"] == []
    assert await sdk.answer("user") == "from a layer"
    await sdk.update_function_code(FunctionName="user", **code)
    assert await sdk.answer("user") == "from a layer"
    without = await sdk.update_function_configuration(FunctionName="user", Layers=[])
    assert "Layers" not in without
    answer = await sdk.invoke(FunctionName="user")
    answer["Payload"].close()
    assert answer["FunctionError"] == "Unhandled"


async def test_a_later_layer_replaces_an_earlier_one_whatever_path_the_function_sets(
    sdk: Sdk,
) -> None:
    site_packages = f"python/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    arns = []
    for name, folder in (("first", site_packages), ("second", "python")):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as bundle:
            bundle.writestr(f"{folder}/nested.py", f"WORD = {name!r}")
            bundle.writestr("python/shared.py", f"WORD = {name!r}")
            tool = zipfile.ZipInfo("bin/tool")
            tool.external_attr = 0o755 << 16
            bundle.writestr(tool, f"#!/bin/sh\necho {name}")
        layer = await sdk.publish_layer_version(
            LayerName=name, Content={"ZipFile": archive.getvalue()}
        )
        arns.append(layer["LayerVersionArn"])
    user = """
import nested, shared, subprocess
def f(e, c): return [nested.WORD, shared.WORD, subprocess.getoutput("tool")]
"""
    code = {"ZipFile": package("old", user=user)}
    own = {"Variables": {"PYTHONPATH": "/var/task:/opt/python"}}
    await sdk.create("user", Code=code, Handler="user.f", Layers=arns, Environment=own)
    # As if merged in /opt, where site-packages precedes the folder that it is in.
    assert await sdk.answer("user") == ["first", "second", "second"]
