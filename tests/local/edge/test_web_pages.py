"""No web page can run code at the endpoint: tested by raw requests, and by a real browser."""

import asyncio
import base64
import io
import json
import shutil
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest
from anyio import to_thread

from asyncinvoke.local import LocalLambda
from asyncinvoke.local.execution.runtime_api import RuntimeApi
from asyncinvoke.local.http import access
from asyncinvoke.local.http.listener import listen, open_socket
from tests.doubles.sockets import SIGNATURE, connected

pytestmark = pytest.mark.anyio

CREATE = "/2015-03-31/functions"
INVOKE = "/2015-03-31/functions/echo/invocations"
SIGNED = f"Authorization: {SIGNATURE}"
LOCAL = "Host: 127.0.0.1:9001"

# Each is the head of a request that a web page, or one behind DNS rebinding, could send.
FOREIGN = [
    [LOCAL, "Origin: https://evil.example"],
    [LOCAL, "origin: https://evil.example"],
    [LOCAL, "ORIGIN:https://evil.example"],
    [LOCAL, "Origin: null"],
    [LOCAL, "Origin:"],
    [LOCAL, "Origin: http://127.0.0.1:9002"],
    [LOCAL, "Origin: http://localhost:9001"],
    [LOCAL, "Origin: http://127.0.0.1:9001.evil.example"],
    [LOCAL, "Origin: http://127.0.0.1:9001", "Origin: https://evil.example"],
    [LOCAL, "Origin: file://"],
    [LOCAL, "Sec-Fetch-Site: cross-site"],
    [LOCAL, "sec-fetch-site: CROSS-SITE"],
    [LOCAL, "Sec-Fetch-Site: same-site"],
    [LOCAL, "Sec-Fetch-Site: anything-new"],
    [LOCAL, "Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"],
    [LOCAL, "Origin: http://127.0.0.1:9001", "Sec-Fetch-Site: cross-site"],
    ["Host: evil.example"],
    ["Host: evil.example:9001"],
    ["Host: evil.example:9001", "Origin: http://evil.example:9001"],
    ["Host: evil.example:9001", "Sec-Fetch-Site: same-origin"],
    ["Host: 127.0.0.1.evil.example"],
    ["Host: localhost.evil.example"],
    ["Host: notlocalhost"],
    ["Host: 127.0.0.1@evil.example"],
    ["Host: evil.example@127.0.0.1:9001"],
    ["Host: 127.0.0.1:9001:evil.example"],
    ["Host: [evil.example]"],
    ["Host: 2130706433"],
    ["Host: 127.1"],
    ["Host:"],
    [LOCAL, "Host: evil.example"],
    [],
]
# These are not sent by web pages.
OWN = [
    [LOCAL],
    ["Host: localhost"],
    ["host: LOCALHOST:80"],
    ["Host: localhost."],
    ["Host: lambda.localhost:9001"],
    ["Host: [::1]:9001"],
    ["Host: [::1]"],
    ["Host: 192.168.0.7:9001"],
    ["Host: lambda:9001"],
    [LOCAL, "Sec-Fetch-Site: none"],
    [LOCAL, "Origin: http://127.0.0.1:9001", "Sec-Fetch-Site: same-origin"],
]


def named(lines: list[str]) -> str:
    return " | ".join(lines) or "no Host"


async def first_answer(url: str, *lines: str, target: str = CREATE, body: bytes = b"") -> bytes:
    """Send a head and the given part of the body; return the first answer."""

    def exchange() -> bytes:
        with connected(url) as sock:
            head = "\r\n".join([f"POST {target} HTTP/1.1", *lines, "Content-Length: 1000", "", ""])
            sock.sendall(head.encode() + body)
            return sock.recv(65_536)

    return await to_thread.run_sync(exchange)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def endpoint() -> AsyncIterator[LocalLambda]:
    async with LocalLambda(allowed_hosts=["Lambda"]) as local:
        yield local


@pytest.mark.parametrize("lines", FOREIGN, ids=named)
async def test_what_a_page_may_have_sent_is_refused_before_its_body(
    endpoint: LocalLambda, lines: list[str]
) -> None:
    # The body is never sent: a server that waited for it would not answer.
    for target in (CREATE, INVOKE, "/", "/nothing"):
        answer = await first_answer(endpoint.url, *lines, SIGNED, target=target)
        assert answer[8:13] in (b" 403 ", b" 400 "), answer
        assert b"access-control" not in answer.lower()
    assert endpoint.statistics().invocations == 0


@pytest.mark.parametrize("lines", OWN, ids=named)
async def test_what_no_page_has_sent_is_answered(endpoint: LocalLambda, lines: list[str]) -> None:
    answer = await first_answer(endpoint.url, *lines, SIGNED, body=b" " * 1000)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"SerializationException" in answer


async def test_a_target_that_names_a_host_is_held_to_the_same_rule(endpoint: LocalLambda) -> None:
    for authority in ("evil.example", "evil.example:80", "127.0.0.1@evil.example"):
        answer = await first_answer(
            endpoint.url, LOCAL, SIGNED, target=f"http://{authority}{CREATE}"
        )
        assert answer[8:13] in (b" 403 ", b" 400 "), answer


async def test_an_unsigned_request_gets_the_answer_of_the_service_before_its_body(
    endpoint: LocalLambda,
) -> None:
    for lines in ([], ["Authorization: Basic QWxhZGRpbg=="], ["Authorization:"]):
        answer = await first_answer(endpoint.url, LOCAL, *lines, target=INVOKE)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403 ")
        assert b"x-amzn-ErrorType: MissingAuthenticationTokenException" in head
        assert json.loads(body) == {"message": "Missing Authentication Token"}


