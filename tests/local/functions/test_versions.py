"""Versions and aliases, over real HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest

from asyncinvoke.local import LocalLambda
from asyncinvoke.local.functions import configuration
from asyncinvoke.local.functions.versions import Versions

pytestmark = pytest.mark.anyio

ARN = "arn:aws:lambda:us-east-1:123456789012:function:tell"


async def tell(event: Any, context: Any) -> list[str]:
    return [context.function_version, context.invoked_function_arn]


def test_an_alias_routes_its_share_to_the_other_version() -> None:
    config = configuration.check(
        name="tell", handler=tell, region_name="us-east-1", account_id="123456789012"
    )
    versions = Versions(config)
    versions.publish()
    versions.publish()
    versions.set_alias("live", "1", weights={"2": 0.25})
    chances = [number / 100 for number in range(100)]
    meant = [versions.resolve("live", chance) for chance in chances]
    assert [found and found.version for found in meant].count("2") == 25
    assert [versions.resolve("2", chance) for chance in chances] == [versions.resolve("2")] * 100
    assert versions.aliases_of("2") == ["live"]  # so that it is not deleted


@pytest.mark.parametrize(("share", "version"), [(0.0, "1"), (1.0, "2")])
async def test_an_invocation_by_an_alias_goes_where_the_share_sends_it(
    local: LocalLambda, invoke: Any, request_to: Any, share: float, version: str
) -> None:
    function = local.function("tell", tell)
    assert [function.publish_version(), function.publish_version()] == ["1", "2"]
    routing = {"RoutingConfig": {"AdditionalVersionWeights": {"2": share}}}
    path = "/2015-03-31/functions/tell/aliases"
    body = json.dumps({"Name": "live", "FunctionVersion": "1", **routing})
    assert (await request_to(local.url, path, body)).status == 201
    for _ in range(5):
        reply = await invoke("tell", qualifier="live")
        assert reply.headers["x-amz-executed-version"] == version
        assert reply.json() == [version, f"{ARN}:live"]
    body = json.dumps({"Description": "changed"})
    reply = await request_to(local.url, f"{path}/live", body, method="PUT")
    assert reply.json()["RoutingConfig"] == routing["RoutingConfig"]


async def test_a_qualifier_reaches_the_version_that_it_means(
    local: LocalLambda, invoke: Any
) -> None:
    function = local.function("tell", tell)
    assert [function.publish_version(), function.publish_version()] == ["1", "2"]
    function.alias("live", "1")
    for name, qualifier, version, suffix in (
        ("tell", None, "$LATEST", ""),
        ("tell", "2", "2", ":2"),
        ("tell:1", None, "1", ":1"),
        ("tell", "live", "1", ":live"),
        ("tell:live", "live", "1", ":live"),
        (f"{ARN}:live", None, "1", ":live"),
    ):
        reply = await invoke(name, qualifier=qualifier)
        assert reply.json() == [version, ARN + suffix]
        assert reply.headers["x-amz-executed-version"] == version
    function.alias("live", "2")
    reply = await invoke("tell:live", Log_Type="Tail")
    assert reply.headers["x-amz-executed-version"] == "2"
    assert reply.log.split("\n")[0].endswith(" Version: 2")


@pytest.mark.parametrize("qualifier", ["2", "dead", "$LATEST.PUBLISHED"])
async def test_what_was_not_published_is_not_found(
    local: LocalLambda, invoke: Any, qualifier: str
) -> None:
    function = local.function("tell", tell)
    function.alias("live", function.publish_version())
    body = {"Type": "User", "Message": f"Function not found: {ARN}:{qualifier}"}
    reply = await invoke("tell", qualifier=qualifier)
    assert reply.error == (404, "ResourceNotFoundException", body)


async def test_all_versions_share_the_functions_limit_and_counters(
    local: LocalLambda, invoke: Any
) -> None:
    function = local.function("tell", tell, reserved_concurrency=0)
    function.publish_version()
    assert (await invoke("tell:1")).status == 429
    function.reserved_concurrency = 1
    assert (await invoke("tell:1")).status == 200
    assert local.statistics().functions["tell"].invocations == 2


async def test_a_version_has_processes_of_its_own(
    local: LocalLambda, invoke: Any, handlers: Path
) -> None:
    pytest.importorskip("awslambdaric", reason="needs the extra: pip install 'asyncinvoke[local]'")
    function = local.function("tell", "handlers:describe", directory=handlers)
    function.alias("live", function.publish_version())
    latest = (await invoke("tell")).json()
    live = [(await invoke("tell:live")).json() for _ in range(2)]
    assert latest["pid"] not in {told["pid"] for told in live}
    assert [told["calls"] for told in live] == [1, 2]
    assert latest["environ"]["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert live[0]["environ"]["AWS_LAMBDA_FUNCTION_VERSION"] == "1"


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("12", "1", "alias '12' must be 1 to 128"),
        ("a b", "1", "alias 'a b' must be 1 to 128"),
        ("live", "2", "version='2' of tell was never published"),
    ],
)
def test_a_wrong_alias_is_named(name: str, version: str, message: str) -> None:
    function = LocalLambda().function("tell", tell)
    function.publish_version()
    with pytest.raises(ValueError, match=message):
        function.alias(name, version)
