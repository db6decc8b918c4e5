"""Well-formed answers are read as botocore reads them, and others by their status."""

import functools
import json
from typing import Any

import botocore.parsers
import botocore.session
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import Failure, FailureKind, TransportFault
from asyncinvoke._model.response import Reply
from asyncinvoke._request.request import InvocationType
from asyncinvoke._retries.classify import CODES, classify
from asyncinvoke._transport.answers import ACCEPTED, read_answer, read_failure
from asyncinvoke._transport.answers import texts as texts_of_headers
from asyncinvoke._transport.http.answer import Headers

REASONS = ["CallerRateLimitExceeded", "ConcurrentInvocationLimitExceeded", "BrandNewReason"]

BODIES = {
    "nothing": b"",
    "white space": b" \r\n",
    "a sentence": b"slow down",
    "a string": b'"slow down"',
    "null": b"null",
    "a number": b"7",
    "a list": b'[{"message": "no"}]',
    "no text at all": b"\xff\xfe{\x00",
    "half of JSON": b'{"message": "the',
    "HTML": b"<html><body>Sign in</body></html>",
    "deep nesting": b"[" * 100_000,
    "a long number": b"1" * 5_000,
    "members of other types": b'{"message": 7, "Message": [], "code": {}, "Reason": false}',
    "a lone surrogate": b'{"message": "\\ud800", "Reason": "\\udfff"}',
    "an odd code": b'{"__type": "a b\\r\\nc"}',
    "very much": b'{"message": "' + b"x" * 2_000_000 + b'"}',
}

