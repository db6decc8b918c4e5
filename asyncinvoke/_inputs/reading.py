"""Reading an input: opened, checked before its first item, and read on demand."""

import contextlib
import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any, Protocol

import anyio
from anyio import to_thread

from asyncinvoke._inputs import files
from asyncinvoke._inputs.compression import Gzip, Zstd
from asyncinvoke._inputs.formats import FormatName, InputFormat, format_of, is_prefix
from asyncinvoke._inputs.item import Item, ItemSpec
from asyncinvoke._inputs.lines import LineCounter, Row
from asyncinvoke._inputs.seekable import Remote, open_file
from asyncinvoke._inputs.template import PayloadTemplate, Pointer
from asyncinvoke._inputs.text import Text
from asyncinvoke.errors import InvalidRequestError


class Rows(Protocol):
    """An opened input."""

    total: int | None
    """The number of rows, if known."""

    async def rows(self) -> Iterator[Row] | None:
        """Return the next rows, possibly none; `None` at the end."""

    async def close(self) -> None:
        """Close it."""


class Input:
    """An input, as an async iterable of `Item`; returned by `asyncinvoke.inputs.read`.

    Iterating opens it, and closes it at the end. It can be iterated again, unless it is standard
    input or a pipe. An unreadable input or a wrong format raises `InputError`, before the first
    item if possible; an error in a single row is an error of that item.
    """

    def __init__(
        self,
        source: str,
        format_: InputFormat,
        storage_options: Mapping[str, Any],
        *,
        key: Pointer | None,
        template: PayloadTemplate | None,
    ) -> None:
        self._source = source
        self._format = format_
        self._options = storage_options
        self._key = key
        self._template = template
        self._begun: tuple[Rows, Iterator[Row]] | None = None
        self._total: int | None = None
        self._status: os.stat_result | None = None
        self._is_empty = False

    @property
    def name(self) -> str:
        """The name of the input in messages, without secrets."""
        return files.name_of(self._source)

    @property
    def format(self) -> FormatName:
        """The format in which it is read."""
        return self._format.name

    @property
    def has_keys(self) -> bool:
        """Whether its items have keys; a journal then identifies them by key, not by position."""
        return self._key is not None

    @property
    def total(self) -> int | None:
        """The number of items, if it has been opened and its format stores it, as Parquet does."""
        return self._total

    @property
    def status(self) -> os.stat_result | None:
        """The `os.stat_result` of the input, if it has been opened and is a local file."""
        return self._status

    @property
    def is_empty(self) -> bool:
        """Whether it has begun and has no items."""
        return self._is_empty

    async def begin(self) -> None:
        """Open it and check its format. Iterating does this by itself.

        Raises:
            ConfigurationError: A required package is missing; the message has the pip command.
            InputError: It cannot be read, or does not have the expected format.
        """
        if self._begun is not None:
            return
        begun = await self._begin()
        await self.aclose()  # what another task has begun meanwhile
        self._begun = begun

    async def aclose(self) -> None:
        """Close it, if it was opened by `begin` and will not be iterated."""
        begun, self._begun = self._begun, None
        if begun is not None:
            await _close(begun[0])

    async def count(self) -> int | None:
        """Count its items without parsing them; return `None` if that is not possible.

        It is possible once it has been opened, for Parquet, and for JSON lines in an uncompressed
        local file.

        Raises:
            InputError: It cannot be read.
        """
        if self.total is not None:
            return self.total
        is_plain = self.format == "jsonl" and self._format.compression is None
        if not is_plain or self.status is None or self._source == "-":
            return None
        counter = LineCounter()
        file = files.open_descriptor(self._source)
        try:
            # Block by block, so that a run that ends early need not wait for the count.
            while block := await file.read():
                counter.feed(block)
        finally:
            await file.close()
        return counter.total

    def __aiter__(self) -> AsyncIterator[Item]:
        return self.items()

    def __repr__(self) -> str:
        return f"<Input {self.name}: {self.format}>"

    async def items(self) -> AsyncGenerator[Item, None]:
        """Yield the items, as an async generator, which can be closed explicitly."""
        # Each iteration has a file of its own, so that several may run at the same time.
        begun, self._begun = self._begun, None
        opened, ahead = begun or await self._begin()
        spec = ItemSpec(self._key, self._template, is_json=self.format != "jsonl")
        position = 0
        rows: Iterator[Row] | None = ahead
        try:
            while rows is not None:
                for line, data, wrong in rows:
                    yield Item(position, line, data, wrong, spec)
                    position += 1
                rows = await opened.rows()
        finally:
            await _close(opened)

    async def _begin(self) -> tuple[Rows, Iterator[Row]]:
        """Open it and read until its first row; return what was opened, and the rows read so far."""
        opened = await self._open()
        self._total = opened.total
        try:
            while (rows := await opened.rows()) is not None:
                first = next(rows, None)
                if first is not None:
                    rows = itertools.chain([first], rows)
                    break
        except BaseException:
            await _close(opened)
            raise
        self._is_empty = rows is None
        return opened, rows or iter(())

    async def _open(self) -> Rows:
        source, options = self._source, self._options
        match self._format.name:
            case "parquet":
                from asyncinvoke._inputs.parquet import Parquet

                return await to_thread.run_sync(Parquet.open, source, options)
            case "listing":
                from asyncinvoke._inputs.s3 import Listing

                return await to_thread.run_sync(Listing.open, source, options)
            case "inventory":
                from asyncinvoke._inputs.inventory import Inventory

                return await Inventory.open(source, options)
            case _:
                blocks = await self._blocks()
                is_file = "://" in self._source or self._status is not None
                return Text(
                    blocks,
                    self.name,
                    self._format,
                    is_json_file=is_file and self._format.may_be_array,
                    is_packed_file=is_file and self._format.compression is not None,
                )

    async def _blocks(self) -> files.Blocks:
        blocks: files.Blocks
        is_decoded = False
        if "://" in self._source:
            file = await to_thread.run_sync(open_file, self._source, self._options)
            blocks = remote = Remote(file, self.name)
            # Servers send the encoding for a file that is stored compressed, too.
            is_decoded = remote.is_decoded
        else:
            blocks = descriptor = files.open_descriptor(self._source)
            self._status = descriptor.status
        match self._format.compression:
            case "gz":
                return files.Unpacked(blocks, Gzip(self.name, may_be_plain=is_decoded))
            case "zst":
                try:
                    return files.Unpacked(blocks, Zstd(self.name, may_be_plain=is_decoded))
                except BaseException:
                    await blocks.close()
                    raise
            case _:
                return blocks


