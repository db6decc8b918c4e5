"""The recorded answers of failed functions, and the ends of their logs."""

from typing import Any

from .recorded import SUCCESS
from .vector import Call, Meaning, Vector, as_json, function_failed

BOTH = ("callable", "process")
PROCESS = ("process",)
TAIL = {"X-Amz-Log-Type": "Tail"}
_FAILED = {**SUCCESS, "X-Amz-Function-Error": "Unhandled"}


def failure(
    name: str,
    source: str,
    body: Any,
    call: Call | None = None,
    *,
    means: Meaning | None = None,
    log: str | None = None,
    word: str = "Unhandled",
) -> Vector:
    """Make a vector of a body; its meaning follows from its members unless given."""
    if means is None:
        trace = body.get("stackTrace", body.get("trace", ()))
        means = function_failed(body.get("errorType"), body["errorMessage"], tuple(trace))
    headers = {**_FAILED, "X-Amz-Function-Error": word}
    if log is not None:
        headers["X-Amz-Log-Result"] = "<base64>"
    return Vector(
        name=name,
        source=source,
        status=200,
        headers=headers,
        body=as_json(body),
        log=log,
        call=call,
        means=means,
    )


def _raised(handler: str) -> dict[str, Any]:
    return {
        "errorMessage": "no good",
        "errorType": "Exception",
        "requestId": "<id>",
        "stackTrace": [
            f'  File "<path>", line <number>, in {handler}\n    raise Exception("no good")\n'
        ],
    }


_TRACE = "\tDuration: <ms> ms\tBilled Duration: <number> ms\tMemory Size: 128 MB\t"
_NBSP = "\u00a0"


def _end(*, cold: bool = False, status: str = "") -> str:
    init = "Init Duration: <ms> ms\t" if cold else ""
    return (
        "END RequestId: <id>\n"
        f"REPORT RequestId: <id>{_TRACE}Max Memory Used: <number> MB\t{init}{status}\n"
    )


_START = "START RequestId: <id> Version: $LATEST\n"

LANGUAGES = [
    failure(
        "Python raises", "REC 2026-01-12", _raised("raises"), Call(handler="raises", kinds=BOTH)
    ),
    failure(
        "Python 3.8 raises",
        "REC 2026-01-12",
        {
            "errorMessage": "no good",
            "errorType": "Exception",
            "stackTrace": ['  File "<path>", line 2, in handler\n    raise Exception("no good")\n'],
        },
    ),
    failure(
        "Node.js throws",
        "REC 2026-01-12",
        {"errorType": "Error", "errorMessage": "no good", "trace": ["Error: no good", "    at f"]},
    ),
    failure(
        "Java throws",
        "REC 2026-01-12",
        {
            "errorMessage": "no good",
            "errorType": "java.lang.RuntimeException",
            "stackTrace": ["example.Handler.handleRequest(Handler.java:9)"],
        },
    ),
    failure(
        ".NET throws",
        "REC 2026-01-12, but for the type of the trace",
        {"errorType": "Exception", "errorMessage": "no good", "stackTrace": ["at A", "at B"]},
    ),
    failure(
        ".NET throws, its trace in one text",
        "REC 2026-01-12, but for the type of the trace",
        {"errorType": "Exception", "errorMessage": "no good", "stackTrace": "at A\nat B"},
        means=function_failed("Exception", "no good", ("at A", "at B")),
    ),
    failure(
        "Ruby raises",
        "REC 2026-01-12, but for the type of the trace",
        {
            "errorMessage": "no good",
            "errorType": "Function<RuntimeError>",
            "stackTrace": ["/var/task/function.rb:2:in 'handler'"],
        },
    ),
    failure(
        "Rust fails on a provided runtime",
        "REC 2026-01-12",
        {"errorType": "&alloc::string::String", "errorMessage": "no good"},
    ),
    failure(
        "the old word for an error",
        "old documentation",
        {"errorMessage": "no good", "errorType": "Exception"},
        word="Handled",
    ),
    failure("a body that is no object", "INFER", "no good", means=function_failed(None, "no good")),
]


def _ended(error_type: str, what: str) -> dict[str, Any]:
    return {"errorType": error_type, "errorMessage": f"RequestId: <id> Error: {what}"}


def _exited(how: str) -> dict[str, Any]:
    return _ended("Runtime.ExitError", f"Runtime exited {how}")


_TIMED_OUT = _ended("Sandbox.Timedout", "Task timed out after <seconds> seconds")
_NO_REASON = _exited("without providing a reason")