names = st.from_regex(r"[A-Z][A-Za-z0-9]{0,30}", fullmatch=True)
codes = st.sampled_from([*CODES, "BrandNewException"]) | names
spelled = st.builds(
    lambda code, before, after: f"{before}{code}{after}",
    codes,
    st.sampled_from(["", "com.amazonaws.lambda#"]),
    st.sampled_from(["", ":", ":http://internal.amazon.com/coral/"]),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
members = st.fixed_dictionaries(
    {},
    optional={
        "message": texts,
        "Message": texts,
        "Type": st.sampled_from(["User", "Service"]),
        "Reason": st.sampled_from(REASONS),
        "__type": spelled,
        "code": codes,
        "Code": codes,
    },
).filter(bool)
failing = st.integers(400, 599)


@functools.cache
def model() -> Any:
    return botocore.session.get_session().get_service_model("lambda")


def as_botocore_reads(status: int, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    parser = botocore.parsers.create_parser("rest-json")
    answer = {"status_code": status, "headers": headers, "body": body, "context": {}}
    parsed: dict[str, Any] = parser.parse(answer, model().operation_model("Invoke").output_shape)
    shape = model().shape_for_error_code(parsed["Error"]["Code"])
    if shape is not None:
        parsed.update(parser.parse(answer, shape))
    return parsed


REDIRECTS = (301, 302, 307, 308)


@given(failing, st.none() | spelled, members)
def test_a_well_formed_error_is_read_as_botocore_reads_it(
    status: int, named: str | None, members: dict[str, str]
) -> None:
    headers = {"x-amzn-requestid": "1-2-3", "retry-after": "3", "x-amz-retry-after": "400"}
    if named is not None:
        headers["x-amzn-errortype"] = named
    body = json.dumps(members).encode()
    expected = as_botocore_reads(status, headers, body)
    read = read_failure(status, headers, body)
    assert read.status_code == status
    assert read.code == expected["Error"]["Code"]
    assert read.message == expected["Error"]["Message"]
    if "Reason" in expected:
        assert read.reason == expected["Reason"]
    assert (read.request_id, read.retry_after, read.amz_retry_after) == ("1-2-3", "3", "400")


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(
    ("status", "kind", "delivery"),
    [
        (429, FailureKind.THROTTLED, Delivery.REJECTED),
        (400, FailureKind.REJECTED, Delivery.REJECTED),
        (403, FailureKind.REJECTED, Delivery.REJECTED),
        (404, FailureKind.REJECTED, Delivery.REJECTED),
        (500, FailureKind.SERVICE, Delivery.UNKNOWN),
        (503, FailureKind.SERVICE, Delivery.UNKNOWN),
        (599, FailureKind.SERVICE, Delivery.UNKNOWN),
    ],
)
def test_whatever_the_body_is_the_status_decides(
    status: int, kind: FailureKind, delivery: Delivery, body: bytes
) -> None:
    read = read_failure(status, {"x-amzn-requestid": "1-2-3", "retry-after": "2"}, body)
    verdict = classify(read, now=0)
    assert (verdict.kind, verdict.delivery) == (kind, delivery)
    assert (read.fault, read.code, read.status_code) == (None, str(status), status)
    assert (read.request_id, verdict.retry_after) == ("1-2-3", 2.0)
    read.message.encode()  # it can be printed and written everywhere
    (read.reason or "").encode()


@given(st.integers(200, 599), st.binary(max_size=60), st.sampled_from(InvocationType))
def test_no_answer_breaks_the_reading(status: int, body: bytes, kind: InvocationType) -> None:
    read = read_answer(status, {}, body, ACCEPTED[kind])
    assert isinstance(read, Reply) == (status == ACCEPTED[kind])
    assert read.status_code == status


@given(
    st.integers(200, 399).filter(lambda status: status not in REDIRECTS),
    st.sampled_from(InvocationType),
)
def test_what_is_neither_an_error_nor_the_status_of_success_may_have_run(
    status: int, kind: InvocationType
) -> None:
    read = read_answer(status, {"x-amzn-requestid": "1"}, b"<html>Sign in</html>", ACCEPTED[kind])
    if status == ACCEPTED[kind]:
        assert isinstance(read, Reply)
        return
    assert isinstance(read, Failure)
    verdict = classify(read, now=0)
    assert read.fault is TransportFault.STATUS
    assert (verdict.kind, verdict.delivery) == (FailureKind.TRANSPORT, Delivery.UNKNOWN)
    assert (read.status_code, read.request_id) == (status, "1")


def test_a_code_in_a_header_is_read_where_there_is_no_body() -> None:
    read = read_failure(502, {"x-amzn-errortype": "KMSDisabledException:"}, b"")
    assert read.code == "KMSDisabledException"


_OF_LAMBDA = (
    "x-amz-executed-version",
    "X-Amz-Function-Error",
    "x-amz-log-result",
    "X-AMZ-DURABLE-EXECUTION-ARN",
    "x-amzn-RequestId",
    "x-amzn-trace-id",
    "x-x-amz-function-error",
    "Date",
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(_OF_LAMBDA),
            st.sampled_from(["", " 1", "\t$LATEST \t", " x-amz-function-error: Unhandled"]),
        ),
        max_size=6,
    )
)
def test_the_fast_path_of_reading_headers_equals_the_slow_one(
    lines: list[tuple[str, str]],
) -> None:
    written = "".join(f"{name}:{value}\r\n" for name, value in lines)
    head = Headers(f"HTTP/1.1 200 OK\r\n{written}\r\n".encode())
    assert read_answer(200, head, b"{}", 200) == read_answer(200, dict(head), b"{}", 200)


@pytest.mark.parametrize(
    "library",
    [lambda pairs: Headers(head_of(pairs)), CIMultiDict, httpx2.Headers],
    ids=["our own", "aiohttp", "httpx"],
)
def test_of_a_repeated_header_the_first_value_counts_in_every_library(library: Any) -> None:
    pairs = [("Retry-After", "1"), ("x-amzn-ErrorType", "A"), ("retry-after", "2"), ("Via", "")]
    read = texts_of_headers(library(pairs))
    assert read == {"retry-after": "1", "x-amzn-errortype": "A", "via": ""}


def head_of(pairs: list[tuple[str, str]]) -> bytes:
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in pairs), "", ""]
    return "\r\n".join(lines).encode()
