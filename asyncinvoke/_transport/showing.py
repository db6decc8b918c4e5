"""What may be shown of the exceptions of the libraries below.

An exception of theirs keeps frames whose locals are keys, tokens and payloads, attributes such as the
whole request, and a text that may quote the answer. So none of them is handed on. What may be shown is
on a list: the system's own errors, copied without their frames, and of everything else the type.
"""

import re
from collections.abc import Iterator

from botocore import exceptions as botocore_errors

from asyncinvoke._transport.http.opening import refusal_of_proxy
from asyncinvoke._transport.process import is_for_want_of_a_file

_OF_THE_SYSTEM = ("builtins", "socket", "ssl")

_QUOTED = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "ExpiredTokenIdentity",
    "ForbiddenException",
    "IDPCommunicationError",
    "IDPRejectedClaim",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "InvalidRequestException",
    "RegionDisabledException",
    "ResourceNotFoundException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "UnauthorizedException",
    "ValidationError",
}
"""Codes of STS and SSO whose texts speak of roles and policies. Those of a wrong signature quote the
request, with the session token in it."""


class ForeignError(Exception):
    """Stands for an exception of a library below: its type is told, its text and frames are not."""


def shown(error: BaseException) -> Exception:
    """Return what may be shown of an exception, as an exception without frames."""
    found = next(_system_errors(error), None)
    if found is None:
        cls = type(error)
        return ForeignError(f"{cls.__module__}.{cls.__qualname__}")
    if found.filename is not None:
        return type(found)(found.errno, found.strerror, found.filename)
    return type(found)(*found.args)


def described(error: BaseException) -> str:
    """Return a line about an exception, of what may be shown of it."""
    if type(error) is botocore_errors.HTTPClientError:  # its text is that of another
        error = inner_error(error) or error
    refusal = refusal_of_proxy(error)
    if refusal is not None:
        return refusal
    text = ""
    if isinstance(error, botocore_errors.ClientError):
        text = _answered(error)
    elif isinstance(error, botocore_errors.ParamValidationError):
        # Where a value is wrong, its line quotes the value.
        text = " ".join(line for line in str(error).splitlines() if "value:" not in line)
    elif isinstance(error, OSError | botocore_errors.BotoCoreError):
        # aiohttp shows its TLS settings as an object, for plain HTTP too.
        text = re.sub(r" ssl:(?:<[^>]*>|\w+)(?= \[)", "", str(error))
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def inner_error(error: BaseException) -> BaseException | None:
    """Return the exception that one of botocore's was made from."""
    kwargs = getattr(error, "kwargs", None)
    inner = kwargs.get("error") if isinstance(kwargs, dict) else None
    return inner if isinstance(inner, BaseException) else None


def out_of_files(error: BaseException) -> bool:
    """Whether this process, or the machine, had no file left for what was tried."""
    return any(map(is_for_want_of_a_file, _system_errors(error)))


def forget(error: BaseException) -> None:
    """Let an exception, and all behind it, keep no frames.

    Foreign code keeps exceptions in circles (an event loop's list of attempts, the SDK's handlers of
    retries). Their frames lead to ours, and so a failed call would keep its payload alive until the
    garbage collector comes.
    """
    for found in list(_chain(error)):
        found.__traceback__ = None


def _system_errors(error: BaseException) -> Iterator[OSError]:
    """Go through the system's own errors behind an exception, the nearest first."""
    for found in _chain(error):
        if isinstance(found, OSError) and type(found).__module__ in _OF_THE_SYSTEM:
            yield found


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Go through an exception and all behind it, the nearest first, each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        inner = getattr(found, "os_error", None)  # aiohttp's name for it
        waiting += [inner_error(found), inner, found.__cause__, found.__context__]
        if isinstance(found, BaseExceptionGroup):
            waiting += found.exceptions


def _answered(error: botocore_errors.ClientError) -> str:
    detail = error.response.get("Error", {})
    code = detail.get("Code")
    told = f"{error.operation_name} was answered with {code}"
    return f"{told}: {detail.get('Message')}" if code in _QUOTED else told