PLATFORM = [
    failure(
        "a timeout",
        "REC 2025-11-25",
        _TIMED_OUT,
        Call(handler="sleeps", options={"timeout": 0.2}, kinds=BOTH),
    ),
    failure(
        "a timeout until 2024",
        "REC 2024-04-08",
        {"errorMessage": "<when> <id> Task timed out after 1.00 seconds"},
        means=function_failed("Sandbox.Timedout", "<when> <id> Task timed out after 1.00 seconds"),
    ),
    failure(
        "exit in the handler", "REC 2025-11-24", _NO_REASON, Call(handler="leaves", kinds=PROCESS)
    ),
    failure(
        "sys.exit in the handler",
        "REC 2025-11-24",
        _NO_REASON,
        Call(handler="exits", kinds=BOTH, body=b"0"),
    ),
    failure(
        "exit at the start", "REC 2025-11-24", _NO_REASON, Call(source="import os; os._exit(0)")
    ),
    failure(
        "sys.exit at the start",
        "REC 2025-11-24",
        _NO_REASON,
        Call(source="import sys; sys.exit(0)"),
    ),
    failure(
        "an exit status",
        "REC 2025-11-24",
        _exited("with error: exit status 127"),
        Call(handler="leaves", body=b"127", kinds=PROCESS),
    ),
    failure(
        "a kill",
        "SEEN",
        _exited("with error: signal: killed"),
        Call(handler="is_killed", kinds=PROCESS),
    ),
    failure(
        "the memory is used up, in the newer form",
        "SEEN, but for the text",
        {"errorType": "Runtime.OutOfMemory", "errorMessage": "any"},
    ),
    failure(
        "a segmentation fault at the start",
        "REC 2025-11-24",
        _TIMED_OUT,
        Call(
            source="import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            options={"timeout": 0.2},
        ),
    ),
    failure(
        "a module that raises",
        "REC 2025-11-24",
        {
            "errorMessage": "no start",
            "errorType": "Exception",
            "requestId": "",
            "stackTrace": [
                '<lines>  File "<path>", line 1, in <module>\n    raise Exception("no start")\n'
            ],
        },
        Call(source='raise Exception("no start")'),
    ),
    failure(
        "a module that cannot be imported",
        "RAN awslambdaric 4.2.2",
        {
            "errorMessage": "Unable to import module 'module': No module named 'nowhere'",
            "errorType": "Runtime.ImportModuleError",
            "requestId": "",
            "stackTrace": [],
        },
        Call(source="import nowhere"),
    ),
    failure(
        "a module that is no Python",
        "RAN awslambdaric 4.2.2",
        {
            "errorMessage": "Syntax error in module 'module': expected ':' (module.py, line 1)",
            "errorType": "Runtime.UserCodeSyntaxError",
            "requestId": "",
            "stackTrace": ['  File "<path>" Line 1\n    def handler(event, context)\n'],
        },
        Call(source="def handler(event, context)\n"),
    ),
    failure(
        "no such handler",
        "RAN awslambdaric 4.2.2",
        {
            "errorMessage": "Handler 'handler' missing on module 'module'",
            "errorType": "Runtime.HandlerNotFound",
            "requestId": "",
            "stackTrace": [],
        },
        Call(source="other = 1"),
    ),
    failure(
        "a result that is no JSON",
        "RAN awslambdaric 4.2.2",
        {
            "errorMessage": "Unable to marshal response: "
            "Object of type set is not JSON serializable",
            "errorType": "Runtime.MarshalError",
            "requestId": "<id>",
            "stackTrace": [],
        },
        Call(handler="gives_a_set", kinds=BOTH),
    ),
    failure(
        "an answer that is too large",
        "REC 2025-11-24",
        {
            "errorMessage": "Response payload size exceeded maximum allowed payload size "
            "(6291556 bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        },
        Call(handler="says_too_much", kinds=BOTH),
    ),
]

# Further messages of the service's runtime agent.
AGENT = [
    failure(
        f"any type: {name}", "SEEN in AWS's emulator", {"errorType": name, "errorMessage": "any"}
    )
    for name in (
        "Runtime.InvalidEntrypoint",
        "Runtime.InvalidWorkingDir",
        "Runtime.InvalidTaskConfig",
        "Runtime.TruncatedResponse",
        "Runtime.InvalidResponseModeHeader",
        "Runtime.Unknown",
        "Runtime.InitError",
        "Function.Unknown",
        "Sandbox.Failure",
        "Sandbox.Timeout",
        "Extension.InitError",
        "Extension.ExitError",
        "Extension.Crash",
        "Extension.LaunchError",
    )
]


def _spoken(name: str, source: str, log: str, call: Call) -> Vector:
    return Vector(
        name=name,
        source=source,
        status=200,
        headers={**SUCCESS, "X-Amz-Log-Result": "<base64>"},
        body="null",
        log=log,
        call=call,
    )


_SAID = f"{_START}printed\n[INFO]\t<when>\t<id>\tlogged\n"

LOGS = [
    _spoken(
        "the log of a warm start",
        "REC",
        _SAID + _end(),
        Call(handler="speaks", headers=TAIL, kinds=PROCESS, times=2),
    ),
    _spoken(
        "the log of a cold start",
        "REC",
        _SAID + _end(cold=True),
        Call(handler="speaks", headers=TAIL, kinds=PROCESS),
    ),
    _spoken(
        "the log of a handler that says nothing",
        "REC",
        _START + _end(),
        Call(handler="nothing", headers=TAIL),
    ),
    failure(
        "the log of an error",
        "REC",
        _raised("raises"),
        Call(handler="raises", headers=TAIL, kinds=BOTH, times=2),
        log=f"{_START}[ERROR] Exception: no good\nTraceback (most recent call last):\n"
        f'{_NBSP * 2}File "<path>", line <number>, in raises\n'
        f'{_NBSP * 4}raise Exception("no good")\n{_end()}',
    ),
    failure(
        "the log of a timeout",
        "SEEN",
        _TIMED_OUT,
        Call(handler="sleeps", headers=TAIL, options={"timeout": 0.2}),
        log=f"{_START}<when> <id> Task timed out after <seconds> seconds\n\n"
        f"{_end(status='Status: timeout')}",
    ),
]

FUNCTIONS = [*LANGUAGES, *PLATFORM, *AGENT, *LOGS]
