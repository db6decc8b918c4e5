"""The options that `invoke` and `map` share, and the invoker that they ask for."""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from asyncinvoke.cli.errors import CommandError

if TYPE_CHECKING:
    from asyncinvoke import Invoker

F = TypeVar("F", bound=Callable[..., Any])

_PROFILE_VARIABLES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
_KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


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
        click.option("--qualifier", metavar="VERSION|ALIAS", help="The version or alias."),
        click.option(
            "--tenant-id", metavar="ID", help="The tenant, for functions with tenant isolation."
        ),
        click.option(
            "--client-context", metavar="JSON", help="An object that the function sees in context."
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            help="Total time of an invocation, waits and retries included. [default: no end]",
        ),
        click.option(
            "--idempotent",
            is_flag=True,
            help="Running it twice does no harm: repeat also what may have run.",
        ),
        click.option("--region", metavar="REGION", help="The AWS region."),
        click.option("--profile", metavar="NAME", help="The profile in AWS's config files."),
        click.option(
            "--endpoint-url", metavar="URL", help="Another endpoint, such as asyncinvoke local."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def use_profile(profile: str | None) -> None:
    """Let a profile that is asked for beat keys in the environment, as in AWS's command line."""
    if profile is not None:
        os.environ.update(dict.fromkeys(_PROFILE_VARIABLES, profile))
        for name in _KEY_VARIABLES:
            os.environ.pop(name, None)


@contextlib.asynccontextmanager
async def opened_invoker(shared: SharedOptions, **settings: Any) -> AsyncIterator["Invoker"]:
    """Open an invoker for as long as the block lasts; `settings` are passed on to it.

    Raises:
        CommandError: The machine does not have what the AWS configuration names.
    """
    from asyncinvoke import Invoker

    use_profile(shared["profile"])
    invoker = Invoker(region_name=shared["region"], endpoint_url=shared["endpoint_url"], **settings)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(invoker)
        except OSError as error:
            where = f" {error.filename}" if isinstance(error.filename, str) else ""
            raise CommandError(
                f"cannot use the AWS configuration: {error.strerror or error}{where}"
            ) from error
        yield invoker


def invoke_options(shared: SharedOptions) -> dict[str, Any]:
    """Return what is passed on to `Invoker.invoke` and `Invoker.map`.

    Raises:
        CommandError: The client context is not a JSON object.
    """
    text = shared["client_context"]
    try:
        context = None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        context = text
    if not isinstance(context, dict | None):
        raise CommandError("--client-context must be a JSON object")
    return {
        "qualifier": shared["qualifier"],
        "tenant_id": shared["tenant_id"],
        "client_context": context,
        "timeout": shared["timeout"],
        "idempotent": shared["idempotent"],
    }
