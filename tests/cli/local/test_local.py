"""`asyncinvoke local` as a process."""

import contextlib
import http.client
import io
import json
import re
import signal
import socket
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import boto3
import pytest

from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.local import console, settings
from asyncinvoke.cli.local import handlers as handlers_module
from asyncinvoke.cli.local.handlers import check_handler, handlers_in
from asyncinvoke.local import EventProgress
from tests.cli.processes import LineReader, Run, started
from tests.doubles.sockets import SIGNATURE

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="awslambdaric is for Linux"),
]

HANDLERS = """
import os

def resize(event, context):
    return {"got": event, "color": os.environ.get("COLOR"), "name": context.function_name}

if True:
    conditional = lambda event, context: "conditional"
"""


@pytest.fixture
def handlers(tmp_path: Path) -> Path:
    (tmp_path / "handlers.py").write_text(HANDLERS, encoding="utf-8")
    (tmp_path / "broken.py").write_text("def f(:\n")
    return tmp_path


def call(url: str, name: str, payload: object, kind: str = "RequestResponse") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(
            "POST",
            f"/2015-03-31/functions/{name}/invocations",
            json.dumps(payload).encode(),
            {"Authorization": SIGNATURE, "X-Amz-Invocation-Type": kind},
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
async def test_it_serves_until_a_signal_and_then_sums_up(
    number: signal.Signals, status: int, handlers: Path
) -> None:
    async with started(
        *("local", "handlers.py:resize", "small=handlers.py:resize", "handlers:conditional"),
        *("--port", "0", "--reserved", "small=0", "--env", "COLOR=blue"),
        cwd=handlers,
    ) as process:
        err = LineReader(process.stderr)
        greeting = re.fullmatch(
            r"Serving resize, small, conditional at (http://127\.0\.0\.1:\d+)", await err.next()
        )
        assert greeting is not None
        url = greeting[1]
        answer = await anyio.to_thread.run_sync(call, url, "resize", {"n": 1})
        assert (answer[0], json.loads(answer[1])) == (
            200,
            {"got": {"n": 1}, "color": "blue", "name": "resize"},
        )
        assert await anyio.to_thread.run_sync(call, url, "conditional", 1) == (
            200,
            b'"conditional"',
        )
        assert (await anyio.to_thread.run_sync(call, url, "small", 1))[0] == 429
        process.send_signal(number)
        assert await process.wait() == status
        printed = await err.all()
        assert f"aws lambda invoke --function-name resize --endpoint-url {url}" in printed
        assert printed.splitlines()[-1] == (
            "3 invocations, 1 throttled, 0 function errors, 2 cold starts"
        )


async def test_without_functions_it_waits_for_those_that_are_created(handlers: Path) -> None:
    async with started("local", "--port", "0", "--host", "::1", cwd=handlers) as process:
        err = LineReader(process.stderr)
        greeting = re.fullmatch(
            r"Serving no functions yet at (http://\[::1\]:\d+)", await err.next()
        )
        assert greeting is not None
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as bundle:
            bundle.write(handlers / "handlers.py", "handlers.py")

        def create_and_invoke() -> bytes:
            client = boto3.client("lambda", "us-east-1", endpoint_url=greeting[1])
            client.create_function(
                FunctionName="made",
                Runtime="python3.12",
                Role="arn:aws:iam::123456789012:role/made",
                Handler="handlers.resize",
                Code={"ZipFile": archive.getvalue()},
            )
            client.get_waiter("function_active_v2").wait(
                FunctionName="made", WaiterConfig={"Delay": 1}
            )
            with contextlib.closing(client):
                body: bytes = client.invoke(FunctionName="made", Payload=b"1")["Payload"].read()
                return body

        answer = json.loads(await anyio.to_thread.run_sync(create_and_invoke))
        assert (answer["got"], answer["name"]) == (1, "made")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_with_two_options_it_listens_beyond_loopback_with_a_warning(handlers: Path) -> None:
    async with started(
        *("local", "handlers.py:resize", "--port", "0", "--host", "0.0.0.0", "--allow-remote"),
        cwd=handlers,
    ) as process:
        err = LineReader(process.stderr)
        url = (await err.next()).split()[-1]
        assert url.startswith("http://127.0.0.1:")
        assert await err.next() == (
            "WARNING: it listens on 0.0.0.0: other machines can reach it at any address of this "
            f"one, port {urlsplit(url).port}, and run any code here. Press Ctrl-C to stop."
        )
        assert (await anyio.to_thread.run_sync(call, url, "resize", 1))[0] == 200
        process.send_signal(signal.SIGINT)


async def test_it_prints_one_line_for_each_invocation(handlers: Path) -> None:
    (handlers / "handlers.py").write_text(
        "def fail(event, context): return 1 / event\n"
        "def odd(event, context): raise type('o\\nd\\x1b]0;d', (Exception,), {})('no')\n"
    )
    async with started(
        *("local", "handlers.py:fail", "handlers.py:odd", "none=handlers.py:fail"),
        *("--reserved", "none=0", "--port", "0"),
        cwd=handlers,
    ) as process:
        err = LineReader(process.stderr)
        url = (await err.next()).split()[-1]
        for name, payload in (("fail", 1), ("fail", 0), ("odd", 1), ("none", 1)):
            await anyio.to_thread.run_sync(call, url, name, payload)
        await anyio.to_thread.run_sync(call, url, "no%0Asuch%1B", 1)
        process.send_signal(signal.SIGINT)
        printed = (await err.all()).splitlines()
    clock, request_id = r"\d\d:\d\d:\d\d\.\d{3} ", " [0-9a-f-]{36} "
    lines = [
        rf"fail{request_id}200 [\d,]+ ms",
        rf"fail{request_id}200 [\d,]+ ms function error: ZeroDivisionError: division by zero",
        rf"odd{request_id}200 [\d,]+ ms function error: o\\nd\\x1b\]0;d: no",
        rf"none{request_id}429 [\d,]+ ms throttled: ReservedFunction\w+Exceeded",
        rf"'no\\nsuch\\x1b'{request_id}400 [\d,]+ ms refused: ValidationException: .*",
    ]
    calls = [line for line in printed if re.match(clock, line) and " | " not in line]
    for pattern, line in zip(lines, calls, strict=True):
        assert re.fullmatch(clock + pattern, line)
    logged = [line.partition(" | ")[2] for line in printed if " | " in line]
    assert "[ERROR] ZeroDivisionError: division by zero" in logged
    assert "Traceback (most recent call last):" in logged
    assert sum(line.startswith("REPORT RequestId: ") for line in logged) == 3


async def test_it_is_set_by_options_and_a_file_and_shows_events(handlers: Path) -> None:
    (handlers / "handlers.py").write_text("from more import *")
    more = "import os\ndef f(event, context):\n    print('red\\x1b[31m \\x1b]0;title\\x07')\n"
    more += "    word = 'old', os.environ['A'], os.environ['B'], context.memory_limit_in_mb\n"
    more += "    assert context.get_remaining_time_in_millis() > 3000, 'the default'\n"
    more += "    return [*word, context.invoked_function_arn] if event else {}['no']\n"
    (handlers / "more.py").write_text(more, encoding="utf-8")
    (handlers / "folder").mkdir()
    (handlers / "folder" / "endpoint.toml").write_text(
        'account-id = "000000000007"\nregion = "us-west-2"\nmemory = 128\nenv = { A = "file" }\n'
        '[functions.g]\nhandler = "../handlers.py:f"\nmemory = 256\nenv-file = ".env"\n'
    )
    (handlers / "folder" / ".env").write_text("# none\nexport B = 'two words'\n")
    async with started(
        *("local", "handlers.py:f", "--config", "folder/endpoint.toml", "--port", "0"),
        *("--region", "eu-west-1", "--env", "B=option", "--set", "f:env.A=one", "--timeout", "1m"),
        *("--event-retry-delay", "0,0", "--set", "f:memory=512", "--fault", "throttle,count=1"),
        cwd=handlers,
    ) as process:
        err = LineReader(process.stderr)
        url = (await err.next()).split()[-1]
        assert (await anyio.to_thread.run_sync(call, url, "f", 1))[0] == 429
        arn = "arn:aws:lambda:eu-west-1:000000000007:function:"
        for name, *words in (("f", "one", "option", "512"), ("g", "file", "option", "256")):
            status, body = await anyio.to_thread.run_sync(call, url, name, 1)
            assert (status, json.loads(body)) == (200, ["old", *words, f"{arn}{name}"])
        (handlers / "more.py").write_text(more.replace("old", "changed"), encoding="utf-8")
        answer = await anyio.to_thread.run_sync(call, url, "f", 1)
        assert json.loads(answer[1])[0] == "changed"
        assert (await anyio.to_thread.run_sync(call, url, "f", 0, "Event"))[0] == 202
        printed = ""
        while "RetriesExhausted" not in printed:
            printed += await err.next() + "\n"
        process.send_signal(signal.SIGINT)
    for run, end in ((1, "again in 0.0 s"), (2, "again in 0.0 s"), (3, "ended: RetriesExhausted")):
        assert f"Event, run {run}: KeyError: 'no'; {end}" in printed
    assert "| red \\x1b]0;title\\x07" in printed  # colours are for terminals only
    assert "429 " in printed
    assert "(fault: Answer)" in printed


async def test_it_runs_what_a_changed_file_says_and_is_quiet_on_demand(handlers: Path) -> None:
    (handlers / "handlers.py").write_text("def tell(event, context): return 'old'")
    async with started(
        "local", "handlers.py:tell", "--port", "0", "--quiet", cwd=handlers
    ) as process:
        err = LineReader(process.stderr)
        url = (await err.next()).split()[-1]
        assert await anyio.to_thread.run_sync(call, url, "tell", 1) == (200, b'"old"')
        (handlers / "handlers.py").write_text("def tell(event, context): return 'changed'")
        assert await anyio.to_thread.run_sync(call, url, "tell", 1) == (200, b'"changed"')
        process.send_signal(signal.SIGINT)
        printed = await err.all()
    assert " 200 " not in printed
    assert printed.splitlines()[-1].startswith("2 invocations, ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "host '0.0.0.0' would let other machines run code here"),
        (["--host", "::"], "say allow_remote (--allow-remote) as well"),
        (["--host", "example.com", "--allow-remote"], "host 'example.com' must be an IP address"),
        (["handlers"], "'handlers' must be FILE.py:FUNCTION or MODULE:FUNCTION"),
        (["missing.py:f"], "cannot read missing.py"),
        (["missing:f"], "no module named 'missing'"),
        (["handlers.py:shrink"], "handlers.py has no function 'shrink'"),
        (["handlers:event"], "handlers.py has no function 'event'"),
        (["broken.py:f"], "broken.py, line 1: syntax error"),
        (["no.dots=handlers.py:resize"], "cannot read"),
        (["handlers.py:resize", "handlers:resize"], "two functions are named resize"),
        (["handlers.py:resize", "--reserved", "other=1"], "--reserved other: no such function"),
        (["handlers.py:resize", "--reserved", "resize=-1"], "--reserved resize=-1"),
        (["handlers.py:resize", "--reserved", "resize=51"], "51 reserved"),
        (["handlers.py:resize", "--reserved", f"resize={'9' * 5000}"], "must be a whole number"),
        (["handlers.py:resize", "--reserved", "resize"], "--reserved 'resize' must be NAME=N"),
        (["handlers.py:resize", "--env", "=x"], "--env '=x' must be K=V"),
        (["handlers.py:resize", "--env", "AWS_REGION=x"], "AWS_REGION is set by Lambda itself"),
        (["handlers.py:resize", "--set", "resize:env.=1"], "variable '' must consist of letters"),
        (["handlers.py:resize", "--region", "zz"], "region_name='zz' must be one such as"),
        (["handlers.py:resize", "--s3", "http://"], "s3='http://' must name a host"),
        (["handlers.py:resize", "--port", "65536"], "--port"),
        (["handlers.py:resize", "--account-concurrency", "0"], "--account-concurrency"),
        (["handlers.py:resize", "--timeout", "901"], "--timeout"),
        (["handlers.py:resize", "--set", "resize:size=1"], "the settings are timeout, memory"),
        (["handlers.py:resize", "--set", "resize"], "must be NAME:SETTING=VALUE"),
        (["handlers.py:resize", "--set", "resize:memory=lots"], "must be a whole number"),
        (["handlers.py:resize", "--set", "resize:memory=1"], "memory_size=1 must be 128 to 10240"),
        (
            ["handlers.py:resize", "--set", "other:memory=256"],
            "settings for other: no such function",
        ),
        (["handlers.py:resize", "--event-retry-delay", "soon"], "event-retry-delay 'soon'"),
        (["handlers.py:resize", "--env-file", "missing"], "cannot read missing"),
        (["handlers.py:resize", "--config", "missing"], "cannot read missing"),
        (["handlers.py:resize", "--config", "broken.py"], "broken.py is not valid TOML"),
        (["handlers.py:resize", "--account-id", "7"], "account_id='7' must be twelve digits"),
        (["handlers.py:resize", "--fault", "boom"], "the kinds are throttle, error"),
        (["handlers.py:resize", "--fault", "reset,count=x"], "'count=x' must hold a number"),
        (["handlers.py:resize", "--fault", "reset,often"], "'often' must be function="),
        (["handlers.py:resize", "--s3", "missing"], "s3='missing' must be a folder"),
        (["handlers.py:resize", "--allowed-host", "a:1"], "allowed host 'a:1' must be a name"),
    ],
)
async def test_bad_input_is_one_clear_line(
    arguments: list[str], says: str, handlers: Path, run: Run
) -> None:
    ended = await run("local", *arguments)
    assert ended.status == 2
    assert ended.err.startswith("asyncinvoke: error: ")
    assert ended.err.count("\n") == 1
    assert says in ended.err


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("\ufeffA=1", {"A": "1"}),
        ("# said\n\nexport A=1\r\n B = two words ", {"A": "1", "B": "two words"}),
        ("A=a=b\nB=\nC='#'\nD=\"d\"\nA=2", {"A": "2", "B": "", "C": "#", "D": "d"}),
        ("A=1\nB", "line 2: must be NAME=VALUE"),
        ("=1", "line 1: must be NAME=VALUE"),
        ("2A=1", "line 1: must be NAME=VALUE"),
        ("A B=1", "line 1: must be NAME=VALUE"),
        ('A="one\ntwo"', "line 1: unclosed quote"),
        ("A=\"x'", "line 1: unclosed quote"),
    ],
)
def test_a_file_of_variables_is_read_or_its_line_named(
    tmp_path: Path, text: str, read: dict[str, str] | str
) -> None:
    file = tmp_path / ".env"
    file.write_bytes(text.encode())
    if isinstance(read, dict):
        assert settings.read_env_file(file) == read
    else:
        with pytest.raises(CommandError, match=read):
            settings.read_env_file(file)


