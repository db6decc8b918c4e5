"""Credentials, resolved at most once a second, and their failures."""

import math
import time
from datetime import datetime
from typing import Any

import anyio
from botocore import exceptions as botocore_errors

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._transport.exceptions import out_of_files
from asyncinvoke._transport.foreign_errors import described, shown
from asyncinvoke._transport.http.errors import forget
from asyncinvoke._transport.process import is_cancelled
from asyncinvoke._transport.set_up import credentials_flaw, expiry_flaw
from asyncinvoke._transport.sigv4 import Moment

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
    if (flaw := expiry_flaw(source)) is not None:
        return Failure(fault=TransportFault.SET_UP, phase=Phase.CREDENTIALS, message=flaw)
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
