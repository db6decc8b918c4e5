"""Finds where a session's credentials come from, when a client is opened; fetches no values."""

import asyncio
import contextlib
import json
import os
import shlex
from types import MethodType
from typing import Any

from aiobotocore.credentials import (
    AioProfileProviderBuilder,
    AnyioProcessProvider,
    AnyioProfileProviderBuilder,
)
from aiobotocore.session import AioSession
from botocore import exceptions as botocore_errors

from asyncinvoke._transport.foreign_errors import BAD_TOKEN, described, shown
from asyncinvoke._transport.set_up import key_log_flaw
from asyncinvoke.errors import ConfigurationError

NO_CREDENTIALS = (
    "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "AWS_PROFILE, or any other source that botocore reads"
)
"""The message where there are none."""

_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105  # a variable's name
_TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105


async def find_credentials(session: AioSession, region_name: str | None = None) -> Any:
    """Return the credentials of a session, without fetching or refreshing their values.

    Args:
        session: The session.
        region_name: The region that the client is given; by default the session's.

    Raises:
        ConfigurationError: There are none, or their source cannot be used.
    """
    try:
        if session._credentials is None:  # noqa: SLF001  # otherwise nothing is looked for
            if region_name is not None:
                # As for any client: a role is assumed in its region, which may be known only here.
                session._last_client_region_used = region_name  # noqa: SLF001
            _kill_when_cancelled(session)
        found = await session.get_credentials()
    except (FileNotFoundError, PermissionError) as error:
        flaw = key_log_flaw(error)
        if flaw is None:
            name = error.filename or _process_of(session)
            is_token = name is not None and name == os.environ.get(_TOKEN_FILE)
            cannot = f"{name!r} cannot be {'read' if is_token else 'run'}"
            flaw = cannot if isinstance(error, PermissionError) else f"there is no {name!r}"
            flaw = f"{_TOKEN_FILE if is_token else 'credential_process'}: {flaw}"
        raise ConfigurationError(flaw) from shown(error)
    except Exception as error:  # noqa: BLE001  # STS, SSO, a file, a process: any error is possible
        # The output of a process may contain keys, and the error may quote it.
        flaw = key_log_flaw(error) or _unreadable(error, session)
        flaw = flaw or f"credentials: {described(error)}"
        raise ConfigurationError(flaw) from shown(error)
    if found is None:
        raise ConfigurationError(NO_CREDENTIALS)
    asked = getattr(found, "get_frozen_credentials", None)
    if getattr(asked, "__module__", None) == "botocore.credentials":  # it would block
        kind = type(found).__name__
        raise ConfigurationError(
            f"credentials: the session has botocore's {kind}, but needs aiobotocore's Aio{kind}"
        )
    return found


def _kill_when_cancelled(session: AioSession) -> None:
    """Have a credential_process killed if waiting for it is cancelled.

    On asyncio, aiobotocore would leave it running: it could outlive this process. What aiobotocore
    uses on trio kills it, and works on asyncio as well.
    """
    resolver: Any = session.get_component("credential_provider")
    for provider in getattr(resolver, "providers", ()):
        if getattr(provider, "_popen", None) is asyncio.create_subprocess_exec:
            provider._popen = AnyioProcessProvider(None, None)._popen  # noqa: SLF001
        builder: Any = getattr(provider, "_profile_provider_builder", None)
        if type(builder) is AioProfileProviderBuilder:  # for the source_profile of a role
            made = AnyioProfileProviderBuilder._create_process_provider  # noqa: SLF001
            builder._create_process_provider = MethodType(made, builder)  # noqa: SLF001


def _unreadable(error: Exception, session: AioSession) -> str | None:
    """Return which source of credentials contains what botocore cannot read, if that is the error."""
    if not isinstance(error, ValueError | TypeError | AttributeError):
        return None
    if str(error) == BAD_TOKEN:
        variable = _TOKEN_FILE if _TOKEN_FILE in os.environ else _TOKEN
        return f"{variable}: the token has a line break in it"
    # A profile that is given to the session comes before the environment.
    is_from_environment = session.instance_variables().get("profile") is None
    names = ("AWS_ACCESS_KEY_ID", "AWS_CREDENTIAL_EXPIRATION")
    if is_from_environment and all(map(os.environ.get, names)):
        return "AWS_CREDENTIAL_EXPIRATION is not a time"
    if name := _process_of(session):
        is_json = not isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
        printed = "JSON that is not credentials" if is_json else "what is not JSON"
        return f"credential_process: {name!r} printed {printed}"
    if _process_setting(session) is not None:
        return "credential_process: its value in AWS's config file is not a command"
    if "AWS_CONTAINER_CREDENTIALS_FULL_URI" in os.environ:
        return "AWS_CONTAINER_CREDENTIALS_FULL_URI names a host that gives no credentials"
    return None


def _process_of(session: AioSession) -> str | None:
    """Return the program of a profile's credential_process, without arguments, which may be secret."""
    with contextlib.suppress(AttributeError, ValueError, IndexError):
        return shlex.split(_process_setting(session) or "")[0]
    return None


def _process_setting(session: AioSession) -> Any:
    with contextlib.suppress(botocore_errors.BotoCoreError):
        return session.get_scoped_config().get("credential_process")
    return None
