"""The input of `map`: opened, looked at before anything is sent, and then read as it is needed."""

import contextlib
import errno
import os
import stat
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from anyio import to_thread

from asyncinvoke.cli import formats, streams
from asyncinvoke.cli.errors import FAILED, CommandError
from asyncinvoke.cli.lines import Line, LineCounter, Splitter

_COUNTED_AT_ONCE = 1_048_576


class Source:
    """An input of lines.

    Args:
        descriptor: Where it is read from.
        name: What it is called.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self.descriptor = descriptor
        self.name = name
        self._begun: list[Line] = []
        self._lines = self._read()

    async def begin(self) -> None:
        """Read as far as it takes to see whether these are lines of JSON.

        No line is kept back that could be sent: a second one is waited for only where the first is
        not JSON by itself, or where the input is a file, and all of it is there.

        Raises:
            CommandError: The input is something else as a whole, or cannot be read.
        """
        first = await anext(self._lines, None)
        if first is None:
            return
        self._begun.append(first)
        if first.data.startswith(b"[") and (first.is_too_long or formats.is_json(first.data)):
            if first.is_ended and self._is_json_file:
                await self._begin_another()
            is_all = len(self._begun) == 1 and (not first.is_ended or self._is_json_file)
            said = formats.as_array(self.name) if is_all else None
        elif first.is_ended and formats.is_cut(first.data):
            second = await self._begin_another()
            said = formats.as_document(
                first.data, None if second is None else second.data, self.name
            )
        else:
            said = None
        if said is not None:
            raise CommandError(said)

    async def read(self) -> AsyncGenerator[Line, None]:
        """Read lines as they are asked for.

        Raises:
            CommandError: The input cannot be read any further.
        """
        async with contextlib.aclosing(self._lines) as lines:
            for line in self._begun:
                yield line
            async for line in lines:
                yield line

    async def count(self) -> int | None:
        """Count the lines that `read` gives; `None` if that takes reading them."""
        if self.descriptor == streams.STDIN or not self._is_file:
            return None
        counter = LineCounter()
        with Path(self.name).open("rb") as file:  # noqa: ASYNC230  # it is open already, as ours
            # Block by block, or a run that ends early would wait for the count.
            while block := await to_thread.run_sync(file.read, _COUNTED_AT_ONCE):
                counter.feed(block)
        return counter.total

    @property
    def _is_file(self) -> bool:
        return stat.S_ISREG(os.fstat(self.descriptor).st_mode)

    @property
    def _is_json_file(self) -> bool:
        return self._is_file and self.name.lower().endswith(".json")

    async def _begin_another(self) -> Line | None:
        line = await anext(self._lines, None)
        if line is not None:
            self._begun.append(line)
        return line

    async def _read(self) -> AsyncGenerator[Line, None]:
        splitter = Splitter()
        chunk = await self._read_head()
        said = formats.other_kind(chunk, self.name)
        if said is not None:
            raise CommandError(said)
        while chunk:
            for line in splitter.feed(chunk):
                yield line
            try:
                chunk = await streams.read(self.descriptor)
            except OSError as error:
                raise CommandError(
                    f"cannot read {self.name}: {_reason(error)}", status=FAILED
                ) from error
        for line in splitter.finish():
            yield line

    async def _read_head(self) -> bytes:
        head = b""
        try:
            while len(head) < formats.HEAD and b"\n" not in head:
                chunk = await streams.read(self.descriptor)
                if not chunk:
                    break
                head += chunk
        except OSError as error:
            raise CommandError(f"cannot read {self.name}: {_reason(error)}") from error
        return head


def _reason(error: OSError) -> str:
    return "it is closed" if error.errno == errno.EBADF else str(error.strerror)


@contextlib.contextmanager
def opened_source(source: str) -> Iterator[Source]:
    """Open a file, or with `-` take standard input, for as long as the block lasts.

    Raises:
        CommandError: It cannot be opened.
    """
    if source == "-":
        yield Source(streams.STDIN, "standard input")
        return
    try:
        file = Path(source).open("rb", buffering=0)  # noqa: SIM115  # closed below
    except OSError as error:
        raise CommandError(f"cannot read {source}: {error.strerror}") from error
    with file:
        yield Source(file.fileno(), source)