async def test_a_port_in_use_is_one_clear_line(handlers: Path, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await run("local", "handlers.py:resize", "--port", str(port))
    assert ended.status == 2
    assert ended.err.startswith(f"asyncinvoke: error: cannot listen on 127.0.0.1 port {port}")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("timeout =", "is not valid TOML"),
        ("\udcff", "is not valid TOML"),
        (f"timeout = {'9' * 5000}", "is not valid TOML"),
        (f"x = {'[' * 100_000}", "is not valid TOML"),
        (f"timeout = {10**400}", r"timeout=10+\.\.\. must be a duration: 30, 500ms or 5m"),
        ("memory = 1.5", r"memory=1\.5 must be a whole number"),
        ("memory = nan", "memory=nan must be a whole number"),
        ("reserved = true", "reserved=True must be a whole number"),
        ("port = 70000", "port=70000 must be 0 to 65535"),
        ("port = true", "port=True must be 0 to 65535"),
        ("region = 7", "region=7 must be a string"),
        ("env = 7", "env must be a table of strings"),
        ("env = { A = 7 }", r"env\.A=7 must be a string"),
        ("event-retry-delay = [1]", r"event-retry-delay \[1\] must be seconds, or two numbers"),
        (f"event-retry-delay = {10**400}", "must be seconds, or two numbers"),
        ("functions = 7", "functions must be tables"),
        ("functions.f = 7", "functions must be tables"),
        ("functions.f.port = 7", "'port' is not a setting"),
        ("size = 7", "'size' is not a setting"),
    ],
)
def test_whatever_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "endpoint.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(CommandError, match=says) as caught:
        settings.read_file(str(file))
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("port", [0, 7, 65_535])
def test_a_file_with_a_byte_order_mark_is_read(port: int, tmp_path: Path) -> None:
    file = tmp_path / "endpoint.toml"
    file.write_bytes(b"\xef\xbb\xbfport = %d" % port)
    assert settings.read_file(str(file)).port == port


