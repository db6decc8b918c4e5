"""The tests of Lambda's Invoke that moto and aiobotocore publish, against the local endpoint.

The files are those of their source distributions, unmodified; only the URL of their Lambda clients
is changed. Passing tests are listed here, and failing ones with the reason.
"""

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from asyncinvoke.local import LocalLambda

from . import peers

pytestmark = pytest.mark.anyio

# In a separate folder, the only one from which the other pytest may import.
PLUGIN = Path(__file__).parent / "published" / "lambda_endpoint.py"
PAGE = Path(__file__).parents[2] / "docs" / "fidelity.md"

# Where the published tests define their functions.
REGIONS = ("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ap-southeast-1")

ROUTING = "gives a share of an alias of `$LATEST` to a version; AWS was recorded to refuse it"
FUNCTION_ERROR = "wants `Handled`; every function error that was recorded from AWS is `Unhandled`"
EVENT_PAYLOAD = "wants an Event's answer to hold what the function returned; AWS's is empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Published files, and the results of their tests."""

    distribution: str
    """The source distribution."""
    arguments: tuple[str, ...]
    """The arguments of its pytest."""
    passes: tuple[str, ...]
    """The tests that pass."""
    fails: dict[str, str] = field(default_factory=dict)
    """The tests that fail, each with the reason."""
    skips: dict[str, str] = field(default_factory=dict)
    """The tests that skip themselves, each with the reason."""


INVOKE = "tests/test_awslambda/test_lambda_invoke.py::"
RUN = f"{INVOKE}TestLambdaInvocations::"
BROKEN = f"{INVOKE}TestLambdaInvocations_Error::"
CONCURRENCY = "tests/test_awslambda/test_lambda_concurrency.py::"
ALIAS = "tests/test_awslambda/test_lambda_alias.py::"

MOTO = Suite(
    distribution="moto-5.2.5",
    arguments=(INVOKE[:-2], CONCURRENCY[:-2], ALIAS[:-2]),
    passes=(
        f"{RUN}test_invoke_requestresponse_function[FunctionName-None]",
        f"{RUN}test_invoke_requestresponse_function[FunctionName-RequestResponse]",
        f"{RUN}test_invoke_requestresponse_function[FunctionArn-None]",
        f"{RUN}test_invoke_requestresponse_function[FunctionArn-RequestResponse]",
        f"{RUN}test_invoke_dryrun_function",
        f"{RUN}test_invoke_async_function[FunctionName]",
        f"{RUN}test_invoke_async_function[FunctionArn]",
        f"{INVOKE}test_invoke_function_large_response",
        f"{INVOKE}test_invoke_lambda_with_entrypoint",
        f"{CONCURRENCY}test_put_function_concurrency[FunctionName]",
        f"{CONCURRENCY}test_put_function_concurrency[FunctionArn]",
        f"{CONCURRENCY}test_delete_function_concurrency[FunctionName]",
        f"{CONCURRENCY}test_delete_function_concurrency[FunctionArn]",
        f"{CONCURRENCY}test_get_function_concurrency[FunctionName]",
        f"{CONCURRENCY}test_get_function_concurrency[FunctionArn]",
        f"{ALIAS}test_create_alias",
        f"{ALIAS}test_create_alias_using_function_arn",
        f"{ALIAS}test_delete_alias",
        f"{ALIAS}test_get_alias",
        f"{ALIAS}test_get_alias_using_function_arn",
        f"{ALIAS}test_get_alias_using_alias_arn",
        f"{ALIAS}test_get_unknown_alias",
        f"{ALIAS}test_update_alias",
        f"{ALIAS}test_update_alias_errors_if_version_doesnt_exist",
        f"{ALIAS}test_get_function_using_alias[NAME]",
        f"{ALIAS}test_get_function_using_alias[SEPARATE]",
        f"{ALIAS}test_get_function_using_alias[BOTH]",
    ),
    fails={
        f"{BROKEN}test_invoke_function_that_throws_error[None]": FUNCTION_ERROR,
        f"{BROKEN}test_invoke_function_that_throws_error[RequestResponse]": FUNCTION_ERROR,
        f"{RUN}test_invoke_event_function": EVENT_PAYLOAD,
        f"{INVOKE}test_invoke_function_with_multiple_files_in_zip": EVENT_PAYLOAD,
        f"{INVOKE}test_lambda_request_unauthorized_user": "the endpoint knows no permissions",
        f"{ALIAS}test_create_alias_with_routing_config": ROUTING,
        f"{ALIAS}test_update_alias_routingconfig": ROUTING,
        f"{ALIAS}test_aliases_are_unique_per_function": (
            "wants `ConflictException`; AWS says `ResourceConflictException`"
        ),
    },
    skips={
        f"{INVOKE}test_invoke_lambda_using_environment_port": "is for moto's own server",
        f"{INVOKE}test_invoke_lambda_using_networkmode": "is for moto's Docker network",
        f"{INVOKE}test_invoke_lambda_with_proxy": "is for moto's own proxy",
    },
)

