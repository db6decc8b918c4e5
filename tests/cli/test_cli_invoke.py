"""`asyncinvoke invoke` as a process."""

import base64
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
import anyio.abc
import pytest

from asyncinvoke.local import LocalLambda

from .processes import LineReader, Run, started

pytestmark = pytest.mark.anyio


async def test_the_payload_goes_to_stdout_and_all_else_to_stderr(
    endpoint: LocalLambda, run: Run
) -> None:
    ended = await run(
        "invoke",
        "echo",
        "--payload",
        '{"key": 1}',
        "--log-type",
        "Tail",
        "--endpoint-url",
        endpoint.url,
    )
    assert ended.status == 0
    assert ended.out == '{"got": {"key": 1}}'
    assert "REPORT RequestId" in ended.err
    last = ended.err.splitlines()[-1]
    assert last.startswith("200, version $LATEST, request id ")
    billed = re.search(r"Billed Duration: (\d+) ms", ended.err)
    assert billed is not None
    assert re.search(rf", 1 attempt, [\d,]+ ms, billed {int(billed[1]):,} ms$", last)


async def test_a_payload_comes_from_a_file_or_from_stdin(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "payload.json").write_text("[1]")
    ended = await run(
        "invoke", "echo", "--payload", "file://payload.json", "--endpoint-url", endpoint.url
    )
    assert json.loads(ended.out) == {"got": [1]}
    ended = await run(
        *("invoke", "echo", "--payload", "-", "--endpoint-url", endpoint.url),
        stdin=b"\xef\xbb\xbf[2]\n",
    )
    assert json.loads(ended.out) == {"got": [2]}


@pytest.mark.parametrize(
    "words",
    [
        ["[3]"],
        ["--payload", "fileb://payload.json"],
        ["@payload.json"],
        ["file://payload.json", "-o", "answer.json"],
    ],
    ids=["positional", "fileb", "at", "output"],
)
async def test_the_habits_of_other_command_lines_work(
    words: list[str], endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "payload.json").write_text("[3]")
    ended = await run("invoke", "echo", *words, "-t", "30s", "-u", endpoint.url)
    assert ended.status == 0
    written = (tmp_path / "answer.json").read_text("utf-8") if "-o" in words else ended.out
    assert json.loads(written) == {"got": [3]}
    assert ended.err.startswith("200, version $LATEST, ")
    assert ended.err.endswith(" ms\n")


async def test_a_stream_is_written_as_it_comes(endpoint: LocalLambda, run: Run) -> None:
    ended = await run("invoke", "echo", "[4]", "--stream", "--endpoint-url", endpoint.url)
    assert (ended.status, json.loads(ended.out)) == (0, {"got": [4]})
    assert ended.err == "12 bytes in 1 chunk\n"


async def test_a_client_context_comes_as_json_from_a_file_or_in_base64(
    endpoint: LocalLambda, run: Run, tmp_path: Path
) -> None:
    def custom(event: object, context: Any) -> object:
        return context.client_context.custom

    endpoint.function("custom", custom)
    text = '{"custom": {"key": "value"}}'
    (tmp_path / "context.json").write_text(text, encoding="utf-8")
    for spelled in (text, "file://context.json", base64.b64encode(text.encode()).decode()):
        ended = await run("invoke", "custom", "--client-context", spelled, "-u", endpoint.url)
        assert (ended.status, json.loads(ended.out)) == (0, {"key": "value"})


@pytest.mark.parametrize(("kind", "status"), [("Event", 202), ("DryRun", 204)])
async def test_other_invocation_types_print_their_status(
    kind: str, status: int, endpoint: LocalLambda, run: Run
) -> None:
    ended = await run("invoke", "echo", "--invocation-type", kind, "--endpoint-url", endpoint.url)
    assert (ended.status, ended.out) == (0, "")
    assert ended.err.startswith(f"{status}, request id ")


async def test_a_function_error_gives_its_payload_and_one_safe_line(
    endpoint: LocalLambda, run: Run
) -> None:
    ended = await run("invoke", "fail", "--endpoint-url", endpoint.url)
    assert ended.status == 1
    assert json.loads(ended.out)["errorType"] == "ValueError"
    (error,) = ended.err.splitlines()
    assert "1 attempt" in error
    assert error.startswith("asyncinvoke: error: fail: ValueError: two lines and ")
    assert "\x1b" not in error


async def test_an_unknown_function_is_one_line_and_status_1(
    endpoint: LocalLambda, run: Run
) -> None:
    ended = await run("invoke", "missing", "--endpoint-url", endpoint.url)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("asyncinvoke: error: missing: ResourceNotFoundException: ")
    assert ended.err.count("\n") == 1


async def test_a_timeout_is_status_1(endpoint: LocalLambda, run: Run) -> None:
    ended = await run(
        "invoke",
        "block",
        "--payload",
        '{"block": 1}',
        "--timeout",
        "0.2",
        "--endpoint-url",
        endpoint.url,
    )
    assert ended.status == 1
    assert "timeout of 0.2 s passed" in ended.err


async def test_an_interrupt_says_that_the_function_may_have_run(endpoint: LocalLambda) -> None:
    async with started(
        "invoke", "block", "--payload", '{"block": 1}', "--endpoint-url", endpoint.url
    ) as process:
        while not endpoint.statistics().in_flight:
            await anyio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        assert await LineReader(process.stderr).all() == "interrupted: the function may have run\n"


