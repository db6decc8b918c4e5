"""The options of an invocation: listed once, each with the docstring that `help` shows.

An option's docstring is written once, under its key. Python drops it there, so it is read from the
source: `help(Invoker.invoke)` shows every option, though its signature says `**options`.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any, TypedDict, TypeVar

from asyncinvoke._batches.batch import Batch
from asyncinvoke._engine.journal import JournalOrPath
from asyncinvoke._engine.shard import Shard
from asyncinvoke._engine.tolerance import Tolerance
from asyncinvoke._request.request import InvocationTypeName, LogTypeName
from asyncinvoke._retries.policy import RetryPolicy


class CommonOptions(TypedDict, total=False):
    """The options that every kind of invocation has."""

    client_context: Mapping[str, object] | None
    """What the function sees as `context.client_context`; at most 3,583 bytes once encoded."""

    qualifier: str | None
    """A version, an alias or `$LATEST`; by default the one in the function's name, or `$LATEST`."""

    tenant_id: str | None
    """The tenant, for a function with tenant isolation."""

    timeout: float | None
    """Total time in seconds, waits and retries included; by default the invoker's; `math.inf` for
    no end."""

    idempotent: bool | None
    """Whether running it twice does no harm: only then is an attempt repeated after which the
    function may have run. By default the invoker's."""

    retry: RetryPolicy | None
    """What is repeated, and how; by default the invoker's (for `map`: `RetryPolicy.batch()`)."""


class EventOptions(CommonOptions, total=False):
    """The options of `Invoker.send_event` and `Invoker.dry_run`."""

    durable_execution_name: str | None
    """Names a durable execution, which makes repeating it safe."""


class StreamOptions(CommonOptions, total=False):
    """The options of `Invoker.stream`."""

    log_type: LogTypeName
    """`Tail` for the last 4,096 bytes of the log as `Response.log_result`; by default `None`."""

    raise_on_function_error: bool
    """Whether a function that failed is raised as `FunctionError` (the default), or is a response
    with its `function_error` set."""


class InvokeOptions(StreamOptions, EventOptions, total=False):
    """The options of `Invoker.invoke`."""

    invocation_type: InvocationTypeName
    """`RequestResponse` (the default), `Event` or `DryRun`."""


class MapOptions(InvokeOptions, total=False):
    """The options of `Invoker.map`: those of `Invoker.invoke` apply to each item."""

    concurrency: int | None
    """How many items are worked on at once, those in backoff included; by default the invoker's
    limit."""

    ordered: bool
    """Whether outcomes come in the order of the input, or as they end (the default)."""

    key: Callable[[Any], str] | None
    """Names an item: `Outcome.key` is what it returns for the payload."""

    batch: int | Batch | None
    """How many items travel in one invocation, as a list, or a `Batch`, which says more. The
    concurrency is then that of batches; each item still has its outcome."""

    shard: Shard | None
    """The part of the input that is worked on here, where several machines or processes share it:
    `Shard(3, of=10)` is the third of ten. By default all of it."""

    journal: JournalOrPath | None
    """The file that the map is recorded in, or a `Journal`, which says more. The same call again
    continues the run: what has ended is not sent again. By default nothing is recorded."""

    tolerate: int | Tolerance | None
    """How many items may fail before the map stops with `ToleranceExceededError`: a number, or
    `Tolerance(share=0.02)`; by default any number."""


F = TypeVar("F", bound=Callable[..., Any])


def documented(options: Any) -> Callable[[F], F]:
    """Add the options to the end of a method's docstring, as its keyword arguments.

    Args:
        options: The TypedDict whose keys the method takes.
    """

    def add(method: F) -> F:
        if method.__doc__ is not None:
            lines = [_entry(name, text) for name, text in docstrings(options).items()]
            shown = "\n".join(["        Keyword Args:", *lines])
            method.__doc__ = f"{method.__doc__.rstrip()}\n\n{shown}\n        "
        return method

    return add


def docstrings(options: Any) -> dict[str, str]:
    """Return the docstring of each key of a TypedDict, those that it inherits included."""
    # What a TypedDict was made from is not known at run time, only all its keys.
    module = import_module(options.__module__)
    described = {
        key: text
        for name, keys in _of_module(options.__module__).items()
        if hasattr(getattr(module, name, None), "__optional_keys__")
        for key, text in keys.items()
    }
    return {key: text for key, text in described.items() if key in options.__optional_keys__}


@cache
def _of_module(name: str) -> dict[str, dict[str, str]]:
    try:
        tree = ast.parse(inspect.getsource(import_module(name)))
    except OSError:  # run from bytecode alone
        return {}
    return {
        node.name: {
            key.target.id: inspect.cleandoc(text.value.value)
            for key, text in zip(node.body, node.body[1:], strict=False)
            if isinstance(key, ast.AnnAssign)
            and isinstance(key.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        }
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def _entry(name: str, text: str) -> str:
    return f"            {name}: " + " ".join(text.split())
