"""OpenTelemetry, aws-xray-sdk, Sentry and ddtrace see each call once, and nothing else.

Each script in `tracing/` runs in a separate process, because patches remain.
"""

import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke.local import LocalLambda

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
REGION = "us-east-1"
Facts = dict[str, Any]
Trace = Callable[..., Any]

# Seven calls, one of which is throttled once.
ATTEMPTS = 8

SETTINGS = {
    "AWS_DEFAULT_REGION": REGION,
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:1",
    "DD_TRACE_STARTUP_LOGS": "false",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@pytest.fixture
async def function_url() -> AsyncIterator[str]:
    """An endpoint that runs the function `trace` in a worker process, as AWS does."""
    async with LocalLambda(region_name=REGION) as local:
        local.function("trace", "lambda_functions:trace", directory=HERE, timeout=30)
        yield local.url


@pytest.fixture
def facts_of(tracers_command: Path, tmp_path: Path) -> Trace:
    """Run a script and return its facts."""

    async def run(script: str, *arguments: str, **settings: str) -> Facts:
        written = tmp_path / "facts.json"
        done = await anyio.run_process(
            [tracers_command, HERE / "tracing" / script, written, *arguments],
            check=False,
            env={**os.environ, **SETTINGS, **settings},
        )
        assert done.returncode == 0, done.stderr.decode()
        facts: Facts = json.loads(written.read_text("utf-8"))
        return facts

    return run


async def test_opentelemetry_has_a_span_for_each_attempt_and_its_header_names_that_span(
    facts_of: Trace, function_url: str
) -> None:
    facts = await facts_of("with_opentelemetry.py", FUNCTION_URL=function_url)

    who = "opentelemetry.instrumentation.botocore.AiobotocoreInstrumentor._patched_api_call"
    for stage in ("during", "made_later", "propagator"):
        during = facts[stage]
        assert during["found"] == f"{who} stands before AioBaseClient._make_api_call"
        assert {(span["name"], span["kind"]) for span in during["spans"]} == {
            ("Lambda.Invoke", "CLIENT")
        }
        assert_statuses(during)
        # A request for a template that is reported as an exception would be seen here.
        assert Counter(map(str, (span["events"] for span in during["spans"]))) == {
            "[]": ATTEMPTS - 1,
            "['exception']": 1,
        }
    for stage in ("during", "made_later"):
        assert_one_header_a_span(facts[stage], "x-amzn-trace-id", xray_header)
        assert all("traceparent" not in headers for headers in facts[stage]["requests"])
    assert_one_header_a_span(
        facts["propagator"],
        "traceparent",
        lambda span: rf"00-{span['trace_id']}-{span['span_id']}-0\d",
    )
    function = facts["function"]
    assert_matched(function["answers"], [xray_header(span) for span in function["spans"]])
    for stage in ("before", "between", "after"):
        assert_direct(facts[stage])


async def test_our_own_hook_counts_nothing_twice_where_an_instrumentation_is_active_too(
    facts_of: Trace,
) -> None:
    facts = await facts_of("with_our_hook.py")

    for transport in ("direct", "client"):
        found = facts[transport]
        assert {span["scope"] for span in found["spans"]} == {"asyncinvoke"}
        names = Counter(span["name"] for span in found["spans"])
        assert names == {"Lambda.Invoke": ATTEMPTS - 1, "attempt 1": 1, "attempt 2": 1}
        # Each request names the span of its call; a retried one does so twice.
        calls = [span for span in found["spans"] if span["name"] == "Lambda.Invoke"]
        sent = Counter(headers["x-amzn-trace-id"] for headers in found["requests"])
        assert sorted(sent.values()) == [1] * (ATTEMPTS - 2) + [2]
        assert_matched(list(sent), [xray_header(span) for span in calls])
        assert set(found["payloads"]) == {"{}"}
    assert facts["executions"] == 2 * (ATTEMPTS - 1)


async def test_aws_xray_sdk_has_a_subsegment_for_each_attempt_and_its_header_names_it(
    facts_of: Trace, function_url: str
) -> None:
    facts = await facts_of("with_xray.py", FUNCTION_URL=function_url)

    who = "aws_xray_sdk.ext.aiobotocore.patch._xray_traced_aiobotocore"
    for stage in ("during", "made_later"):
        during = facts[stage]
        assert during["found"] == f"{who} stands before AioBaseClient._make_api_call"
        assert {span["operation"] for span in during["spans"]} == {"Invoke"}
        assert {span["trace_id"] for span in during["spans"]} == {during["trace_id"]}
        assert sum(span["fault"] for span in during["spans"]) == 1
        assert_statuses(during)
        assert_one_header_a_span(during, "x-amzn-trace-id", xray_header)
    function = facts["function"]
    assert_matched(function["answers"], [xray_header(span) for span in function["spans"]])
    for stage in ("before", "after"):
        assert_direct(facts[stage])


async def test_ddtrace_has_a_span_for_each_attempt_and_its_headers_name_it(
    facts_of: Trace,
) -> None:
    facts = await facts_of("with_ddtrace.py")

    module = "ddtrace.contrib.internal.aiobotocore.patch"
    for stage in ("during", "made_later"):
        during = facts[stage]
        assert during["found"] == (
            f"{module}._wrapped_api_call stands before AioBaseClient._make_api_call"
        )
        assert {span["resource"] for span in during["spans"]} == {"lambda.invoke"}
        assert sum(span["error"] for span in during["spans"]) == 1
        assert_one_header_a_span(during, "x-datadog-parent-id", lambda span: span["span_id"])
    # It leaves an inactive handler on a client that it has seen.
    assert facts["after"]["found"] == (
        f"{module}._aiobotocore_before_sign_handler listens to before-sign"
    )
    assert facts["after"]["spans"] == []
    assert all("traceparent" not in headers for headers in facts["after"]["requests"])
    for stage in ("before", "made_after"):
        assert_direct(facts[stage])


async def test_sentry_listens_to_each_attempt_unless_disabled(facts_of: Trace) -> None:
    by_default = await facts_of("with_sentry.py")
    without = await facts_of("with_sentry.py", "without-boto3")

    during = by_default["during"]
    assert len(during["spans"]) == len(during["requests"]) == ATTEMPTS
    # For each attempt its handlers leave a breadcrumb without an answer, and aiohttp's the other
    # one.
    assert Counter("aws.request.url" in crumb for crumb in during["crumbs"]) == {
        True: ATTEMPTS,
        False: ATTEMPTS,
    }
    for headers in during["requests"]:
        assert headers["sentry-trace"].startswith(during["trace_id"])
        assert "sentry-trace" in signed_headers(headers)
    (said,) = by_default["said"]
    assert said == (
        "INFO calls go through aiobotocore's own invoke, at about four times the CPU, while"
        " sentry_sdk.integrations.boto3._instrumentation._sentry_request_created listens to"
        " request-created; sentry_sdk.init(disabled_integrations=[Boto3Integration()])"
        " keeps it away"
    )
    # The effect of following that advice.
    assert without["during"]["found"] is None
    assert without["said"] == []
    assert len(without["during"]["requests"]) == ATTEMPTS
    assert len(without["during"]["spans"]) <= ATTEMPTS
    for headers in without["during"]["requests"]:
        assert "sentry-trace" not in signed_headers(headers)


def xray_header(span: Facts) -> str:
    """Return the pattern of the `X-Amzn-Trace-Id` for a span of X-Ray's or OpenTelemetry's."""
    digits = span["trace_id"].removeprefix("1-").replace("-", "")
    return rf"Root=1-{digits[:8]}-{digits[8:]};Parent={span['span_id']};Sampled=1"


def signed_headers(headers: dict[str, str]) -> list[str]:
    """Return the names of the headers that the signature covers."""
    (signed,) = re.findall(r"SignedHeaders=([^,]+),", headers["authorization"])
    return str(signed).split(";")


def assert_statuses(facts: Facts) -> None:
    """Assert that the tracer has seen each answer, and no other."""
    assert Counter(span["http_status"] for span in facts["spans"]) == {200: ATTEMPTS - 1, 429: 1}


def assert_one_header_a_span(facts: Facts, header: str, pattern_of: Callable[[Facts], str]) -> None:
    """Assert that each sent request names one span, and each span is named by one request."""
    sent = [headers[header] for headers in facts["requests"]]
    assert len(sent) == len(set(sent)) == ATTEMPTS
    assert_matched(sent, [pattern_of(span) for span in facts["spans"]])


def assert_matched(values: list[str], patterns: list[str]) -> None:
    """Assert that each pattern matches one value, and every value is matched."""
    assert len(values) == len(patterns)
    assert all(sum(bool(re.fullmatch(each, value)) for value in values) == 1 for each in patterns)


def assert_direct(facts: Facts) -> None:
    """Assert that no tracer saw the calls and nothing was added to them."""
    assert facts["found"] is None
    assert facts["spans"] == []
    assert len(facts["requests"]) == ATTEMPTS
    assert set(facts["payloads"]) == {"{}"}
    for headers in facts["requests"]:
        assert not {"x-amzn-trace-id", "traceparent", "x-datadog-trace-id"} & set(headers)
