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
    """The options common to all kinds of invocation."""

    client_context: Mapping[str, object] | None
    """The value of `context.client_context` in the function; at most 3,583 bytes when encoded."""

    qualifier: str | None
    """A version, an alias or `$LATEST`; by default the one in the function name, or `$LATEST`."""

    tenant_id: str | None
    """The tenant, for a function with tenant isolation."""

    timeout: float | None
    """The total timeout in seconds, including waits and retries; by default the invoker's.
    `math.inf` disables it."""

    idempotent: bool | None
    """Whether running the function twice is harmless. Only then is an attempt retried after which
    the function may have run. By default the invoker's setting."""

    retry: RetryPolicy | None
    """The retry policy; by default the invoker's (for `map`: `RetryPolicy.batch()`)."""


class EventOptions(CommonOptions, total=False):
    """The options of `Invoker.send_event` and `Invoker.dry_run`."""

    durable_execution_name: str | None
    """The name of a durable execution, which makes retries safe."""


class StreamOptions(CommonOptions, total=False):
    """The options of `Invoker.stream`."""

    log_type: LogTypeName
    """`Tail` to get the last 4,096 bytes of the log in `Response.log_result`; by default `None`."""

    raise_on_function_error: bool
    """Whether a function error is raised as `FunctionError` (the default) or returned as a response
    with `function_error` set."""


class InvokeOptions(StreamOptions, EventOptions, total=False):
    """The options of `Invoker.invoke`."""

    invocation_type: InvocationTypeName
    """`RequestResponse` (the default), `Event` or `DryRun`."""


class MapOptions(InvokeOptions, total=False):
    """The options of `Invoker.map`; those of `Invoker.invoke` apply to each item."""

    concurrency: int | None
    """The maximum number of items processed concurrently, including those in backoff; by default
    the invoker's limit."""

    ordered: bool
    """Whether outcomes are yielded in input order, or as they complete (the default)."""

    key: Callable[[Any], str] | None
    """Returns the key of an item, given its payload; the key is available as `Outcome.key`."""

    batch: int | Batch | None
    """How many items to send in one invocation, as a list; or a `Batch` for more control. The
    concurrency then counts batches; each item still has its own outcome."""

    shard: Shard | None
    """The part of the input to process, when several machines or processes share it:
    `Shard(3, of=10)` is the third of ten. By default the entire input."""

    journal: JournalOrPath | None
    """The file to record the map in, or a `Journal` for more control. Repeating the call continues
    the run: completed items are not sent again. By default nothing is recorded."""

    tolerate: int | Tolerance | None
    """How many items may fail before the map stops with `ToleranceExceededError`: a number, or
    `Tolerance(share=0.02)`; by default unlimited."""


F = TypeVar("F", bound=Callable[..., Any])


def documented(options: Any) -> Callable[[F], F]:
    """Append the options to a method's docstring, as its keyword arguments.

    Args:
        options: The TypedDict whose keys the method accepts.
    """

    def add(method: F) -> F:
        if method.__doc__ is not None:
            lines = [_entry(name, text) for name, text in docstrings(options).items()]
            shown = "\n".join(["Keyword Args:", *lines])
            # From Python 3.13 on it has no indentation of its own.
            method.__doc__ = f"{inspect.cleandoc(method.__doc__)}\n\n{shown}\n"
        return method

    return add


def docstrings(options: Any) -> dict[str, str]:
    """Return the docstring of each key of a TypedDict, including inherited keys."""
    # At run time a TypedDict knows all its keys, but not its base classes.
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
    except OSError:  # only bytecode is installed
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
    return f"    {name}: " + " ".join(text.split())
