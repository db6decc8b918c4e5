"""How `map` shares out its input: lines by the batch."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from asyncinvoke import Batch

F = TypeVar("F", bound=Callable[..., Any])

SHAPES = ("list", "items", "sqs", "stepfunctions")
"""The shapes that a command line can name."""


def sharing_options(command: F) -> F:
    """Add the options `batch` and `shape` to a command."""
    options = (
        click.option(
            "--batch",
            type=click.IntRange(min=1),
            metavar="N",
            help="Send so many lines in one invocation; each still has its outcome, and the "
            "concurrency is that of batches.",
        ),
        click.option(
            "--shape",
            type=click.Choice(SHAPES),
            help="What a batch looks like to the function, and its answer. [default: list]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def batch_of(items: int | None, shape: str | None) -> Batch | None:
    """Return the batch that the options ask for.

    Raises:
        click.UsageError: There is a shape, and nothing to shape.
    """
    if items is None:
        if shape is not None:
            raise click.UsageError("--shape says how a --batch looks: say how many lines, too")
        return None
    return Batch(items, shape=shape or "list")  # type: ignore[arg-type]  # one of `SHAPES`