async def test_an_interrupt_says_that_the_answer_was_not_written_whole(
    endpoint: LocalLambda,
) -> None:
    endpoint.function("much", lambda event, context: "x" * 1_000_000)
    async with started("invoke", "much", "--endpoint-url", endpoint.url) as process:
        # More than a pipe holds, and no one reads it.
        assert process.stdout is not None
        await process.stdout.receive(1)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        printed = await LineReader(process.stderr).all()
        assert (
            printed
            == "interrupted: the function has run, but its response was not completely written\n"
        )


async def test_an_interrupt_says_that_the_function_has_not_run_while_it_connects() -> None:
    # A server that accepts and never completes a handshake, so no part of the request can have been
    # sent.
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        came = anyio.Event()

        async def keep(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                came.set()
                await anyio.sleep_forever()

        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, keep)
            async with started("invoke", "echo", "-u", f"https://127.0.0.1:{port}") as process:
                await came.wait()
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 130
                printed = await LineReader(process.stderr).all()
                assert printed == "interrupted: the function has not run\n"
            group.cancel_scope.cancel()


async def test_credentials_that_never_come_are_waited_for_no_longer_than_the_timeout(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[profile slow]\ncredential_process = sleep 10\n")
    ended = await run(
        *("invoke", "echo", "-p", "slow", "-r", "us-east-1", "-t", "0.2"),
        AWS_CONFIG_FILE=os.fspath(tmp_path / "config"),
    )
    assert ended.status == 1
    assert ended.err == (
        "asyncinvoke: error: timeout of 0.2 s expired while waiting for credentials: "
        "nothing was sent\n"
    )


class Recorder(BaseHTTPRequestHandler):
    """An independent server that answers like Lambda and records requests."""

    seen: list[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"null")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def recorder() -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    Recorder.seen = []
    with HTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", Recorder.seen
        server.shutdown()
        thread.join()


async def test_every_option_reaches_the_wire_and_the_payload_is_sent_as_it_is(
    recorder: tuple[str, list[tuple[str, dict[str, str], bytes]]], run: Run
) -> None:
    url, seen = recorder
    ended = await run(
        *(
            "invoke",
            "echo",
            "--payload",
            '{ "n":1.50 }',
            "--qualifier",
            "live",
            "--tenant-id",
            "blue",
            "--durable-execution-name",
            "order-7",
        ),
        *(
            "--client-context",
            '{"custom": {"a": 1}}',
            "--log-type",
            "Tail",
            "--region",
            "eu-west-3",
        ),
        *("--endpoint-url", url),
    )
    assert (ended.status, ended.out) == (0, "null")
    ((path, headers, body),) = seen
    assert path == "/2015-03-31/functions/echo/invocations?Qualifier=live"
    assert body == b'{ "n":1.50 }'
    assert headers["x-amz-log-type"] == "Tail"
    assert headers["x-amz-tenant-id"] == "blue"
    assert headers["x-amz-durable-execution-name"] == "order-7"
    assert json.loads(base64.b64decode(headers["x-amz-client-context"])) == {"custom": {"a": 1}}
    assert "/eu-west-3/lambda/" in headers["authorization"]


async def test_a_profile_that_is_asked_for_beats_the_environment(
    recorder: tuple[str, list[tuple[str, dict[str, str], bytes]]], run: Run, tmp_path: Path
) -> None:
    url, seen = recorder
    (tmp_path / "config").write_text(
        "[profile blue]\naws_access_key_id = BLUE\naws_secret_access_key = x\nregion = eu-west-2\n"
        "[profile red]\naws_access_key_id = RED\naws_secret_access_key = x\n"
    )
    ended = await run(
        *("invoke", "echo", "--profile", "blue", "--endpoint-url", url),
        AWS_CONFIG_FILE=os.fspath(tmp_path / "config"),
        AWS_PROFILE="red",
        AWS_SESSION_TOKEN="token",
    )
    assert ended.status == 0
    assert "Credential=BLUE/" in seen[0][1]["authorization"]
    assert "x-amz-security-token" not in seen[0][1]


@pytest.mark.parametrize("words", [(), ("--stream",)], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", ["full", "gone", "half"])
async def test_a_response_that_its_file_cannot_take_goes_to_standard_output(
    words: tuple[str, ...], kind: str, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    output = "/dev/full" if kind == "full" else "out/response"
    if kind == "full" and not Path(output).exists():
        pytest.skip("no /dev/full here")

    def big(event: Any, context: Any) -> str:
        if kind == "gone":
            (tmp_path / "out").rmdir()
        return "x" * 300_000

    command = f'{sys.executable} -m asyncinvoke "$@"'
    if kind == "half":
        command = f"ulimit -f 200; {command}"  # blocks of 512 bytes, or of 1,024
    async with LocalLambda() as endpoint:
        endpoint.function("big", big)
        async with await anyio.open_process(
            [
                *("sh", "-c", command, "sh", "invoke", "big", "{}", *words, "-o", output),
                *("--endpoint-url", endpoint.url),
            ],
            cwd=tmp_path,
            stdin=DEVNULL,
        ) as process:
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    out, err = LineReader(process.stdout), LineReader(process.stderr)
                    said: list[str] = []

                    async def read(reader: LineReader) -> None:
                        said.append(await reader.all())

                    group.start_soon(read, err)
                    printed = await out.all()
                status = await process.wait()
        assert endpoint.statistics().invocations == 1
    assert status == 1
    assert re.search(r"cannot write .*: the (rest of the )?response is on standard output", said[0])
    file = tmp_path / output
    kept = file.read_text() if file.is_file() and "the rest" in said[0] else ""
    assert kept + printed == json.dumps("x" * 300_000)
