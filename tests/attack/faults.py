"""The table of faults by phase: how each is produced, and how it must be reported."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from aiobotocore.config import AioConfig

from asyncinvoke import (
    DeadlineExceededError,
    Delivery,
    FunctionError,
    InvocationError,
    RejectedError,
    ServiceError,
    ThrottledError,
    TransportError,
)
from tests.doubles.addresses import refused_port, silent_port
from tests.doubles.certificates import Authority, Identity
from tests.doubles.connect_proxy import Behaviour, ConnectProxy
from tests.doubles.counting_server import HANG_UP, JUNK, RESET, STALL, Act, CountingServer
from tests.doubles.messages import (
    answer,
    error_answer,
    function_error_answer,
    throttle_answer,
)
from tests.doubles.security_token_service import SecurityTokenService, sts_error

from .invokers import new_session

NOT_SENT, REJECTED, UNKNOWN, EXECUTED = Delivery

SOON = 0.1
"""Seconds after which deadlines pass before anything can be sent, however slow the machine is."""

LARGE = b'"' + b"x" * 6_000_000 + b'"'
"""A payload that no kernel's buffers hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What is needed to produce a fault."""

    monkeypatch: pytest.MonkeyPatch
    directory: Path
    authority: Authority
    identity: Identity
    later: float = 0.3
    """A timeout in seconds that must not expire before the request was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedFault:
    """A fault that has been set up, ready for a call."""

    url: str
    server: CountingServer
    """The endpoint, which counts requests."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the invoker."""
    payload: bytes | None = None
    """The payload, if not the test's."""
    call: Mapping[str, Any] = field(default_factory=dict)
    """Options of the call."""
    begin: Callable[[], object] = bool
    """Called once the invoker is open, before the call."""


