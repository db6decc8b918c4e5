"""What each fact means, and what to do about it: pure functions, one per check."""

import difflib
import re
from collections.abc import Collection, Mapping
from datetime import datetime

from asyncinvoke._diagnosis.checks import Check, CheckStatus
from asyncinvoke._diagnosis.machine import CORE, OPTIONAL, Files
from asyncinvoke._diagnosis.seen import Answered, Credentials, Setting
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke.errors import (
    FunctionError,
    InvocationError,
    NotReadyError,
    RejectedError,
    ThrottledError,
)

OK, NOTE, WRONG, SKIPPED = CheckStatus

CLOCK_NOTE = 30.0
"""The clock skew tolerated without a note, in seconds."""

CLOCK_WRONG = 240.0
"""The clock skew that is close to failing, in seconds: AWS rejects signatures 300 s off."""

FEW_FILES = 100
"""The minimum number of connections that an ordinary `map` needs."""

MANY_FILES = 1000
"""The default maximum number of attempts that an invoker has in flight."""

KEPT_FILES = 16
"""The number of files reserved for everything but connections."""

SOON = 300.0
"""How long before the expiry of credentials a note is given, in seconds."""


_REGION = re.compile(r"(?![0-9]+$)(?!-)[a-zA-Z0-9-]{1,63}(?<!-)")
"""What botocore accepts as a region: it becomes part of a host name."""


def versions(found: Mapping[str, str | None]) -> Check:
    """Report the versions of the libraries in use."""
    missing = [name for name in CORE if found.get(name) is None]
    said = ", ".join(f"{name} {found[name]}" for name in CORE if found.get(name) is not None)
    extras = [f"{name} {found[name]}" for name in OPTIONAL if found.get(name) is not None]
    if extras:
        said += f"; also {', '.join(extras)}"
    if missing:
        return _check(
            "versions",
            WRONG,
            f"{said}; not installed: {', '.join(missing)}",
            "reinstall it: pip install --force-reinstall asyncinvoke",
            found,
        )
    return _check("versions", OK, said, None, found)


def python(found: Mapping[str, str]) -> Check:
    """Report the Python interpreter."""
    said = (
        f"{found['implementation']} {found['version']} on {found['platform']} "
        f"({found['machine']}), {found['openssl']}"
    )
    return _check("python", OK, said, None, found)


def event_loop(name: str) -> Check:
    """Report the running event loop."""
    return _check("event loop", OK, name, None, {"name": name})


def open_files(files: Files) -> Check:
    """Judge how many connections this process can open."""
    facts = {"soft": files.soft, "hard": files.hard, "open": files.open}
    if files.soft is None:
        return _check("open files", OK, "no limit that is known", None, facts)
    room = max(files.soft - files.open - KEPT_FILES, 0)
    said = f"{files.open:,} of {files.soft:,} are open: room for {room:,} connections"
    if room >= MANY_FILES:
        return _check("open files", OK, said, None, facts)
    if files.hard is None or files.hard > files.soft:
        most = "any number" if files.hard is None else f"{files.hard:,}"
        advice = (
            f"`ulimit -n` can raise the limit up to {most}; the commands do that themselves, "
            "a program of yours by resource.setrlimit"
        )
    else:
        advice = "the hard limit is no higher: raise it in limits.conf, systemd's LimitNOFILE or docker's --ulimit"
    return _check("open files", WRONG if room < FEW_FILES else NOTE, said, advice, facts)


def region(setting: Setting, *, aws_region: str | None, known: Collection[str] = ()) -> Check:
    """Judge the region in use.

    Args:
        setting: The region found by botocore.
        aws_region: The value of `AWS_REGION`, which other SDKs read and botocore does not.
        known: The regions that botocore knows; empty if the region does not matter.
    """
    facts = {"value": setting.value, "source": setting.source}
    if setting.flaw is not None:
        return _check("region", WRONG, setting.flaw, _OTHER_PROFILE, facts)
    if setting.value is None:
        advice = "set AWS_DEFAULT_REGION, or give one: region_name=, --region, or `region` in ~/.aws/config"
        if aws_region:
            advice = f"AWS_REGION is set, which botocore does not read: export AWS_DEFAULT_REGION={aws_region}"
        return _check("region", WRONG, "none is known", advice, facts)
    said = f"{setting.value}, from {setting.source}"
    if _REGION.fullmatch(setting.value) is None:
        said += "; no region can be called that"
        return _check("region", WRONG, said, f"correct it in {setting.source}", facts)
    if aws_region and aws_region != setting.value:
        advice = "botocore does not read AWS_REGION: if that one is meant, set AWS_DEFAULT_REGION"
        return _check("region", NOTE, f"{said}; AWS_REGION says {aws_region}", advice, facts)
    if known and setting.value not in known:
        near = difflib.get_close_matches(setting.value, known, n=1)
        advice = f"is it {near[0]}? " if near else ""
        advice += "a region that botocore has not heard of yet works as well; a typo does not"
        return _check("region", NOTE, f"{said}; botocore knows no such region", advice, facts)
    return _check("region", OK, said, None, facts)


