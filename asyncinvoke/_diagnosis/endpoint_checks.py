"""What the endpoint's answers mean, and what to do about them: one pure function per check."""

from asyncinvoke._diagnosis.checks import (
    NOTE,
    OK,
    RENEW,
    SKIPPED,
    WRONG,
    Check,
    check_of,
    span,
)
from asyncinvoke._diagnosis.facts import Answered
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke.errors import InvocationError, NotReadyError, RejectedError, ThrottledError

CLOCK_NOTE = 30.0
"""The clock skew tolerated without a note, in seconds."""

CLOCK_WRONG = 240.0
"""The clock skew that is close to failing, in seconds: AWS rejects signatures 300 s off."""


def not_opened(message: str) -> Check:
    """Report that no client could be opened although all earlier checks passed."""
    return check_of("connection", WRONG, message, "correct what the message names", {})


def connection(seen: Answered | Failure, *, has_proxy: bool = False) -> Check:
    """Judge whether the endpoint answers, and report the connection.

    Args:
        seen: The answer, or why there is none.
        has_proxy: Whether a proxy is in use.
    """
    if isinstance(seen, Failure):
        detail = f"{seen.fault}: {seen.message}" if seen.message else str(seen.fault)
        advice = _NO_WAY.get(seen.fault or TransportFault.UNEXPECTED, _REACH)
        if has_proxy and seen.fault in (TransportFault.CONNECT, TransportFault.CONNECT_TIMEOUT):
            advice = _NO_WAY[TransportFault.PROXY]
        elif seen.fault is TransportFault.TLS and "WRONG_VERSION_NUMBER" in (seen.message or ""):
            advice = _NO_TLS
        return check_of("connection", WRONG, detail, advice, {"fault": str(seen.fault)})
    facts = {
        "status": seen.status,
        "seconds": round(seen.elapsed, 4),
        "tls": seen.tls,
        "issuer": seen.issuer,
    }
    over = "over plain HTTP" if seen.tls is None else seen.tls
    if seen.tls is None and seen.session is not None:
        over = "through aiobotocore's session"
    issued = f", certificate by {seen.issuer}" if seen.issuer else ""
    detail = f"answered after {seen.elapsed * 1000:,.0f} ms, {over}{issued}"
    return check_of("connection", OK, detail, None, facts)


def clock(ahead: float | None) -> Check:
    """Judge the skew between this machine's clock and the service's.

    Args:
        ahead: How far the service's clock is ahead in seconds, accurate to about a second; `None`
            if unknown.
    """
    facts = {"service_ahead_seconds": None if ahead is None else round(ahead, 1)}
    if ahead is None:
        return check_of("clock", SKIPPED, "the service did not tell the time", None, facts)
    if abs(ahead) <= CLOCK_NOTE:
        return check_of("clock", OK, "within seconds of the service's", None, facts)
    detail = f"{span(abs(ahead))} {'behind' if ahead > 0 else 'ahead of'} the service's"
    advice = "set this machine's clock (NTP): AWS refuses signatures that are five minutes off"
    return check_of("clock", WRONG if abs(ahead) >= CLOCK_WRONG else NOTE, detail, advice, facts)


def transport(why: str | None, session: str | None, *, is_seen: bool = True) -> Check:
    """Report the transport that invocations use.

    Args:
        why: Why the direct transport is not used; `None` if it is.
        session: Why our own connections are not used; `None` if they are.
        is_seen: Whether `session` is known, which requires an answer from the endpoint.
    """
    facts = {"name": "direct" if why is None else "client", "why": why, "session": session}
    if why is not None:
        advice = "calls go through aiobotocore's own invoke, at about four times the CPU; results are the same"
        return check_of("transport", NOTE, f"client, because {why}", advice, facts)
    if session is not None:
        detail = f"direct, through aiobotocore's HTTP session: {session}"
        return check_of("transport", OK, detail, None, facts)
    detail = "direct, over connections of its own" if is_seen else "direct"
    return check_of("transport", OK, detail, None, facts)


def dry_run(function_name: str, seconds: list[float], error: Exception | None) -> Check:
    """Judge whether the caller may invoke the function, and report the dry runs' latency.

    Args:
        function_name: The name of the function.
        seconds: The durations of the dry runs that succeeded, two or more unless there is an error;
            the first includes all setup.
        error: The error of the last dry run, if it failed.
    """
    facts: dict[str, object] = {
        "function": function_name,
        "milliseconds": [round(each * 1000, 1) for each in seconds],
    }
    if error is None:
        first, *warm = (each * 1000 for each in seconds)
        detail = f"{function_name} may be invoked; {first:,.0f} ms for the first, "
        detail += f"then {sorted(warm)[len(warm) // 2]:,.0f} ms"
        return check_of("dry run", OK, detail, None, facts)
    code = getattr(error, "code", None)
    facts |= {"error": type(error).__name__, "code": code}
    status = NOTE if isinstance(error, ThrottledError | NotReadyError) else WRONG
    return check_of("dry run", status, str(error), _advice(error), facts)


def _advice(error: Exception) -> str:
    code = getattr(error, "code", None)
    if isinstance(code, str) and code in _CODES:
        return _CODES[code]
    if isinstance(error, ThrottledError | NotReadyError):
        return "it is there, and the request was let in; try again later"
    is_bare = code is None or str(code).isdigit()  # a status without a code of AWS
    if code == TransportFault.STATUS or (is_bare and isinstance(error, RejectedError)):
        return (
            "what answers there is not Lambda, but a proxy, a gateway or a login page: look at the "
            "endpoint and the proxy above"
        )
    if isinstance(error, InvocationError) and not isinstance(error, RejectedError):
        return "no answer that says more: see the checks above, and try again"
    return "correct what the message names"


_REACH = "see whether it can be reached from here: curl -v URL"

_NO_TLS = "what answers there does not speak TLS: is it http://, and not https://?"

_NO_HTTP = "what listens there gives no answer of HTTP: is it the right port? is it https://, and not http://?"

_NO_WAY = {
    TransportFault.CONNECT: "is the host right, and does it listen there? For a local endpoint, start "
    "`asyncinvoke local`; else look at DNS, VPN, security groups and the VPC endpoint",
    TransportFault.CONNECT_TIMEOUT: "nothing answers: a firewall, a security group, or a VPC without "
    "a way to Lambda (NAT gateway or VPC endpoint)",
    TransportFault.TLS: "the certificate is not trusted: AWS_CA_BUNDLE has to name the authority that "
    "signs it, such as that of a proxy that opens TLS",
    TransportFault.PROXY: "the proxy refuses or is gone: look at its URL, user and password, or put "
    "the host into no_proxy",
    TransportFault.FILES: "this process has no file left: `ulimit -n`",
    TransportFault.CONNECTION_LOST: _NO_HTTP,
    TransportFault.PROTOCOL: _NO_HTTP,
    TransportFault.READ_TIMEOUT: "it is connected and nothing comes: is it an endpoint of Lambda's?",
}

_CODES = {
    "ResourceNotFoundException": "no such function, version or alias in this region and account: see "
    "`aws lambda list-functions`, and the region above",
    "AccessDeniedException": "the caller needs lambda:InvokeFunction for it, qualifier included",
    "ExpiredTokenException": RENEW,
    "ExpiredToken": RENEW,
    "UnrecognizedClientException": "AWS does not know the access key id, or the session token is "
    "missing: renew the credentials",
    "InvalidClientTokenId": "AWS does not know the access key id: renew the credentials",
    "InvalidSignatureException": "the secret key does not belong to the access key id, or the clock "
    "is off",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key id, or the clock is "
    "off",
}
