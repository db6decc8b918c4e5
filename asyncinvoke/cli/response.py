"""The output of `asyncinvoke invoke`: if it cannot be written, the response goes to standard output."""

import contextlib
import os
from collections.abc import Callable
from typing import Self

from asyncinvoke._inputs.files import name_of
from asyncinvoke.cli.errors import FAILED, CommandError, complain
from asyncinvoke.cli.map.outputs import opened_output
from asyncinvoke.cli.streams import Output, standard_output


class ResponseOutput:
    """Writes a response, of which this process has the only copy: the function has run.

    A file is opened when there is something to write: what is in it is kept until then.

    Args:
        output: The name of the output; `None` or `-` for standard output.
        at_once: It, if it is open already.
    """

    def __init__(self, output: str | None, at_once: Output | None) -> None:
        self._name = output
        self._at_once = at_once
        self._open: Output | None = None
        self._stack = contextlib.ExitStack()
        self._has_written = False
        self.status: int = 0
        """The exit status: `FAILED` if the output could not be written."""

    def __enter__(self) -> Self:
        """Return itself; the end of the block closes the file."""
        self._stack.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the file, which may fail as `Output` does."""
        self._stack.__exit__(*raised)  # type: ignore[arg-type]  # passed on as they are

    def is_terminal(self) -> bool:
        """Return whether what is written next is seen on a terminal."""
        return os.isatty(self._opened().descriptor)

    async def write(self, data: bytes) -> None:
        """Write a piece of a response.

        Raises:
            CommandError: Standard output cannot be written either.
            BrokenPipeError: The reader of standard output is gone.
        """
        try:
            await self._opened().write(data)
        except (CommandError, BrokenPipeError) as error:
            if not self._has_written:
                self._complain(error, "the response")
            else:
                data = self._opened().unwritten
                self._complain(error, "the rest of the response")
            await self._opened().write(data)
        self._has_written = True

    async def write_whole(self, formatted: Callable[[Output], bytes]) -> None:
        """Write a response and close its file.

        Args:
            formatted: Returns the response as it is written to this output.

        Raises:
            CommandError: Standard output cannot be written either.
            BrokenPipeError: The reader of standard output is gone.
        """
        try:
            await self._opened().write(formatted(self._opened()))
            self._stack.close()
        except (CommandError, BrokenPipeError) as error:
            self._complain(error, "the response")
            await self._opened().write(formatted(self._opened()))

    def _complain(self, error: Exception, which: str) -> None:
        """Go on with standard output; raise the error if that is the output already."""
        if self._name is None or self._name == "-" or self.status:
            raise error
        if isinstance(error, BrokenPipeError):  # of a named pipe
            error = CommandError(f"cannot write {name_of(self._name)}: its reader closed it")
        complain(CommandError(f"{error}: {which} is on standard output", status=FAILED))
        self.status, self._open = FAILED, standard_output()

    def _opened(self) -> Output:
        if self._open is None:
            # A response need not have lines: what of it fits is kept.
            self._open = self._at_once or self._stack.enter_context(
                opened_output(self._name, status=FAILED, has_lines=False)
            )
        return self._open
