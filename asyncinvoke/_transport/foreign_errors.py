"""What may be shown of the exceptions of third-party libraries.

None of them is passed on: their frames hold keys, tokens and payloads, their attributes may include
the whole request, and their messages may quote the answer. Only an allowlist is shown: `OSError`s,
copied without frames, and the type of everything else.
"""

import re

from botocore import exceptions as botocore_errors

from asyncinvoke._model.text import in_one_line
from asyncinvoke._transport.http.errors import (
    NO_THREAD,
    inner_error,
    refusal_of_proxy,
    system_errors,
)

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
"""Error codes of STS and SSO whose messages are shown: they name roles and policies. Messages about a
wrong signature quote the request, including the session token."""


BAD_TOKEN = "Auth token value is not a legal header value"  # noqa: S105  # a message
"""What botocore says of an authorization token of a container with a line break in it."""

_QUOTING_NOTHING = (
    BAD_TOKEN,
    "Credentials were refreshed, but the refreshed credentials are still expired.",
    NO_THREAD,
)
"""Messages of botocore and Python in built-in exceptions that quote nothing."""


_LONGEST = 1000
"""The maximum length of what is shown of a message, in characters."""


class ForeignError(Exception):
    """Replaces an exception of a third-party library: it has its type, not its text or frames."""


def shown(error: BaseException) -> Exception:
    """Return a replacement for an exception, with only what may be shown, and without frames."""
    found = next(system_errors(error), None)
    if found is None:
        cls = type(error)
        return ForeignError(f"{cls.__module__}.{cls.__qualname__}")
    if found.filename is not None:
        return type(found)(found.errno, found.strerror, found.filename)
    return type(found)(*found.args)


def described(error: BaseException) -> str:
    """Describe an exception in one line, with only what may be shown."""
    if type(error) is botocore_errors.HTTPClientError:  # its message is that of the inner error
        error = inner_error(error) or error
    refusal = refusal_of_proxy(error)
    if refusal is not None:
        return refusal
    text = ""
    if isinstance(error, botocore_errors.ClientError):
        text = _answered(error)
    elif isinstance(error, botocore_errors.ParamValidationError):
        # The line about an invalid value quotes it.
        text = " ".join(line for line in str(error).splitlines() if "value:" not in line)
    elif isinstance(error, OSError | botocore_errors.BotoCoreError):
        # aiohttp includes the repr of its TLS settings, even for plain HTTP.
        text = re.sub(r" ssl:(?:<[^>]*>|\w+)(?= \[)", "", str(error))
    elif str(error) in _QUOTING_NOTHING:
        text = str(error)
    name = type(error).__name__
    # A process, or the service of a container, may say any number of lines.
    return f"{name}: {in_one_line(text, _LONGEST)}" if text else name


def _answered(error: botocore_errors.ClientError) -> str:
    detail = error.response.get("Error", {})
    code = detail.get("Code")
    told = f"{error.operation_name} was answered with {code}"
    return f"{told}: {detail.get('Message')}" if code in _QUOTED else told