Prepare: TypeAlias = Callable[[Environment], AbstractContextManager[StagedFault]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row of the table."""

    prepare: Prepare
    raises: type[InvocationError]
    delivery: Delivery
    codes: tuple[str, ...] | None = None
    """The accepted codes; `None` for any."""
    status: int | None = None
    says: str = ""
    """A text that the error must contain."""
    whole: int = 0
    """The number of requests that the endpoint reads completely, for each attempt."""
    repeated: bool | None = False
    """Whether a policy that only retries safely makes further attempts of a call that is not
    idempotent; `None` if testing that would take too long."""
    client_may_say: Delivery | None = None
    """What the transport `client` may report instead, since it cannot observe the SDK's writes."""
    is_staged: Callable[[InvocationError, CountingServer], bool] = lambda error, server: True
    """Whether the fault occurred before the deadline, which may expire first on a busy machine."""


# Credentials: these faults are not Lambda's, and nothing is sent.


def with_role(environment: Environment, sts_url: str) -> Path:
    """Configure credentials that come from STS in exchange for a token in a file."""
    token = environment.directory / "token"
    token.write_text("projected-token")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.monkeypatch.delenv(name)
    for name, value in {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/worker",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ENDPOINT_URL_STS": sts_url,
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        environment.monkeypatch.setenv(name, value)
    return token


def sts(act: Act, **call: Any) -> Prepare:
    """STS responds to every request with this act."""

    @contextlib.contextmanager
    def prepare(environment: Environment) -> Iterator[StagedFault]:
        with SecurityTokenService(default=act) as service, CountingServer() as server:
            with_role(environment, service.url)
            yield StagedFault(
                url=server.url, server=server, options={"session": new_session()}, call=call
            )

    return prepare


@contextlib.contextmanager
def token_away(environment: Environment) -> Iterator[StagedFault]:
    """The token file is deleted once the invoker is open."""
    with SecurityTokenService() as service, CountingServer() as server:
        token = with_role(environment, service.url)
        yield StagedFault(
            url=server.url,
            server=server,
            options={"session": new_session()},
            begin=lambda: token.unlink(missing_ok=True),
        )


# Connecting.


@contextlib.contextmanager
def refused(environment: Environment) -> Iterator[StagedFault]:
    """Nothing listens on the port."""
    with CountingServer() as server:
        yield StagedFault(url=f"http://127.0.0.1:{refused_port()}", server=server)


def syn_dropped(**call: Any) -> Prepare:
    """SYN packets are dropped."""

    @contextlib.contextmanager
    def prepare(environment: Environment) -> Iterator[StagedFault]:
        with CountingServer() as server, silent_port() as port:
            options = {} if call else {"config": AioConfig(connect_timeout=SOON)}
            yield StagedFault(
                url=f"http://127.0.0.1:{port}", server=server, options=options, call=call
            )

    return prepare


@contextlib.contextmanager
def untrusted(environment: Environment) -> Iterator[StagedFault]:
    """The certificate is signed by an authority that the client does not trust."""
    with CountingServer(tls=environment.identity.server_context()) as server:
        yield StagedFault(url=server.url, server=server)


def no_handshake(arrival: Any, **call: Any) -> Prepare:
    """The server performs this act instead of a TLS handshake."""

    @contextlib.contextmanager
    def prepare(environment: Environment) -> Iterator[StagedFault]:
        with CountingServer(arrivals=(arrival,) * 9) as server:
            yield StagedFault(url=f"https://127.0.0.1:{server.port}", server=server, call=call)

    return prepare


def proxy(
    behaviour: Behaviour, credentials: str | None = None, connect_timeout: float = 60, **call: Any
) -> Prepare:
    """The client uses an HTTP proxy with this behaviour."""

    @contextlib.contextmanager
    def prepare(environment: Environment) -> Iterator[StagedFault]:
        environment.monkeypatch.setenv("AWS_CA_BUNDLE", str(environment.authority.bundle))
        with (
            CountingServer(tls=environment.identity.server_context()) as server,
            ConnectProxy(behaviour, credentials="ann:right") as between,
        ):
            url = between.url if credentials is None else between.url_of(credentials)
            yield StagedFault(
                url=server.url,
                server=server,
                options={
                    "config": AioConfig(proxies={"https": url}, connect_timeout=connect_timeout)
                },
                call=call,
            )

    return prepare


# Writing.


def upload(act: Act, *, receive_buffer: int = 65_536, **call: Any) -> Prepare:
    """The server performs this act on a request that is larger than the kernel's buffers."""

    @contextlib.contextmanager
    def prepare(environment: Environment) -> Iterator[StagedFault]:
        with CountingServer(default=act, receive_buffer=receive_buffer) as server:
            yield StagedFault(url=server.url, server=server, payload=LARGE, call=call)

    return prepare


# Reading: the request has arrived.


def answered(act: Act | bytes, *, is_timed: bool = False, **call: Any) -> Prepare:
    """The server performs this act on a request that it has read.

    Args:
        act: The act.
        is_timed: Whether the call has a timeout, which expires later.
        call: Options of the call.
    """

    @contextlib.contextmanager
    def prepare(environment: Environment) -> Iterator[StagedFault]:
        plays = act if isinstance(act, Act) else Act(sent=act)
        timed = {"timeout": environment.later} if is_timed else {}
        with CountingServer(default=plays) as server:
            yield StagedFault(url=server.url, server=server, call={**call, **timed})

    return prepare


def silent(act: Act) -> Prepare:
    """The server stops sending, which is noticed later."""

    @contextlib.contextmanager
    def prepare(environment: Environment) -> Iterator[StagedFault]:
        options = {"config": AioConfig(read_timeout=environment.later)}
        with CountingServer(default=act) as server:
            yield StagedFault(url=server.url, server=server, options=options)

    return prepare


def lost(prepare: Prepare, *codes: str, repeated: bool | None = False) -> Fault:
    """The request arrived, and there was no usable answer."""
    return Fault(
        prepare=prepare,
        raises=TransportError,
        delivery=UNKNOWN,
        codes=codes or None,
        whole=1,
        repeated=repeated,
    )


def unsent(prepare: Prepare, *codes: str, repeated: bool | None = True, says: str = "") -> Fault:
    """No byte of the request was sent."""
    return Fault(
        prepare=prepare,
        says=says,
        raises=TransportError,
        delivery=NOT_SENT,
        codes=codes or None,
        repeated=repeated,
    )


def was_read(error: InvocationError, server: CountingServer) -> bool:
    """The request arrived before the deadline passed."""
    return server.whole == 1


def late(prepare: Prepare, delivery: Delivery, *, whole: int = 0, **more: Any) -> Fault:
    """The deadline passed."""
    return Fault(
        prepare=prepare,
        raises=DeadlineExceededError,
        delivery=delivery,
        whole=whole,
        repeated=None,
        **more,
    )


CREDENTIALS = ("CredentialsUnavailable",)
FAULTS: dict[str, Fault] = {
    # credentials
    "STS: 500": unsent(sts(sts_error(500, "InternalFailure")), *CREDENTIALS),
    "STS: Throttling": unsent(sts(sts_error(400, "Throttling", "Rate exceeded")), *CREDENTIALS),
    "STS: AccessDenied": unsent(sts(sts_error(403, "AccessDenied")), *CREDENTIALS, repeated=None),
    "STS: hangs up": unsent(sts(HANG_UP), *CREDENTIALS),
    "STS: junk": unsent(sts(JUNK), *CREDENTIALS),
    "STS: stalls, deadline": late(sts(STALL, timeout=SOON), NOT_SENT),
    "token file away": unsent(token_away, *CREDENTIALS),
    # connecting
    "refused": unsent(refused, "ConnectFailed"),
    "SYN dropped, connect timeout": unsent(syn_dropped(), "ConnectTimeout", repeated=None),
    "SYN dropped, deadline": late(syn_dropped(timeout=SOON), NOT_SENT),
    "TLS: unknown authority": unsent(untrusted, "TLSFailed"),
    "TLS: FIN in the handshake": unsent(no_handshake("close"), "TLSFailed", "ConnectFailed"),
    "TLS: RST in the handshake": unsent(no_handshake("reset"), "TLSFailed", "ConnectFailed"),
    "TLS: stalls, deadline": late(no_handshake("stall", timeout=SOON), NOT_SENT),
    "proxy: FIN on CONNECT": unsent(proxy("close"), "ProxyFailed"),
    "proxy: RST on CONNECT": unsent(proxy("reset"), "ProxyFailed"),
    "proxy: 502": unsent(proxy("refuse"), "ProxyFailed", says="the proxy answered 502"),
    "proxy: 407": unsent(proxy("tunnel"), "ProxyFailed", says="the proxy answered 407"),
    "proxy: 407, wrong password": unsent(
        proxy("tunnel", "ann:wrong"), "ProxyFailed", says="the proxy answered 407"
    ),
    "proxy: stalls, connect timeout": unsent(
        proxy("stall", connect_timeout=SOON), "ConnectTimeout", repeated=None
    ),
    "proxy: stalls, deadline": late(proxy("stall", timeout=SOON), NOT_SENT),
    # writing
    "upload: reset in the middle": Fault(
        prepare=upload(Act(sent=b"", body_read=100_000, then="reset")),
        raises=TransportError,
        delivery=NOT_SENT,
        repeated=None,
        client_may_say=UNKNOWN,
    ),
    "upload: stalls, deadline": late(
        upload(Act(sent=b"", body_read=100_000, then="stall"), timeout=SOON),
        NOT_SENT,
        client_may_say=UNKNOWN,
    ),
    "upload: early 429": Fault(
        prepare=upload(Act(sent=throttle_answer(), body_read=100_000, then="close")),
        raises=ThrottledError,
        delivery=REJECTED,
        status=429,
        repeated=None,
    ),
    "upload: early 413": Fault(
        prepare=upload(
            Act(
                sent=error_answer(413, "RequestEntityTooLargeException"),
                body_read=100_000,
                then="close",
            )
        ),
        raises=RejectedError,
        delivery=REJECTED,
        codes=("RequestEntityTooLargeException",),
        status=413,
        repeated=None,
    ),
    # reading
    "hangs up": lost(answered(HANG_UP), "ConnectionLost"),
    "resets": lost(answered(RESET), "ConnectionLost"),
    "junk": lost(answered(JUNK), "InvalidAnswer"),
    "body cut short": lost(
        answered(Act(sent=answer(200, b"0123", length=9), then="close")), "TruncatedBody"
    ),
    "error body cut short": Fault(
        prepare=answered(Act(sent=answer(500, b'{"m', length=9), then="close")),
        raises=ServiceError,
        delivery=UNKNOWN,
        codes=("500",),
        status=500,
        whole=1,
    ),
    "head cut short": lost(answered(Act(sent=b"HTTP/1.1 200 OK\r\nConte", then="close"))),
    "silence before the head": lost(silent(STALL), "ReadTimeout", repeated=None),
    "silence in the body": lost(
        silent(Act(sent=answer(200, b"0123", length=9), then="stall")),
        "ReadTimeout",
        repeated=None,
    ),
    "silence, deadline": late(answered(STALL, is_timed=True), UNKNOWN, whole=1, is_staged=was_read),
    "silence in the body, deadline": late(
        answered(Act(sent=answer(200, b"0123", length=9), then="stall"), is_timed=True),
        UNKNOWN,
        whole=1,
        is_staged=was_read,
    ),
    "an answer beyond Lambda's limit": lost(answered(answer(200, b"x" * 8_000_000)), repeated=None),
    # answers
    "throttled": Fault(
        prepare=answered(throttle_answer()),
        raises=ThrottledError,
        delivery=REJECTED,
        codes=("TooManyRequestsException",),
        status=429,
        whole=1,
        repeated=True,
    ),
    "throttled, silence in the body": Fault(
        prepare=silent(Act(sent=answer(429, b"{}", length=9), then="stall")),
        raises=ThrottledError,
        delivery=REJECTED,
        codes=("429",),
        status=429,
        whole=1,
        repeated=None,
        is_staged=lambda error, server: error.code != "ReadTimeout",
    ),
    "function error": Fault(
        prepare=answered(function_error_answer()),
        raises=FunctionError,
        delivery=EXECUTED,
        status=200,
        whole=1,
    ),
    "redirect": Fault(
        prepare=answered(answer(307, b"", {"Location": "/elsewhere"})),
        raises=RejectedError,
        delivery=REJECTED,
        status=307,
        whole=1,
    ),
    **{
        f"{status} for {kind}": Fault(
            prepare=answered(answer(status, b"<html>Sign in</html>"), invocation_type=kind),
            raises=TransportError,
            delivery=UNKNOWN,
            status=status,
            whole=1,
            repeated=kind == "DryRun",
        )
        for kind, statuses in {"Event": (200, 204), "DryRun": (200, 202)}.items()
        for status in statuses
    },
}


STATUSES: dict[int, tuple[type[InvocationError], Delivery]] = {
    400: (RejectedError, REJECTED),
    403: (RejectedError, REJECTED),
    404: (RejectedError, REJECTED),
    429: (ThrottledError, REJECTED),
    500: (ServiceError, UNKNOWN),
    503: (ServiceError, UNKNOWN),
}
"""The meaning of a status, whatever the body."""

BODIES = {
    "a string": b'"slow down"',
    "a list": b"[1, 2]",
    "null": b"null",
    "a number": b"7",
    "not UTF-8": b"\xff\xfe{",
    "empty": b"",
    "HTML": b"<html><body>No</body></html>",
    "deep": b"[" * 100_000,
    "odd members": b'{"message": 3, "Reason": ["x"], "__type": {}, "Error": null}',
}
"""Bodies that may follow it."""


def _chunks(status: int, body: bytes) -> bytes:
    head = answer(status, b"")
    return head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + body


BROKEN_BODIES: dict[str, Callable[[int], Act]] = {
    "is cut off": lambda status: Act(sent=answer(status, b"{}", length=9), then="close"),
    "is reset": lambda status: Act(sent=answer(status, b"{}", length=9), then="reset"),
    "is too long": lambda status: Act(sent=answer(status, b"", length=8_000_000), then="close"),
    "is no chunks": lambda status: Act(sent=_chunks(status, b"zz\r\n"), then="close"),
    "is half of its chunks": lambda status: Act(sent=_chunks(status, b"2\r\n{}\r\n"), then="close"),
}
"""What may happen to the body before it has arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A configuration of an invoker that can never work."""

    names: str
    """A regular expression that the message must match."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """`{}` stands for the test's directory."""
    options: Mapping[str, Any] = field(default_factory=dict)
    secret: str | None = None
    """A text that the message must not contain."""


_PROCESS = "credential_process"

SETUPS: dict[str, Setup] = {
    "CA bundle is missing": Setup(
        names="nowhere.pem", environment={"AWS_CA_BUNDLE": "{}/nowhere.pem"}
    ),
    "CA bundle is a directory": Setup(names="{}", environment={"AWS_CA_BUNDLE": "{}"}),
    "CA bundle is junk": Setup(names="junk.pem", environment={"AWS_CA_BUNDLE": "{}/junk.pem"}),
    "client certificate is missing": Setup(
        names="nobody.pem", options={"config": AioConfig(client_cert="/nowhere/nobody.pem")}
    ),
    "connector arguments exclude each other": Setup(
        names="force_close", options={"config": AioConfig(connector_args={"force_close": True})}
    ),
    "signature version is unknown": Setup(
        names="v99", options={"config": AioConfig(signature_version="v99")}
    ),
    "port is out of range": Setup(
        names="99999", options={"endpoint_url": "https://127.0.0.1:99999"}
    ),
    "key ends in a newline": Setup(
        names="(?i)access.?key",
        environment={"AWS_ACCESS_KEY_ID": "AKIANEWLINE\n"},
        secret="AKIANEWLINE",
    ),
    "token ends in a newline": Setup(
        names="(?i)session.?token",
        environment={"AWS_SESSION_TOKEN": "newline-token\n"},
        secret="newline-token",
    ),
    "credential process is missing": Setup(
        names="no-such-process",
        environment={"AWS_CONFIG_FILE": "{}/config", "AWS_PROFILE": "process"},
    ),
}


def write_setup_files(directory: Path) -> None:
    """Write the files that the configurations of the table refer to."""
    (directory / "junk.pem").write_text("not a certificate\n")
    (directory / "config").write_text(
        f"[profile process]\n{_PROCESS} = {directory}/no-such-process --quiet\n", encoding="utf-8"
    )
