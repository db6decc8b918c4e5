"""How a bulk run shares out its input: lines by the batch, and a part of them for each machine."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from asyncinvoke import Batch, InvalidRequestError, Shard

if TYPE_CHECKING:
    from asyncinvoke.inputs import Item

F = TypeVar("F", bound=Callable[..., Any])

SHAPES = ("list", "items", "sqs", "stepfunctions")
"""The shapes that a command line can name."""


def sharing_options(command: F) -> F:
    """Add the options `batch`, `shape` and `shard` to a command."""
    options = (
        click.option(
            "--batch",
            type=click.IntRange(min=1),
            metavar="N",
            help="Send N lines in one invocation. Each line still gets its own outcome; "
            "--concurrency counts batches.",
        ),
        click.option(
            "--shape",
            type=click.Choice(SHAPES),
            help="The form of a batch, and of the function's answer to it. [default: list]",
        ),
        click.option(
            "--shard",
            callback=_shard,
            metavar="K/N",
            help="Work only on part K of N, from 1/N to N/N, such as one part on each machine.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _shard(_ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else str(Shard.parse(value))
    except InvalidRequestError as error:
        raise click.BadParameter(str(error), param=param) from None


def check_sharing(*, batch: int | None, shape: str | None) -> None:
    """Check that a shape has something to shape.

    Raises:
        click.UsageError: It has not.
    """
    if batch is None and shape is not None:
        raise click.UsageError("--shape says how a --batch looks: say how many lines, too")


def batch_of(items: int | None, shape: str | None) -> Batch | None:
    """Return the batch that the options ask for."""
    if items is None:
        return None
    return Batch(items, shape=shape or "list")  # type: ignore[arg-type]  # one of `SHAPES`


def shard_of(text: str | None) -> Shard | None:
    """Return the shard that the options ask for."""
    return None if text is None else Shard.parse(text)


def is_of(shard: Shard, item: "Item") -> bool:
    """Return whether an item is one of a shard; one that cannot be named goes by its position."""
    try:
        key = item.key
    except ValueError:
        key = None
    return shard.has(item.position, key)