def credentials(found: Credentials, *, now: datetime) -> Check:
    """Judge the credentials by source, kind and expiry."""
    kind = "temporary" if found.is_temporary else "long-term"
    facts = {
        "source": found.source,
        "kind": None if found.source is None else kind,
        "expires": None if found.expires is None else found.expires.isoformat(),
    }
    if found.source is None:
        if found.flaw is None:
            return _check("credentials", WRONG, "none were found", _NEW_KEYS, facts)
        return _check("credentials", WRONG, found.flaw, _advice_on_source(found.flaw), facts)
    said = f"{kind}, from {found.source}"
    left = None if found.expires is None else (found.expires - now).total_seconds()
    if left is not None and left <= 0:
        said += f"; they expired {_span(-left)} ago"
        return _check("credentials", WRONG, said, _RENEW, facts)
    if found.flaw is not None:
        advice = _RENEW if found.is_temporary else _SET_AGAIN
        return _check("credentials", WRONG, f"{said}; {found.flaw}", advice, facts)
    if left is None:
        return _check("credentials", OK, said, None, facts)
    said += f"; they end in {_span(left)}"
    if left < SOON:
        return _check("credentials", NOTE, said, _RENEW, facts)
    return _check("credentials", OK, said, None, facts)


def _advice_on_source(flaw: str) -> str:
    if flaw.startswith(("nothing within", "CredentialRetrievalError", "AWS_CONTAINER")):
        return _NO_GIVER
    return _SET_AGAIN if _IN_THE_ENVIRONMENT.search(flaw) else _OTHER_PROFILE


def endpoint(setting: Setting) -> Check:
    """Judge the endpoint URL."""
    facts = {"url": setting.value, "source": setting.source}
    said = f"{setting.value}, from {setting.source}"
    if setting.flaw is not None:
        return _check("endpoint", WRONG, setting.flaw, f"correct it in {setting.source}", facts)
    if setting.value is None:
        return _skipped("endpoint", "it needs a client, and that a region and credentials")
    return _check("endpoint", OK, said, None, facts)


def proxy(setting: Setting) -> Check:
    """Report the proxy in use."""
    facts = {"url": setting.value, "source": setting.source}
    if setting.value is None:
        none = "none" if setting.source == "the environment" else f"none ({setting.source})"
        return _check("proxy", OK, none, None, facts)
    return _check("proxy", OK, f"{setting.value}, from {setting.source}", None, facts)


def ca_bundle(setting: Setting) -> Check:
    """Judge the CA bundle in use."""
    facts = {"path": setting.value, "source": setting.source}
    if setting.flaw is not None:
        return _check("certificates", WRONG, setting.flaw, _BUNDLE, facts)
    said = setting.source if setting.value is None else f"{setting.value}, from {setting.source}"
    return _check("certificates", OK, said, None, facts)


def connection(seen: Answered | Failure, *, has_proxy: bool = False) -> Check:
    """Judge whether the endpoint answers, and report the connection.

    Args:
        seen: The answer, or why there is none.
        has_proxy: Whether a proxy is in use.
    """
    if isinstance(seen, Failure):
        said = f"{seen.fault}: {seen.message}" if seen.message else str(seen.fault)
        advice = _NO_WAY.get(seen.fault or TransportFault.UNEXPECTED, _REACH)
        if has_proxy and seen.fault in (TransportFault.CONNECT, TransportFault.CONNECT_TIMEOUT):
            advice = _NO_WAY[TransportFault.PROXY]
        elif seen.fault is TransportFault.TLS and "WRONG_VERSION_NUMBER" in (seen.message or ""):
            advice = _NO_TLS
        return _check("connection", WRONG, said, advice, {"fault": str(seen.fault)})
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
    said = f"answered after {seen.elapsed * 1000:,.0f} ms, {over}{issued}"
    return _check("connection", OK, said, None, facts)