AIOBOTOCORE = Suite(
    distribution="aiobotocore-3.10.0",
    arguments=("tests/test_lambda.py", "--http-backend", "all"),
    passes=(
        "tests/test_lambda.py::test_run_lambda[asyncio-aiohttp]",
        "tests/test_lambda.py::test_run_lambda[asyncio-httpx]",
        "tests/test_lambda.py::test_run_lambda[trio-httpx]",
    ),
)


@pytest.mark.parametrize("suite", [MOTO, AIOBOTOCORE], ids=lambda suite: suite.distribution)
async def test_the_published_tests_end_as_listed(
    published_command: Path, tmp_path: Path, suite: Suite
) -> None:
    written = tmp_path / "outcomes.json"
    quietly = ("-q", "--tb=line", "-o", f"cache_dir={tmp_path / 'cache'}")
    async with contextlib.AsyncExitStack() as stack:
        endpoints = {}
        for region in REGIONS:
            # Moto's functions can be used as soon as they are created.
            local = await stack.enter_async_context(
                LocalLambda(region_name=region, settling_time=0)
            )
            endpoints[region] = local.url
        done = await anyio.run_process(
            [published_command, "-p", PLUGIN.stem, *quietly, *suite.arguments],
            check=False,
            cwd=peers.PUBLISHED.tests / suite.distribution,
            env={
                **os.environ,
                "PUBLISHED_ENDPOINTS": json.dumps(endpoints),
                "PUBLISHED_OUTCOMES": str(written),
                "PYTHONPATH": str(PLUGIN.parent),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )

    assert written.exists(), done.stdout.decode() + done.stderr.decode()
    expected = dict.fromkeys(suite.passes, "passed")
    expected |= dict.fromkeys(suite.fails, "failed")
    expected |= dict.fromkeys(suite.skips, "skipped")
    assert json.loads(written.read_text("utf-8")) == expected, done.stdout.decode()


@pytest.mark.parametrize("file", [INVOKE, CONCURRENCY, ALIAS, AIOBOTOCORE.arguments[0]])
def test_the_page_has_the_number_of_passing_tests(file: str) -> None:
    name = Path(file.removesuffix("::")).name
    (row,) = (
        line for line in PAGE.read_text("utf-8").splitlines() if f"{name}`" in line and "|" in line
    )
    suite = AIOBOTOCORE if file in AIOBOTOCORE.arguments else MOTO
    passes = sum(test.startswith(file) for test in suite.passes)
    fails = sum(test.startswith(file) for test in suite.fails)
    skips = sum(test.startswith(file) for test in suite.skips)

    ways = [(fails, "fail"), (skips, "skip themselves")]
    apart = ", ".join(f"{count} {how}" for count, how in ways if count) or "none"
    assert [cell.strip() for cell in row.split("|")[2:4]] == [str(passes), apart]