async def test_unsigned_requests_can_be_allowed_and_pages_cannot() -> None:
    async with LocalLambda(allow_unsigned=True) as local:
        answer = await first_answer(local.url, LOCAL, body=b" " * 1000)
        assert b"SerializationException" in answer
        for lines in FOREIGN:
            assert b"SerializationException" not in await first_answer(local.url, *lines)


async def test_the_api_of_a_worker_process_takes_nothing_from_a_page_either() -> None:
    class NoInvocations:
        async def next(self) -> None:
            raise AssertionError("a page has taken an invocation")

        def responded(self, *_: object) -> None:
            raise AssertionError("a page has answered an invocation")

        failed = responded

    async with listen(RuntimeApi(NoInvocations()), open_socket()) as port:  # type: ignore[arg-type]  # as far as it goes
        url = f"http://127.0.0.1:{port}"
        for lines in FOREIGN:
            answer = await first_answer(url, *lines, target="/2018-06-01/runtime/init/error")
            assert answer[8:13] in (b" 403 ", b" 400 "), answer


@pytest.mark.parametrize("name", ["", "lambda:9001", "http://lambda", "a b", ".", "*"])
def test_an_invalid_host_name_cannot_be_allowed(name: str) -> None:
    with pytest.raises(ValueError, match="must be a name, without a port"):
        LocalLambda(allowed_hosts=[name])
    with pytest.raises(ValueError, match="must be a list of names"):
        access.check_names("lambda")


BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)

PAGE = """<!doctype html><title>page</title><iframe name=sink></iframe>
<form id=f method=post enctype=text/plain target=sink action="{endpoint}{create}">
<textarea name='{{"x":"'>"}}</textarea></form>
<script>
const body = {body};
const to = "{endpoint}", create = "{create}", invoke = "{invoke}";
const text = {{method: "POST", body, headers: {{"Content-Type": "text/plain"}}}};
const signed = {{method: "POST", body, headers: {{"Authorization": "AWS4-HMAC-SHA256 x"}}}};
async function attempt(name, act) {{
  let outcome = "sent";
  try {{ const answer = await act(); outcome = answer ? `read ${{answer.status}}` : "sent"; }}
  catch (error) {{ outcome = "blocked"; }}
  await fetch("/tried?" + name + "=" + encodeURIComponent(outcome));
}}
(async () => {{
  for (const url of [to + create, to + invoke]) {{
    await attempt("fetch", () => fetch(url, text));
    await attempt("no-cors", () => fetch(url, {{...text, mode: "no-cors"}}));
    await attempt("signed", () => fetch(url, signed));
    await attempt("get", () => fetch(url, {{mode: "no-cors"}}));
    await attempt("beacon", async () => {{ navigator.sendBeacon(url, body); }});
    await attempt("xhr", () => new Promise((done) => {{
      const xhr = new XMLHttpRequest(); xhr.onloadend = () => done({{status: xhr.status}});
      xhr.open("POST", url); xhr.send(body); }}));
  }}
  await attempt("form", () => new Promise((done) => {{
    document.querySelector("iframe").onload = () => done(); document.forms.f.submit(); }}));
  await fetch("/done");
}})();
</script>"""


def code_of(text: str) -> str:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("app.py", text)
    return base64.b64encode(archive.getvalue()).decode()


class Site:
    """A web site that serves one page, and is notified of its progress."""

    def __init__(self) -> None:
        self.page = ""
        self.tried: list[str] = []
        self.done = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if not line:  # a connection that a browser opens speculatively
            writer.close()
            return
        target = line.split()[1].decode()
        while (await reader.readline()).strip():
            pass
        body = b""
        if target == "/":
            body = self.page.encode()
        elif target.startswith("/tried?"):
            self.tried.append(target.partition("?")[2])
        elif target == "/done":
            self.done.set()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def visited(url: str, profile: Path, *rules: str) -> AsyncIterator[None]:
    assert BROWSER is not None
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-dev-shm-usage", "--disable-background-networking", "--no-proxy-server"]
    command += [f"--user-data-dir={profile}", f"--host-resolver-rules={','.join(rules)}", url]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
def profile(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
async def test_a_real_browser_can_neither_create_nor_invoke_a_function(profile: Path) -> None:
    site, ran = Site(), []
    # If signatures are required, there is one more barrier.
    async with LocalLambda(allow_unsigned=True) as local:
        local.function("echo", lambda event, context: ran.append(event))
        server = await asyncio.start_server(site.answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            body = {
                "FunctionName": "evil",
                "Runtime": "python3.13",
                "Role": "arn:aws:iam::123456789012:role/any",
                "Handler": "app.f",
                "Code": {"ZipFile": code_of("def f(e, c): pass")},
            }
            # The second name is the page's own, rebound to the endpoint meanwhile.
            endpoint_port = urlsplit(local.url).port
            for target, name in ((local.url, "evil.example"), ("", "127.0.0.1")):
                site.done.clear()
                rebound = target or f"http://rebound.example:{endpoint_port}"
                site.page = PAGE.format(
                    endpoint=rebound,
                    create=CREATE,
                    invoke=INVOKE,
                    body=json.dumps(json.dumps(body)),
                )
                rules = [f"MAP {host}.example 127.0.0.1" for host in ("evil", "rebound")]
                async with visited(f"http://{name}:{port}/", profile / name, *rules):
                    with anyio.fail_after(60):
                        await site.done.wait()
        assert len(site.tried) == 2 * (2 * 6 + 1)
        assert ran == []
        assert local.statistics().invocations == 0
        # The attack is real: not sent by a web page, the same body creates a function where
        # allowed.
        answer = await first_answer(
            local.url, LOCAL, SIGNED, body=json.dumps(body).encode().ljust(1000)
        )
        assert answer.startswith(b"HTTP/1.1 201 "), answer