async def _close(opened: Rows) -> None:
    with anyio.CancelScope(shield=True):
        await opened.close()


def read(
    source: str | os.PathLike[str],
    format: FormatName | str | None = None,  # noqa: A002  # the word for it
    storage_options: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    payload_template: str | None = None,
) -> Input:
    """Read an input whose items can be passed to `Invoker.map` as payloads.

    Args:
        source: A path, `-` for standard input, `s3://bucket/prefix/` for the objects under it, or
            any URL supported by fsspec.
        format: `jsonl`, `json` (one array), `csv` or `tsv`, each optionally followed by `.gz` or
            `.zst`; `parquet`, `listing` or `inventory`. By default it is derived from the suffix of
            the source, and is JSON lines if there is none.
        storage_options: Options for fsspec's file system.
        key: A JSON pointer (RFC 6901) to the key of an item, such as `/id`.
        payload_template: A JSON template for the payload of each item, with placeholders, as in
            `'{"bucket": "photos", "key": "{/key}"}'`; `"{}"` is the whole row.

    Returns:
        An async iterable of `Item`, not opened yet.

    Raises:
        InvalidRequestError: An argument is invalid; the message names it and the rule.
    """
    named: object = None
    with contextlib.suppress(TypeError):
        named = os.fspath(source)
    if not isinstance(named, str) or not named:
        raise InvalidRequestError("source must be a path, a URL, or '-' for standard input")
    if not isinstance(storage_options, Mapping | None):
        raise InvalidRequestError(
            f"storage_options must be a mapping, not {type(storage_options).__name__}"
        )
    format_ = format_of(named, format)
    if is_prefix(named) and format_.name != "listing":
        raise InvalidRequestError(f"{named} is a prefix in S3, which is read as a listing")
    return Input(
        named,
        format_,
        dict(storage_options or {}),
        key=None if key is None else Pointer(key),
        template=None if payload_template is None else PayloadTemplate(payload_template),
    )
