"""The body of a function error: forms that no runtime produces, and hostile ones.

Those of real runtimes are in `tests/vectors`.
"""

import json
import pickle

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import FunctionError, Invoker
from asyncinvoke._model.error_body import ErrorBody, parse_error_body
from asyncinvoke.local import LocalLambda

BODIES = {
    "own words": ("just text", ErrorBody(error_message="just text")),
    "a number": (7, ErrorBody()),
    "nothing": (None, ErrorBody()),
    "a list": (["a"], ErrorBody()),
    "an empty object": ({}, ErrorBody()),
    "other types": (
        {"errorType": 7, "errorMessage": ["a"], "stackTrace": {"a": 1}, "trace": [1, "b", None]},
        ErrorBody(stack_trace=("b",)),
    ),
}


@pytest.mark.parametrize(("body", "expected"), BODIES.values(), ids=BODIES)
def test_the_body_of_an_error_is_parsed(body: object, expected: ErrorBody) -> None:
    assert parse_error_body(json.dumps(body).encode()) == expected


def test_a_body_that_is_not_json_is_not_quoted() -> None:
    assert parse_error_body(b"segfault \xff") == ErrorBody()
    assert parse_error_body(b"") == ErrorBody()


PYTHON = '  File "/var/task/x.py", line 2, in handler\n    raise ValueError\n'
TRACES = {
    "Python 3.8 and later": ({"stackTrace": [PYTHON]}, (PYTHON,)),
    "Python until 3.7": (
        {"stackTrace": [["/var/task/x.py", 2, "handler", "raise ValueError"]]},
        (PYTHON,),
    ),
    "Python, its source not at hand": (
        {"stackTrace": [["/var/task/x.py", 2, "handler", None]]},
        ('  File "/var/task/x.py", line 2, in handler\n',),
    ),
    "Node.js": (
        {"trace": ["Error: no", "    at handler (/var/task/index.js:3:9)"]},
        ("Error: no", "    at handler (/var/task/index.js:3:9)"),
    ),
    "Java": ({"stackTrace": ["a.H.handle(H.java:9)"]}, ("a.H.handle(H.java:9)",)),
    "Java's own objects": (
        {"stackTrace": [{"methodName": "handle", "fileName": "H.java", "lineNumber": 9}]},
        ("H.java:9 handle",),
    ),
    ".NET, one text": (
        {"stackTrace": "   at A.B() in /src/A.cs:line 5\r\n\r\n   at C.D()"},
        ("   at A.B() in /src/A.cs:line 5", "   at C.D()"),
    ),
    ".NET, a list": ({"stackTrace": ["at A.B()", "at C.D()"]}, ("at A.B()", "at C.D()")),
    "Go": (
        {
            "stackTrace": [
                {
                    "path": "github.com/aws/aws-lambda-go/lambda/errors.go",
                    "line": 39,
                    "label": "New",
                },
                {"path": "main.go", "line": 12, "label": "handler.func1"},
            ]
        },
        ("github.com/aws/aws-lambda-go/lambda/errors.go:39 New", "main.go:12 handler.func1"),
    ),
    "Ruby": (
        {"stackTrace": ["/var/task/function.rb:2:in 'handler'"]},
        ("/var/task/function.rb:2:in 'handler'",),
    ),
    "Rust": ({}, ()),
    "a custom runtime, parts of frames": (
        {"stackTrace": [{"file": "x.php"}, {"line": "7"}, {"function": "f"}, {"line": True}, {}]},
        ("x.php", "line 7", "f"),
    ),
    "a custom runtime, one frame": ({"stackTrace": {"path": "x", "line": 1}}, ("x:1",)),
    "a custom runtime, lists": ({"stackTrace": [["x.pl", "f"], [], [[]]]}, ("x.pl f",)),
    "one member empty, the other not": ({"stackTrace": [], "trace": ["at f"]}, ("at f",)),
}


@pytest.mark.parametrize(("body", "expected"), TRACES.values(), ids=TRACES)
def test_each_frame_is_one_entry_in_every_runtime(
    body: dict[str, object], expected: tuple[str, ...]
) -> None:
    assert parse_error_body(json.dumps(body).encode()).stack_trace == expected


@pytest.mark.parametrize(
    ("error_type", "error_message", "by_platform"),
    [
        ("Sandbox.Timedout", "RequestId: 1 Error: Task timed out after 3.00 seconds", True),
        ("Sandbox.Failure", None, True),
        ("Sandbox.Timeout", None, True),
        (None, "2024-04-08T10:00:00.000Z 1 Task timed out after 1.00 seconds", True),
        (
            "Runtime.ExitError",
            "RequestId: 1 Error: Runtime exited with error: signal: killed",
            True,
        ),
        ("Runtime.OutOfMemory", None, True),
        ("Runtime.InitError", None, True),
        ("Runtime.InvalidEntrypoint", "RequestId: 1 Error: fork/exec /x: exec format error", True),
        ("Extension.Crash", None, True),
        ("Function.ResponseSizeTooLarge", None, True),
        ("ValueError", "Task timed out after 3.00 seconds", False),
        ("Runtime.ImportModuleError", "Unable to import module 'x'", False),
        ("Runtime.MarshalError", None, False),
        ("Runtime.HandlerNotFound", None, False),
        ("Function<RuntimeError>", None, False),
        ("java.lang.RuntimeException", None, False),
        (None, "no good", False),
        (None, None, False),
    ],
)
def test_it_is_known_whether_the_platform_ended_the_function(
    error_type: str | None, error_message: str | None, by_platform: bool
) -> None:
    body = {"errorType": error_type, "errorMessage": error_message}
    assert parse_error_body(json.dumps(body).encode()).by_platform is by_platform


@pytest.mark.anyio
async def test_a_caller_sees_whether_the_platform_ended_the_function(anyio_backend: str) -> None:
    async def sleep(event: object, context: object) -> None:
        await anyio.sleep_forever()

    def fail(event: object, context: object) -> None:
        raise ValueError("no good")

    async with LocalLambda() as local, Invoker(endpoint_url=local.url) as invoker:
        local.function("sleep", sleep, timeout=0.05)
        local.function("fail", fail)
        with pytest.raises(FunctionError) as ended:
            await invoker.invoke("sleep")
        with pytest.raises(FunctionError) as raised:
            await invoker.invoke("fail")
    assert ended.value.by_platform
    assert not raised.value.by_platform
    assert pickle.loads(pickle.dumps(ended.value)).by_platform


KEYS = st.sampled_from(["errorType", "errorMessage", "stackTrace", "trace", "requestId"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["path", "line", ""]), inner),
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
def test_a_body_that_exceeds_the_parsers_limits_never_raises(body: bytes) -> None:
    parse_error_body(body)
