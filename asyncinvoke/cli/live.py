"""Progress on a terminal: one live line, drawn by rich."""

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from asyncinvoke.cli.progress import Counts, Display, TextLines, described


class Screen(Console):
    """A console that leaves it to the command what a broken pipe means."""

    def on_broken_pipe(self) -> None:
        """Raise it; rich would exit the process."""
        raise BrokenPipeError


class Bar:
    """A bar and the counts beside it; gone once it is closed."""

    interval = 0.1

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=None),
            TextColumn("{task.description}", markup=False),
            console=console,
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self._task = self._progress.add_task("", total=None)
        self._progress.start()

    def show(self, counts: Counts) -> None:
        """Draw the line anew."""
        self._progress.update(
            self._task,
            completed=counts.done,
            total=counts.total,
            description=described(counts),
            refresh=True,
        )

    def close(self) -> None:
        """Take the line away."""
        self._progress.stop()


def bar_or_lines(console: Console) -> Display:
    """Return a bar on a terminal, and lines of text elsewhere."""
    return Bar(console) if console.is_interactive else TextLines()
