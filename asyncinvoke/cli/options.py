"""The options that `invoke` and `map` share, and the invoker built from them."""

import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.values import Duration

if TYPE_CHECKING:
    from asyncinvoke import Invoker

F = TypeVar("F", bound=Callable[..., Any])

_PROFILE_VARIABLES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
_KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


_QUIET = 5.0
"""Seconds until a message says what the command is waiting for."""


class SharedOptions(TypedDict):
    """What `shared_options` passes to a command."""

    qualifier: str | None
    tenant_id: str | None
    client_context: str | None
    timeout: float | None
    idempotent: bool
    region: str | None
    profile: str | None
    endpoint_url: str | None


def shared_options(command: F) -> F:
    """Add the options of `SharedOptions` to a command."""
    options = (
        click.option(
            "-q", "--qualifier", metavar="VERSION|ALIAS", help="Version or alias to invoke."
        ),
        click.option(
            "--tenant-id", metavar="ID", help="Tenant, for functions with tenant isolation."
        ),
        click.option(
            "--client-context",
            metavar="JSON|file://PATH",
            help="Object passed to the function in its context; also accepted in base64.",
        ),
        click.option(
            "-t",
            "--timeout",
            type=Duration(),
            metavar="TIME",
            help="Total time limit of an invocation, including waits and retries: 30, 500ms, 5m, 1h.  "
            "[default: no limit]",
        ),
        click.option(
            "--idempotent",
            is_flag=True,
            help="Declare the function safe to run twice: also retry calls that may have run.",
        ),
        click.option("-r", "--region", metavar="REGION", help="The AWS region."),
        click.option("-p", "--profile", metavar="NAME", help="The profile in AWS's config files."),
        click.option(
            "-u",
            "--endpoint-url",
            metavar="URL",
            help="Use another endpoint, such as asyncinvoke local.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def use_profile(profile: str | None) -> None:
    """Give an explicit profile precedence over keys in the environment, as the AWS CLI does."""
    if profile is not None:
        os.environ.update(dict.fromkeys(_PROFILE_VARIABLES, profile))
        for name in _KEY_VARIABLES:
            os.environ.pop(name, None)


@contextlib.asynccontextmanager
async def opened_invoker(shared: SharedOptions, **settings: Any) -> AsyncIterator["Invoker"]:
    """Open an invoker for the duration of the block; `settings` are passed to `Invoker`.

    Raises:
        CommandError: The AWS configuration names a file that cannot be read.
    """
    from asyncinvoke import Invoker
    from asyncinvoke.cli.running import beside

    use_profile(shared["profile"])
    invoker = Invoker(region_name=shared["region"], endpoint_url=shared["endpoint_url"], **settings)
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with beside(_say_that_it_waits):
                await stack.enter_async_context(invoker)
        except OSError as error:
            where = f" {error.filename}" if isinstance(error.filename, str) else ""
            raise CommandError(
                f"cannot use the AWS configuration: {error.strerror or error}{where}"
            ) from error
        yield invoker


async def _say_that_it_waits() -> None:
    import anyio  # imported late, to keep `--help` fast

    await anyio.sleep(_QUIET)
    click.echo("waiting for AWS credentials (asyncinvoke doctor shows their source)", err=True)


def invoke_options(shared: SharedOptions) -> dict[str, Any]:
    """Return the keyword arguments for `Invoker.invoke` and `Invoker.map`.

    Raises:
        CommandError: The client context is not a JSON object.
    """
    text = shared["client_context"]
    context = None if text is None else _client_context(text)
    return {
        "qualifier": shared["qualifier"],
        "tenant_id": shared["tenant_id"],
        "client_context": context,
        "timeout": shared["timeout"],
        "idempotent": shared["idempotent"],
    }


def _client_context(text: str) -> dict[str, Any]:
    """Parse it as JSON, from a file, or from base64 as in the AWS CLI."""
    if text.startswith(("file://", "fileb://")):
        path = Path(text.partition("://")[2])
        try:
            path = path.expanduser()
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise CommandError(f"cannot read --client-context {path}: {reason}") from None
        except (RuntimeError, ValueError) as error:  # ~nobody, or an invalid file name
            raise CommandError(f"cannot read --client-context {path}: {error}") from None
    for spelled in (text, _from_base64(text)):
        try:
            context = json.loads(spelled)
        except (ValueError, RecursionError):
            continue
        if isinstance(context, dict):
            return context
    raise CommandError("--client-context must be a JSON object: literal, in a file:// or in base64")


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
