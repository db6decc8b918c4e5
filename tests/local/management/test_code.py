"""Packages are unpacked without blocking others, with links, and never outside their folder."""

import base64
import errno
import io
import json
import shutil
import stat
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from anyio import to_thread

from asyncinvoke.local import LocalLambda
from asyncinvoke.local.management import code
from tests.doubles.handlers import echo

pytestmark = pytest.mark.anyio

CREATE = "/2015-03-31/functions"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def package(files: dict[str, str], links: dict[str, str] | None = None) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, target)
    return held.getvalue()


def creation(name: str, content: bytes, **others: Any) -> bytes:
    return json.dumps(
        {
            "FunctionName": name,
            "Runtime": "python3.13",
            "Role": "arn:aws:iam::123456789012:role/any",
            "Handler": "app.f",
            "Code": {"ZipFile": base64.b64encode(content).decode()},
            **others,
        }
    ).encode()


@pytest.fixture
def unpacking(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Slow down unpacking; return events for its start and for its continuation."""
    has_begun, may_go_on = threading.Event(), threading.Event()
    extract = code._extract

    def slow(content: bytes, directory: Path) -> str:
        has_begun.set()
        assert may_go_on.wait(60)
        return extract(content, directory)

    monkeypatch.setattr(code, "_extract", slow)
    return has_begun, may_go_on


async def test_functions_run_while_a_package_is_unpacked(
    local: LocalLambda,
    request_to: Any,
    invoke: Any,
    unpacking: tuple[threading.Event, threading.Event],
) -> None:
    has_begun, may_go_on = unpacking
    local.function("echo", echo)
    replies = []

    async def create() -> None:
        body = creation("new", package({"app.py": "def f(e, c): pass"}))
        replies.append(await request_to(local.url, CREATE, body))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        await to_thread.run_sync(has_begun.wait, 60)
        assert (await invoke("echo", b"1")).json() == 1
        # No other request deletes what is being unpacked, or takes its name unnoticed.
        again = await request_to(local.url, f"{CREATE}/echo", method="DELETE")
        assert again.status == 204
        may_go_on.set()
    assert replies[0].status == 201
    assert (await request_to(local.url, f"{CREATE}/new", method="GET")).status == 200


async def test_a_layer_that_is_deleted_while_a_package_is_unpacked_is_refused(
    local: LocalLambda, request_to: Any, unpacking: tuple[threading.Event, threading.Event]
) -> None:
    has_begun, may_go_on = unpacking
    content = {"ZipFile": base64.b64encode(package({"python/m.py": ""})).decode()}
    layers = "/2018-10-31/layers/lib/versions"
    may_go_on.set()
    layer = (await request_to(local.url, layers, json.dumps({"Content": content}))).json()
    has_begun.clear()
    may_go_on.clear()
    replies = []

    async def create() -> None:
        body = creation("new", package({"app.py": ""}), Layers=[layer["LayerVersionArn"]])
        replies.append(await request_to(local.url, CREATE, body))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        await to_thread.run_sync(has_begun.wait, 60)
        assert (await request_to(local.url, f"{layers}/1", method="DELETE")).status == 204
        may_go_on.set()
    assert replies[0].status == 400
    assert "layer:lib:1 does not exist" in replies[0].json()["message"]


async def test_of_two_that_create_one_function_at_once_one_is_refused(
    local: LocalLambda, request_to: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=60)
    extract = code._extract

    def together(content: bytes, directory: Path) -> str:
        both.wait()
        return extract(content, directory)

    monkeypatch.setattr(code, "_extract", together)
    statuses = []

    async def create() -> None:
        body = creation("new", package({"app.py": "def f(e, c): pass"}))
        statuses.append((await request_to(local.url, CREATE, body)).status)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        tasks.start_soon(create)
    assert sorted(statuses) == [201, 409]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.ENOMEM])
async def test_what_the_machine_lacks_is_the_endpoints_fault_and_a_name_too_long_the_packages(
    local: LocalLambda, request_to: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    body = creation("new", package({f"{'x' * 300}.py": ""}))
    refused = await request_to(local.url, CREATE, body)
    assert refused.error[:2] == (400, "InvalidParameterValueException")

    def fail(*_: object) -> None:
        raise OSError(number, "it failed")

    monkeypatch.setattr(shutil, "copyfileobj", fail)
    failed = await request_to(local.url, CREATE, creation("new", package({"app.py": ""})))
    assert failed.error[:2] == (500, "ServiceException")


async def test_packages_are_only_unpacked_where_they_are_deleted_if_the_endpoint_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    guarded: list[Path] = []

    @contextmanager
    def directory(path: Path) -> Iterator[None]:
        guarded.append(path)
        if len(guarded) == 1:  # the guardian cannot be started at first
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        yield

    guardian: Any = SimpleNamespace(directory=directory)
    store = code.CodeStore(guardian)
    content = package({"app.py": ""})
    with pytest.raises(BlockingIOError):
        async with store.unpacked(content):
            pass
    assert not list(tmp_path.iterdir())
    async with store.unpacked(content) as unpacked:
        assert unpacked.directory.parent == guarded[1]
    await store.close()
    assert not list(tmp_path.iterdir())


def test_a_link_that_stays_inside_is_one_and_others_are_dropped(tmp_path: Path) -> None:
    directory = tmp_path.resolve() / "code"
    directory.mkdir()
    (tmp_path / "secret").write_text("secret")
    links = {
        "lib.py": "real.py",
        "sub/up.py": "../real.py",
        "outside": "../secret",
        "absolute": "/etc/passwd",
        "itself": "itself",
        "inward": ".",
        "sub/out": "inward/../../..",
        "sub/inward": "..",
    }
    code._extract(package({"real.py": "x = 1"}, links), directory)
    assert (directory / "lib.py").is_symlink()
    assert (directory / "lib.py").read_text("utf-8") == "x = 1"
    assert (directory / "sub/up.py").read_text("utf-8") == "x = 1"
    for path in directory.rglob("*"):
        assert path.resolve().is_relative_to(directory), path
    assert not (directory / "outside").exists()
    assert not (directory / "itself").is_symlink()
