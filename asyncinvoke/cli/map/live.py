"""Progress on a terminal: a few live lines, drawn by rich; and consoles of known width."""

import re
import sys
from typing import IO, Any, cast

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from asyncinvoke.cli.errors import one_line, printable
from asyncinvoke.cli.map.progress import Counts, Display, TextLines, described, progressed

WIDTH = 80
"""Columns of what does not go to a terminal, and the most of a text on one."""

_LEAST_BAR = 10
_TRAILING = re.compile(r"[ \t]+(?=\n)")


class Screen(Console):
    """A console that leaves broken pipes to the command.

    Output that does not go to a terminal is 80 columns wide, even if another stream is a terminal,
    and has no trailing blanks.

    Args:
        stderr: Whether it writes to standard error; otherwise to standard output.
        is_text: Whether it is for prose, which is at most 80 columns wide on a terminal as well.
    """

    def __init__(self, *, stderr: bool = False, is_text: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False)
        stream = sys.stderr if stderr else sys.stdout
        if stream is None:  # it is closed
            self.width = WIDTH
        elif not stream.isatty():
            self.width = WIDTH
            self.file = cast("IO[str]", _Trimmed(stream))
        elif is_text:
            self.width = min(self.width, WIDTH)

    def on_broken_pipe(self) -> None:
        """Raise an error; rich would exit the process."""
        raise BrokenPipeError


class _Trimmed:
    """A text stream that removes the blanks with which rich pads lines."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return int(self._stream.write(_TRAILING.sub("", text)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Bar:
    """A bar with the counts beside and below it, which disappears when it is closed."""

    interval: float = 0.1

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("dots", style="progress.spinner")
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, counts: Counts) -> None:
        """Redraw the lines."""
        self._live.update(self._drawn(counts), refresh=True)

    def note(self, text: str) -> None:
        """Print a note above the lines, wrapped between words, its indentation kept."""
        text = printable(text)
        words = text.lstrip()
        indented = Padding(Text(words), (0, 0, 0, len(text) - len(words)), expand=False)
        self._console.print(indented)

    def close(self) -> None:
        """Remove the lines."""
        self._live.stop()

    def _drawn(self, counts: Counts) -> Group:
        first, second = (" · ".join(parts(counts)) for parts in (progressed, described))
        room = self._console.width - len(first) - len("⠋ ") - len(" ")
        line = Table.grid(padding=(0, 1, 0, 0))
        cells: list[Any] = [self._spinner]
        if room >= _LEAST_BAR:
            cells.append(
                ProgressBar(
                    total=counts.total,
                    completed=counts.ended,
                    width=room,
                    pulse=counts.total is None,
                )
            )
        cells.append(Text(first, no_wrap=True, overflow="ellipsis"))
        line.add_row(*cells)
        said = [second] if counts.held_back is None else [second, one_line(counts.held_back)]
        below = [Text(f"  {each}", no_wrap=True) for each in said]
        for each in below:
            # Leave room for the terminal's echo of Ctrl-C: a line that wraps would not be removed.
            each.truncate(self._console.width - len("^C") - 1, overflow="ellipsis")
        return Group(line, *below)


def bar_or_lines(console: Console) -> Display:
    """Return a bar on a terminal, and lines of text elsewhere."""
    return Bar(console) if console.is_interactive else TextLines()
