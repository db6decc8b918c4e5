"""The body of a function error in every runtime's dialect, and hostile ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke.model.error_body import ErrorBody, parse_error_body

RECORDED = {
    "python": (
        {
            "errorMessage": "no",
            "errorType": "Exception",
            "requestId": "1-2",
            "stackTrace": ['  File "/var/task/x.py", line 2, in handler\n    raise Exception\n'],
        },
        ErrorBody(
            error_type="Exception",
            error_message="no",
            stack_trace=('  File "/var/task/x.py", line 2, in handler\n    raise Exception\n',),
        ),
    ),
    "nodejs": (
        {"errorType": "Error", "errorMessage": "no", "trace": ["Error: no", "    at handler"]},
        ErrorBody(
            error_type="Error", error_message="no", stack_trace=("Error: no", "    at handler")
        ),
    ),
    "java": (
        {"errorMessage": "no", "errorType": "java.lang.RuntimeException", "stackTrace": ["a.B.c"]},
        ErrorBody(
            error_type="java.lang.RuntimeException", error_message="no", stack_trace=("a.B.c",)
        ),
    ),
    "dotnet": (
        {"errorType": "Exception", "errorMessage": "no", "stackTrace": "at A\nat B"},
        ErrorBody(error_type="Exception", error_message="no", stack_trace=("at A", "at B")),
    ),
    "ruby": (
        {"errorMessage": "no", "errorType": "Function<RuntimeError>", "stackTrace": ["f.rb:1"]},
        ErrorBody(error_type="Function<RuntimeError>", error_message="no", stack_trace=("f.rb:1",)),
    ),
    "provided": (
        {"errorType": "Oops", "errorMessage": "no"},
        ErrorBody(error_type="Oops", error_message="no"),
    ),
    "timeout": (
        {
            "errorType": "Sandbox.Timedout",
            "errorMessage": "RequestId: 1-2 Error: Task timed out after 1.00 seconds",
        },
        ErrorBody(
            error_type="Sandbox.Timedout",
            error_message="RequestId: 1-2 Error: Task timed out after 1.00 seconds",
        ),
    ),
    "timeout until 2024": (
        {"errorMessage": "2024-04-08T00:00:00.000Z 1-2 Task timed out after 1.00 seconds"},
        ErrorBody(
            error_type="Sandbox.Timedout",
            error_message="2024-04-08T00:00:00.000Z 1-2 Task timed out after 1.00 seconds",
        ),
    ),
    "process death": (
        {
            "errorType": "Runtime.ExitError",
            "errorMessage": "RequestId: 1-2 Error: Runtime exited with error: signal: killed",
        },
        ErrorBody(
            error_type="Runtime.ExitError",
            error_message="RequestId: 1-2 Error: Runtime exited with error: signal: killed",
        ),
    ),
    "import": (
        {
            "errorMessage": "Unable to import module 'bad': No module named 'x'",
            "errorType": "Runtime.ImportModuleError",
            "requestId": "",
            "stackTrace": [],
        },
        ErrorBody(
            error_type="Runtime.ImportModuleError",
            error_message="Unable to import module 'bad': No module named 'x'",
        ),
    ),
    "oversize": (
        {
            "errorMessage": "Response payload size exceeded maximum allowed payload size "
            "(6291556 bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        },
        ErrorBody(
            error_type="Function.ResponseSizeTooLarge",
            error_message="Response payload size exceeded maximum allowed payload size "
            "(6291556 bytes).",
        ),
    ),
    "own words": ("just text", ErrorBody(error_message="just text")),
    "a number": (7, ErrorBody()),
    "nothing": (None, ErrorBody()),
    "a list": (["a"], ErrorBody()),
    "an empty object": ({}, ErrorBody()),
    "other types": (
        {"errorType": 7, "errorMessage": ["a"], "stackTrace": {"a": 1}, "trace": [1, "b"]},
        ErrorBody(),
    ),
}


@pytest.mark.parametrize(("body", "expected"), RECORDED.values(), ids=RECORDED)
def test_every_dialect_is_read(body: object, expected: ErrorBody) -> None:
    assert parse_error_body(json.dumps(body).encode()) == expected


def test_a_body_that_is_no_json_says_nothing_that_an_error_may_repeat() -> None:
    assert parse_error_body(b"segfault \xff") == ErrorBody()
    assert parse_error_body(b"") == ErrorBody()


KEYS = st.sampled_from(["errorType", "errorMessage", "stackTrace", "trace", "requestId"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.binary()
    | st.dictionaries(KEYS, VALUES).map(lambda body: json.dumps(body).encode())
    | st.text('[{"0').map(str.encode)
)
def test_a_hostile_body_never_raises(body: bytes) -> None:
    read = parse_error_body(body)
    assert all(isinstance(line, str) for line in read.stack_trace)


@pytest.mark.parametrize("body", [b"[" * 200_000, b"1" * 10_000, b"\xef\xbb\xbf{}"])
def test_a_body_that_overtaxes_the_parser_never_raises(body: bytes) -> None:
    parse_error_body(body)
