"""The service of the examples: the status code of each failure, its page, and its pictures."""

import importlib.util
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

import asyncinvoke
from asyncinvoke.local import Answer, LocalLambda, Reset, Step
from asyncinvoke.testing import no_waits

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "service"

pytestmark = [
    pytest.mark.anyio,
    # FastAPI runs on asyncio alone.
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]


def resize(event: Any, _: Any) -> Any:
    if event["key"] == "not an image":
        raise ValueError("only images can be resized")
    return {"url": f"thumbs/{event['key']}"}


@pytest.fixture
async def local() -> AsyncIterator[LocalLambda]:
    async with LocalLambda() as local:
        local.function("resize", resize)
        yield local


@pytest.fixture
async def app(local: LocalLambda, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", local.url)
    spec = importlib.util.spec_from_file_location("service_app", FOLDER / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # FastAPI looks up the annotations of the handlers there.
    monkeypatch.setitem(sys.modules, "service_app", module)
    spec.loader.exec_module(module)
    with no_waits():
        async with module.app.router.lifespan_context(module.app):
            yield module.app


async def post(app: Any, key: str = "cat.jpg") -> httpx2.Response:
    wire = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=wire, base_url="http://service") as client:
        return await client.post("/thumbs", json={"key": key})


async def test_an_answer_and_what_the_function_refuses(app: Any) -> None:
    answer = await post(app)
    assert (answer.status_code, answer.json()) == (200, {"url": "thumbs/cat.jpg"})
    refused = await post(app, "not an image")
    assert (refused.status_code, refused.json()) == (422, {"detail": "only images can be resized"})


THROTTLED = Answer(
    status_code=429, headers={"Retry-After": "7"}, payload=b'{"Reason": "CallerRateLimitExceeded"}'
)
TIMED_OUT = Answer(
    status_code=200,
    headers={"X-Amz-Function-Error": "Unhandled"},
    payload=b'{"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out"}',
)
STATUSES: list[tuple[Step, int, str | None]] = [
    (THROTTLED, 503, "7"),
    (Answer(status_code=409, payload=b'{"__type": "SnapStartNotReadyException"}'), 503, "1"),
    (Answer(status_code=500, payload=b"{}"), 502, None),
    (Answer(status_code=403, payload=b"{}"), 502, None),
    (Reset(), 502, None),
    (TIMED_OUT, 502, None),
]


async def test_a_failure_that_is_not_the_clients_fault_has_its_status(
    app: Any, local: LocalLambda
) -> None:
    for step, status, retry_after in STATUSES:
        fault = local.fault(step)
        answer = await post(app)
        fault.remove()
        assert (answer.status_code, answer.headers.get("Retry-After")) == (status, retry_after), (
            step
        )


async def test_a_deadline_is_a_gateway_timeout(app: Any, local: LocalLambda) -> None:
    async def slow(event: Any, _: Any) -> None:
        await anyio.sleep(30)

    local.function("slow", slow, timeout=60)
    async with asyncinvoke.Invoker(endpoint_url=local.url) as invoker:
        app.state.resize = invoker.function(
            "slow", encode=lambda photo: photo.model_dump_json().encode(), timeout=0.2
        )
        assert (await post(app)).status_code == 504


async def test_the_page_shows_the_service_as_it_is(anyio_backend: str) -> None:
    page = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    assert f"```python\n{(FOLDER / 'app.py').read_text('utf-8')}```" in page


async def test_the_pictures_are_drawn_offline(tmp_path: Path, anyio_backend: str) -> None:
    done = await anyio.run_process(
        [
            sys.executable,
            "-W",
            "error",
            FOLDER / "pictures.py",
            "--folder",
            tmp_path,
            "--seconds",
            "0.4",
        ],
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    for name in ("trace.png", "dashboard.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
