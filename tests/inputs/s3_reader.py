"""Reads inputs from S3 in a separate process, on both loops, and prints the results as JSON.

s3fs keeps its connections until its process ends, which would affect other tests.
"""

import json
import sys
from typing import Any

import anyio
import fsspec
from anyio import to_thread

from asyncinvoke import AsyncInvokeError, InvalidRequestError
from asyncinvoke._outputs import files
from asyncinvoke._outputs.files import OutputError
from asyncinvoke.inputs import read


async def read_all(sources: dict[str, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, arguments in sources.items():
        rows: list[Any] = []
        found[name] = {"total": None, "rows": rows}
        try:
            source = read(**arguments)
            await source.begin()
            found[name]["total"] = source.total
            async for item in source:
                try:
                    rows.append(json.loads(item.payload))
                except InvalidRequestError as error:
                    rows.append(str(error))
        except AsyncInvokeError as error:
            found[name]["error"] = f"{type(error).__name__}: {error}"
    return found


async def read_what_changes(target: str) -> list[str]:
    """Read an object that is replaced after its first item, and one that is removed."""
    system, long = fsspec.filesystem("s3"), b'{"n": 1}\n' * 1_200_000
    message = []
    for change in (lambda: system.pipe_file(target, long + b"2"), lambda: system.rm_file(target)):
        await to_thread.run_sync(system.pipe_file, target, long)
        try:
            async for item in read(target):
                if item.position == 0:
                    await to_thread.run_sync(change)
        except AsyncInvokeError as error:
            message.append(str(error))
    return message


async def write_and_read(target: str) -> list[Any]:
    """Write one object, abort another one, and read the results."""
    with files.written(target, {}, "gz") as file:
        file.write(b'{"n": 1}\n')
    in_parts = {"default_block_size": 5_242_880}
    for size in (100, 6_000_000):  # the second one as a multipart upload, with one part uploaded
        try:
            with files.written(f"{target}.broken", in_parts, None) as file:
                file.write(b"x" * size)
                raise KeyError
        except KeyError:
            pass
    found: list[Any] = [json.loads(item.payload) async for item in read(target)]
    try:
        await read(f"{target}.broken").begin()
    except AsyncInvokeError as error:
        found.append(str(error))
    try:
        with files.written("s3://none/x", {}, None) as file:
            file.write(b"x")
    except OutputError as error:
        found.append(str(error))
    found.append(fsspec.filesystem("s3").list_multipart_uploads("data"))
    return found


if __name__ == "__main__":
    sources = json.load(sys.stdin)
    on_asyncio = anyio.run(read_all, sources)
    on_asyncio["written"] = anyio.run(write_and_read, "s3://data/out.jsonl.gz")
    on_asyncio["meanwhile"] = anyio.run(read_what_changes, "s3://data/long.jsonl")
    print(json.dumps({"asyncio": on_asyncio, "trio": anyio.run(read_all, sources, backend="trio")}))