def clock(ahead: float | None) -> Check:
    """Judge the skew between this machine's clock and the service's.

    Args:
        ahead: How far the service's clock is ahead in seconds, accurate to about a second; `None`
            if unknown.
    """
    facts = {"service_ahead_seconds": None if ahead is None else round(ahead, 1)}
    if ahead is None:
        return _check("clock", SKIPPED, "the service did not tell the time", None, facts)
    if abs(ahead) <= CLOCK_NOTE:
        return _check("clock", OK, "within seconds of the service's", None, facts)
    said = f"{_span(abs(ahead))} {'behind' if ahead > 0 else 'ahead of'} the service's"
    advice = "set this machine's clock (NTP): AWS refuses signatures that are five minutes off"
    return _check("clock", WRONG if abs(ahead) >= CLOCK_WRONG else NOTE, said, advice, facts)


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
        return _check("transport", NOTE, f"client, because {why}", advice, facts)
    if session is not None:
        said = f"direct, through aiobotocore's HTTP session: {session}"
        return _check("transport", OK, said, None, facts)
    said = "direct, over connections of its own" if is_seen else "direct"
    return _check("transport", OK, said, None, facts)


def dry_run(function_name: str, seconds: list[float], error: Exception | None) -> Check:
    """Judge whether the caller may invoke the function, and report the dry runs' latency.

    Args:
        function_name: The name of the function.
        seconds: The duration of each dry run; the first includes all setup.
        error: The error of the last dry run, if it failed.
    """
    facts: dict[str, object] = {
        "function": function_name,
        "milliseconds": [round(each * 1000, 1) for each in seconds],
    }
    if error is None:
        said = f"{function_name} may be invoked; {seconds[0] * 1000:,.0f} ms for the first"
        if len(seconds) > 1:
            said += f", then {sorted(seconds[1:])[len(seconds[1:]) // 2] * 1000:,.0f} ms"
        return _check("dry run", OK, said, None, facts)
    code = getattr(error, "code", None)
    facts |= {"error": type(error).__name__, "code": code}
    status = NOTE if isinstance(error, ThrottledError | NotReadyError) else WRONG
    return _check("dry run", status, str(error), _advice(error), facts)


def skipped(name: str, why: str) -> Check:
    """Return a check that was skipped."""
    return _skipped(name, why)


def not_opened(message: str) -> Check:
    """Report that no client could be opened although all earlier checks passed."""
    return _check("connection", WRONG, message, "correct what the message names", {})


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
    if isinstance(error, FunctionError | RejectedError):
        return "correct what the message names"
    if isinstance(error, InvocationError):
        return "no answer that says more: see the checks above, and try again"
    return "correct what the message names"


def _skipped(name: str, why: str) -> Check:
    return _check(name, SKIPPED, why, None, {})


def _check(
    name: str,
    status: CheckStatus,
    found: str,
    advice: str | None,
    facts: Mapping[str, object],
) -> Check:
    return Check(name=name, status=status, found=found, advice=advice, facts=dict(facts))


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"


_NEW_KEYS = (
    "give some: AWS_PROFILE or --profile, `aws sso login`, `aws configure`, or a role; against a "
    "local endpoint any will do: AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local"
)
_OTHER_PROFILE = (
    "correct it in AWS's config file, or choose another profile: AWS_PROFILE, --profile "
    "(`aws configure list-profiles` has their names)"
)
_NO_GIVER = (
    "look at what is to give them: a credential_process, the role of the container or the instance, "
    "AWS_PROFILE"
)
_IN_THE_ENVIRONMENT = re.compile(r"^AWS_(?!CONTAINER)|found in env\b")
_SET_AGAIN = "set them again, as they were given"
_RENEW = "renew them: `aws sso login`, `aws sts assume-role`, or whatever has given them"
_BUNDLE = "point it to a readable file of PEM certificates, or unset it"
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
    "ExpiredTokenException": _RENEW,
    "ExpiredToken": _RENEW,
    "UnrecognizedClientException": "AWS does not know the access key id, or the session token is "
    "missing: renew the credentials",
    "InvalidClientTokenId": "AWS does not know the access key id: renew the credentials",
    "InvalidSignatureException": "the secret key does not belong to the access key id, or the clock "
    "is off",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key id, or the clock is "
    "off",
}
