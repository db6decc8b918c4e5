"""File systems that fail while a file is read give one error, which quotes no secrets."""

import errno
import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import EndpointConnectionError
from fsspec.implementations.http import HTTPStreamFile

from asyncinvoke import ConfigurationError
from asyncinvoke._inputs.files import why_of
from asyncinvoke.inputs import InputError, read

pytestmark = pytest.mark.anyio

SECRET = "https://host/in?sig=hunter2"


class PayloadError(Exception):
    """An error as HTTP libraries define it, unknown to pyarrow."""


ERRORS: dict[str, tuple[Callable[[], Exception], str]] = {
    "system": (lambda: OSError(5, "Input/output error", SECRET), "Input/output error"),
    "gone": (lambda: FileNotFoundError(SECRET), "No such file or directory"),
    "denied": (lambda: PermissionError(SECRET), "Permission denied"),
    "value": (lambda: ValueError(SECRET), "ValueError"),
    "unreachable": (
        lambda: EndpointConnectionError(endpoint_url=SECRET),
        "its endpoint cannot be reached",
    ),
    "own": (lambda: PayloadError(SECRET), "PayloadError"),
    "ranges": (
        lambda: ValueError("The HTTP server doesn't appear to support range requests."),
        "its server does not support range requests",
    ),
    "seeking": (lambda: of_seeking(), "its server does not support range requests"),
}


def of_seeking() -> Exception:
    """Return the error of fsspec for a server without ranges and without a content length."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # whatever it says
        HTTPStreamFile.seek(MagicMock(), 3)
    return raised.value


class FailingFile(io.BytesIO):
    """A file that fails after a number of reads, and when it is closed."""

    def __init__(self, data: bytes, error: Exception, reads: int) -> None:
        super().__init__(data)
        self._error = error
        self._reads = reads

    def read(self, size: int | None = -1) -> bytes:
        if not self._reads:
            raise self._error
        self._reads -= 1
        return super().read(size)

    def close(self) -> None:
        if not self.closed:
            super().close()
            raise self._error


def parquet() -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": list(range(100_000))}), buffer, row_group_size=20_000)
    data: bytes = buffer.getvalue().to_pybytes()
    return data


LINES = b'{"n": 1}\n' * 200_000
DATA = {"jsonl": LINES, "gz": gzip.compress(LINES, 1), "parquet": parquet(), "json": b"{}"}
ROWS = {"jsonl": 200_000, "jsonl.gz": 200_000, "parquet": 100_000}


class FailingFileSystem(fsspec.AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system of `failing://ERROR/READS/in.SUFFIX`."""

    protocol = "failing"

    def _open(self, path: str, *_: object, **__: object) -> FailingFile:
        error, reads, name = path.split("/")
        return FailingFile(DATA[name.rpartition(".")[2]], ERRORS[error][0](), int(reads))


fsspec.register_implementation("failing", FailingFileSystem, clobber=True)


@pytest.mark.parametrize(
    ("reads", "suffix"), [*((n, "parquet") for n in range(4)), (0, "jsonl"), (1, "jsonl")]
)
@pytest.mark.parametrize("name", ERRORS)
async def test_whatever_a_file_raises_is_one_error_that_quotes_nothing(
    name: str, reads: int, suffix: str
) -> None:
    url = f"failing://{name}/{reads}/in.{suffix}"
    with pytest.raises(InputError) as raised:
        async for _ in read(url):
            pass
    assert str(raised.value) == f"cannot read {url}: {ERRORS[name][1]}"
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "jsonl.gz"])
@pytest.mark.parametrize("name", ["system", "own"])
async def test_an_input_that_was_read_does_not_fail_because_it_cannot_be_closed(
    name: str, suffix: str
) -> None:
    rows = [row async for row in read(f"failing://{name}/99/in.{suffix}")]
    assert len(rows) == ROWS[suffix]


async def test_a_local_input_that_was_read_does_not_fail_because_it_cannot_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"{}\n")
    close = os.close

    def failing(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    rows = aiter(read(path))
    await anext(rows)
    with monkeypatch.context() as patched:
        patched.setattr("asyncinvoke._inputs.files.os.close", failing)
        assert [row async for row in rows] == []


async def test_a_manifest_that_fails_while_it_is_read_is_one_error() -> None:
    with pytest.raises(InputError, match=r"^cannot read failing://own/0/in.json: PayloadError$"):
        await read("failing://own/0/in.json", format="inventory").begin()


async def test_a_file_system_that_cannot_be_made_is_one_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def make(*_: object, **__: object) -> None:
        raise PayloadError(SECRET)

    monkeypatch.setattr(fsspec.core, "url_to_fs", make)
    with pytest.raises(InputError, match=r"^cannot read failing://own/0/in.jsonl: PayloadError$"):
        await read("failing://own/0/in.jsonl").begin()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://bucket/in.csv", r"^s3:// needs s3fs, .* pip install 'asyncinvoke\[s3\]'"),
        ("own://host/in.csv", "^own:// needs a library that is not installed: No module"),
    ],
)
async def test_a_library_that_fsspec_does_not_find_is_named(
    url: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(protocol: str) -> None:
        raise ImportError(f"No module for {protocol}")

    monkeypatch.setattr(fsspec.core, "get_filesystem_class", find)
    with pytest.raises(ConfigurationError, match=says):
        await read(url).begin()


class ResponseError(Exception):
    """An error like aiohttp's, with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(SECRET)
        self.status = status


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        (None, "No such file or directory"),
        (ResponseError(404), "No such file or directory"),
        (ResponseError(403), "the server answers with status 403"),
        (ResponseError(500), "the server answers with status 500"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (FileNotFoundError(SECRET), "No such file or directory"),
        (KeyError(SECRET), "No such file or directory"),
    ],
)
def test_not_found_is_reported_only_for_missing_files(cause: Any, says: str) -> None:
    error = FileNotFoundError(SECRET)
    error.__cause__ = cause
    assert why_of(error) == says