def test_files_that_a_settings_file_names_are_beside_it_and_modules_are_not() -> None:
    handlers = {"f": "handlers.py:f", "g": "package.module:g"}
    found = handlers_in(handlers, "folder/endpoint.toml")
    assert found == {"f": "folder/handlers.py:f", "g": "package.module:g"}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"\xef\xbb\xbfdef f(event, context): pass", None),
        ("# coding: latin-1\nword = 'é'\ndef f(event, context): pass".encode("latin-1"), None),
        (b"word = '\xe9'", "syntax error: invalid or missing encoding declaration"),
        (b"\n\n\nword = '\xe9'", "is not Python source"),
        (b"# coding: moon", "syntax error: unknown encoding"),
        (b"\0", "source code string cannot contain null bytes"),
        (b"\ndef", "handlers.py, line 2: syntax error"),
    ],
)
def test_a_file_is_read_in_the_encoding_in_which_python_reads_it(
    tmp_path: Path, source: bytes, says: str | None
) -> None:
    file = tmp_path / "handlers.py"
    file.write_bytes(source)
    with pytest.raises(CommandError, match=says) if says else contextlib.nullcontext():
        check_handler(f"{file}:f")


def test_a_module_that_is_imported_to_find_its_handler_gets_no_credentials(tmp_path: Path) -> None:
    file = tmp_path / "handlers.py"
    file.write_text("globals()['f'] = print\n")
    check_handler(f"{file}:f")
    file.write_text(
        "import os\nif 'AWS_ACCESS_KEY_ID' in os.environ:\n    globals()['f'] = print\n"
    )
    with pytest.raises(CommandError, match="has no function 'f'"):
        check_handler(f"{file}:f")


def test_a_handler_whose_import_does_not_end_is_left_to_the_invocations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers_module, "_IMPORT_TIMEOUT", 0.1)
    file = tmp_path / "handlers.py"
    file.write_text("import signal\nwhile True:\n    signal.pause()\n")
    check_handler(f"{file}:f")


def test_an_event_whose_error_cannot_be_decoded_is_printed_without_its_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = EventProgress(
        function_name="f",
        request_id="id",
        runs=1,
        function_error="Unhandled",
        condition=None,
        delay=60.0,
        payload=b"[" * 100_000,
    )
    console.print_event(progress)
    assert capsys.readouterr().err.endswith(" f id Event, run 1: Unhandled; again in 60.0 s\n")
