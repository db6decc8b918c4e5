"""Credentials: found when a client is opened; their values resolved at most once a second."""

import asyncio
import contextlib
import json
import math
import os
import shlex
import time
from datetime import datetime
from types import MethodType
from typing import Any

import anyio
from aiobotocore.credentials import (
    AioProfileProviderBuilder,
    AnyioProcessProvider,
    AnyioProfileProviderBuilder,
)
from aiobotocore.session import AioSession
from botocore import exceptions as botocore_errors

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._transport.exceptions import described, out_of_files, shown
from asyncinvoke._transport.http.errors import forget
from asyncinvoke._transport.process import is_cancelled
from asyncinvoke._transport.set_up import credentials_flaw, key_log_flaw
from asyncinvoke._transport.sigv4 import Moment
from asyncinvoke.errors import ConfigurationError

NO_CREDENTIALS = (
    "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "AWS_PROFILE, or any other source that botocore reads"
)
"""The message where there are none."""

_MANDATORY = 600.0
"""How long before their expiry credentials must be refreshed, in seconds, as in botocore."""

_FOR_GOOD: tuple[type[Exception], ...] = (
    botocore_errors.ConfigNotFound,
    botocore_errors.ConfigParseError,
    botocore_errors.EndpointProviderError,
    botocore_errors.InfiniteLoopConfigError,
    botocore_errors.InvalidConfigError,
    botocore_errors.NoCredentialsError,
    botocore_errors.NoRegionError,
    botocore_errors.PartialCredentialsError,
    botocore_errors.ProfileNotFound,
    botocore_errors.StubResponseError,
    botocore_errors.UnknownCredentialError,
    botocore_errors.UnknownSignatureVersionError,
    botocore_errors.UnsupportedSignatureVersionError,
)
"""Errors that are permanent."""

_OF_CREDENTIALS = (botocore_errors.BotoCoreError, botocore_errors.ClientError, OSError)
"""Errors of a source of credentials: STS, SSO, a metadata service, a process or a file."""


async def find_credentials(session: AioSession) -> Any:
    """Return the credentials of a session, without fetching or refreshing their values.

    Raises:
        ConfigurationError: There are none, or their source cannot be used.
    """
    try:
        if session._credentials is None:  # noqa: SLF001  # otherwise nothing is looked for
            _kill_when_cancelled(session)
        found = await session.get_credentials()
    except (FileNotFoundError, PermissionError) as error:
        flaw = key_log_flaw(error)
        if flaw is None:
            name = error.filename or _process_of(session)
            is_there = isinstance(error, PermissionError)
            flaw = f"{name!r} cannot be run" if is_there else f"there is no {name!r}"
            flaw = f"credential_process: {flaw}"
        raise ConfigurationError(flaw) from shown(error)
    except Exception as error:  # noqa: BLE001  # STS, SSO, a file, a process: any error is possible
        # The output of a process may contain keys, and the error may quote it.
        flaw = key_log_flaw(error) or _unreadable(error, session)
        flaw = flaw or f"credentials: {described(error)}"
        raise ConfigurationError(flaw) from shown(error)
    if found is None:
        raise ConfigurationError(NO_CREDENTIALS)
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


class KeptCredentials:
    """A cache of a client's credentials, valid for the current second.

    Fetching refreshable credentials from botocore costs 12 us, so it is done once per second, and
    when they have expired or were replaced. Only one call fetches at a time, and all waiting calls
    share its result, including a failure: a thousand calls do not cause a thousand requests to STS.
    During an advisory refresh, as botocore calls it, other calls use the current credentials.

    Args:
        signer: The client's request signer, which has the credentials.
    """

    def __init__(self, signer: Any) -> None:
        self._signer = signer
        self._source: Any = None
        self._expiry: object = None
        self._ends = self._until = -math.inf
        self._moment: Moment | None = None
        self._asking: _Asking | None = None

    @property
    def exist(self) -> bool:
        """Whether the client has credentials."""
        return self._signer._credentials is not None  # noqa: SLF001

    def kept(self) -> Moment | None:
        """Return the credentials of this second, if they are cached."""
        now = time.time()
        moment, source = self._moment, self._source
        if (
            moment is not None
            and moment.second <= now < self._until
            and source is self._signer._credentials  # noqa: SLF001
            and self._expiry is getattr(source, "_expiry_time", None)
        ):
            return moment
        return None

    async def fetch(self) -> Moment | Failure:
        """Fetch the credentials of this second; failures are returned, not raised."""
        while True:
            source = self._signer._credentials  # noqa: SLF001
            asking = self._asking
            if asking is None or asking.source is not source:
                return await self._ask(source)
            if (moment := self._still_good(source)) is not None:
                return moment
            await asking.ended.wait()
            # Without a result, the fetching call was cancelled, so another one has to fetch.
            if asking.result is not None:
                return asking.result

    def _still_good(self, source: Any) -> Moment | None:
        now = time.time()
        margin = getattr(source, "_mandatory_refresh_timeout", _MANDATORY)
        if self._moment is None or self._source is not source or now + margin >= self._ends:
            return None
        return self._moment.at(int(now))

    async def _ask(self, source: Any) -> Moment | Failure:
        asking = self._asking = _Asking(source)
        try:
            result = asking.result = await _ask(source)
        finally:
            if self._asking is asking:
                self._asking = None
            asking.ended.set()
        if isinstance(result, Moment):
            self._source, self._moment = source, result
            self._expiry = getattr(source, "_expiry_time", None)
            self._ends = _seconds(self._expiry)
            self._until = min(result.second + 1, self._ends)
        return result


class _Asking:
    """A fetch of credentials in progress."""

    __slots__ = ("ended", "result", "source")

    def __init__(self, source: Any) -> None:
        self.source = source
        self.ended = anyio.Event()
        self.result: Moment | Failure | None = None


async def _ask(source: Any) -> Moment | Failure:
    try:
        credentials = await source.get_frozen_credentials()
        if credentials is None:
            message = "whatever gives them gave none"
            return Failure(
                fault=TransportFault.CREDENTIALS, phase=Phase.CREDENTIALS, message=message
            )
        flaw = credentials_flaw(credentials, getattr(source, "method", None))
    except Exception as error:  # noqa: BLE001  # converted to a Failure
        return _failure(error, _fault(error) or TransportFault.CREDENTIALS)
    except anyio.get_cancelled_exc_class() as error:
        if is_cancelled():
            raise
        # The source awaited a task of its own, which was cancelled.
        return _failure(error, TransportFault.CREDENTIALS)
    if flaw is not None:
        return Failure(fault=TransportFault.SET_UP, phase=Phase.CREDENTIALS, message=flaw)
    return Moment(credentials, int(time.time()))


def _seconds(expiry: object) -> float:
    return expiry.timestamp() if isinstance(expiry, datetime) else math.inf


def failure_before_sending(error: Exception) -> Failure:
    """Convert an exception raised while a request was built and signed to a failure."""
    return _failure(error, _fault(error) or TransportFault.UNEXPECTED)


def _failure(error: BaseException, fault: TransportFault) -> Failure:
    failure = Failure(
        fault=fault, phase=Phase.CREDENTIALS, message=described(error), cause=shown(error)
    )
    forget(error)
    return failure


def _fault(error: Exception) -> TransportFault | None:
    if out_of_files(error):
        return TransportFault.FILES
    if isinstance(error, botocore_errors.ParamValidationError):
        return TransportFault.NOT_BUILT
    if isinstance(error, _FOR_GOOD):
        return TransportFault.SET_UP
    return TransportFault.CREDENTIALS if isinstance(error, _OF_CREDENTIALS) else None
