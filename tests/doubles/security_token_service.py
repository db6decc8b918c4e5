"""A double for STS that returns the credentials of a role, or fails."""

import datetime as dt
from collections.abc import Callable

from .counting_server import Act, CountingServer
from .messages import Received, answer

_ROLE = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{key}</AccessKeyId>
<SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>
<Expiration>{expiration}</Expiration></Credentials><AssumedRoleUser>
<Arn>arn:aws:sts::123456789012:assumed-role/worker/tests</Arn>
<AssumedRoleId>AROA:tests</AssumedRoleId></AssumedRoleUser></AssumeRoleWithWebIdentityResult>
<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>"""

_ERROR = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>
<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>
<RequestId>1</RequestId></ErrorResponse>"""


def role_answer(
    *,
    lifetime: float,
    key: str = "ASIAROLE",
    secret: str = "role-secret",
    token: str = "role-token",
) -> bytes:
    """Return credentials that expire in a number of seconds.

    botocore renews them before each call for the last ten minutes of their life.
    """
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lifetime)
    text = _ROLE.format(
        key=key, secret=secret, token=token, expiration=expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    return answer(200, text.encode(), {"Content-Type": "text/xml"})


def sts_error(status: int, code: str, message: str = "not now") -> Act:
    """Return an error of STS as an act."""
    body = _ERROR.format(code=code, message=message).encode()
    return Act(sent=answer(status, body, {"Content-Type": "text/xml"}), name=f"STS: {code}")


class SecurityTokenService(CountingServer):
    """Answers AssumeRoleWithWebIdentity; point `AWS_ENDPOINT_URL_STS` at its `url`.

    Args:
        acts: What it does with the first requests.
        lifetime: How long the credentials are valid that it returns then, in seconds.
        default: What it does then instead of returning credentials.
    """

    def __init__(
        self,
        *acts: Act,
        lifetime: float = 60,
        default: Act | Callable[[Received], Act] | None = None,
    ) -> None:
        given = Act(sent=lambda _: role_answer(lifetime=lifetime), name="credentials")
        super().__init__(*acts, default=given if default is None else default)
