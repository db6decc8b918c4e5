"""Credentials are a separate step: its failures were not sent, and are not throttles."""

import asyncio
import contextlib
import datetime as dt
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession
from anyio.abc import SocketAttribute, SocketStream
from botocore.credentials import Credentials, ReadOnlyCredentials
from tenacity import stop_after_attempt, wait_none

from asyncinvoke import (
    Backoff,
    Delivery,
    FailureKind,
    FixedLimit,
    InvocationError,
    Invoker,
    RetryPolicy,
)
from asyncinvoke._diagnosis.diagnose import diagnose
from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._request.parameters import checked
from asyncinvoke._transport.credential_sources import find_credentials
from asyncinvoke._transport.credentials import KeptCredentials
from asyncinvoke._transport.session import as_session
from asyncinvoke._transport.sigv4 import Moment
from asyncinvoke.testing import InstantClock
from tests.doubles.fault_endpoint import FaultEndpoint
from tests.doubles.inside import transport_of

pytestmark = pytest.mark.anyio

TWICE = RetryPolicy(transport=Backoff(wait=wait_none(), stop=stop_after_attempt(2)))
THROTTLED = (
    "400 Bad Request",
    (
        "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error>"
        "</ErrorResponse>"
    ),
)
DENIED = (
    "403 Forbidden",
    (
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no such role</Message></Error>"
        "</ErrorResponse>"
    ),
)
MISSIGNED = (
    "403 Forbidden",
    (
        "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code>"
        "<Message>x-amz-security-token:hidden</Message></Error></ErrorResponse>"
    ),
)
BROKEN = ("500 Internal Server Error", "<html>oops</html>")
HANGS_UP = None


def granted(number: int, lifetime: float = 3600) -> tuple[str, str]:
    ends = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lifetime)).isoformat()
    return (
        "200 OK",
        (
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>AKID{number}</AccessKeyId><SecretAccessKey>hidden</SecretAccessKey>"
            f"<SessionToken>token{number}</SessionToken><Expiration>{ends}</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        ),
    )


def always(answer: tuple[str, str] | None) -> Callable[[int], tuple[str, str] | None]:
    return lambda _: answer


class SecurityTokenServer:
    """A security token service with scripted answers, which counts requests."""

    def __init__(self) -> None:
        self.answer: Callable[[int], tuple[str, str] | None] = granted
        self.asked = 0
        self.heads: list[str] = []
        self.stalls = False

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            head = b""
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while b"\r\n\r\n" not in head:
                    head += await stream.receive()
                self.asked += 1
                self.heads.append(head.decode())
                if self.stalls:
                    await stream.receive()
                    await anyio.sleep_forever()
                answer = self.answer(self.asked)
                if answer is None:
                    return
                status, body = answer
                await stream.send(
                    f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n"
                    f"Connection: close\r\n\r\n{body}".encode()
                )


@contextlib.asynccontextmanager
async def open_sts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[SecurityTokenServer]:
    sts = SecurityTokenServer()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "token").write_text("identity")
    environment = {
        "AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}",
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_MAX_ATTEMPTS": "1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, sts.serve)
        yield sts
        group.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def open_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transport: Any
) -> AsyncIterator[tuple[SecurityTokenServer, FaultEndpoint, Invoker]]:
    async with (
        open_sts(monkeypatch, tmp_path) as sts,
        FaultEndpoint() as endpoint,
        Invoker(
            endpoint_url=endpoint.url,
            transport=transport,
            retry=TWICE,
            limit=FixedLimit(20),
            clock=InstantClock(),
        ) as invoker,
    ):
        yield sts, endpoint, invoker


def check_not_sent(error: InvocationError, endpoint: FaultEndpoint, *, attempts: int) -> None:
    assert error.delivery is Delivery.NOT_SENT
    assert {attempt.kind for attempt in error.attempts} == {FailureKind.TRANSPORT}
    assert {attempt.code for attempt in error.attempts} == {"CredentialsUnavailable"}
    assert len(error.attempts) == attempts
    assert endpoint.deliveries("f") == 0


ANSWERS = [
    (THROTTLED, "Throttling: Rate exceeded"),
    (DENIED, "AccessDenied: no such role"),
    (MISSIGNED, "was answered with SignatureDoesNotMatch ("),
    (BROKEN, "500"),
    (HANGS_UP, "Connection was closed"),
]


async def test_errors_of_the_token_service_were_not_sent_and_are_no_throttles_of_lambda(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transport: str
) -> None:
    async with open_all(monkeypatch, tmp_path, transport) as (sts, endpoint, invoker):
        for number, (answer, message) in enumerate(ANSWERS, 1):
            sts.answer = always(answer)
            with pytest.raises(InvocationError) as raised:
                await invoker.invoke("f")
            check_not_sent(raised.value, endpoint, attempts=2)
            assert sts.asked == 2 * number
            assert (
                message in str(raised.value) or answer is HANGS_UP
            )  # each backend has another message
            assert "hidden" not in str(raised.value)
            statistics = invoker.statistics()
            assert statistics.throttles == {}
            assert (statistics.in_flight, statistics.waiting) == (0, 0)
        # Once it grants them, calls succeed.
        sts.answer = granted
        assert (await invoker.invoke("f")).status_code == 200


@pytest.mark.parametrize("options", ["region_name", "config", "doctor"])
async def test_a_role_is_assumed_in_the_region_that_only_the_client_is_given(
    options: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transport: Any
) -> None:
    async with open_sts(monkeypatch, tmp_path) as sts:
        for name in ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name)
        (tmp_path / "config").write_text(
            "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = own\n"
            "[profile own]\naws_access_key_id = AKID\naws_secret_access_key = hidden\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_PROFILE", "role")
        sts.answer = always(DENIED)
        region: Any = {"region_name": "eu-north-1"}
        if options == "config":
            region = {"config": AioConfig(region_name="eu-north-1")}
        if options == "doctor":
            await diagnose(endpoint_url="http://127.0.0.1:9", timeout=30, **region)
        else:
            async with Invoker(
                endpoint_url="http://127.0.0.1:9", transport=transport, **region
            ) as invoker:
                with pytest.raises(InvocationError, match="no such role"):
                    await invoker.invoke("f", retry=RetryPolicy.never())
        assert "/eu-north-1/sts/aws4_request" in sts.heads[0]


async def test_a_missing_token_file_is_waited_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transport: str
) -> None:
    async with open_all(monkeypatch, tmp_path, transport) as (sts, endpoint, invoker):
        token = tmp_path / "token"
        token.unlink()
        with pytest.raises(InvocationError) as raised:
            await invoker.invoke("f")
        check_not_sent(raised.value, endpoint, attempts=2)
        assert "No such file or directory" in str(raised.value)
        assert isinstance(raised.value.__cause__, FileNotFoundError)
        token.write_text("identity")
        assert (await invoker.invoke("f")).status_code == 200
        assert sts.asked == 1


async def test_a_deadline_that_passes_while_credentials_hang_finds_that_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transport: str
) -> None:
    async with open_all(monkeypatch, tmp_path, transport) as (sts, _, invoker):
        sts.stalls = True
        progress = Progress()
        sends: Any = transport_of(invoker)
        async with anyio.create_task_group() as group:
            group.start_soon(sends.send, checked("f"), b"", progress)
            while not sts.asked:
                await anyio.sleep(0.001)
            group.cancel_scope.cancel()
        assert progress.phase is Phase.CREDENTIALS
        # The next call is not held up by the cancelled one.
        sts.stalls = False
        assert (await invoker.invoke("f")).status_code == 200


async def test_many_calls_ask_the_token_service_once_and_share_the_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transport: str
) -> None:
    async with open_all(monkeypatch, tmp_path, transport) as (sts, endpoint, invoker):
        once = RetryPolicy()
        ended: list[str] = []

        async def call() -> None:
            try:
                await invoker.invoke("f", retry=once)
                ended.append("well")
            except InvocationError as error:
                ended.append(error.delivery.value)

        for answer, end in ((BROKEN, "not_sent"), (granted(1), "well")):
            sts.asked, sts.answer = 0, always(answer)
            ended.clear()
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(call)
            assert ended == [end] * 20
            assert sts.asked == 1
        assert endpoint.deliveries("f") == 20


class Source:
    """Refreshable credentials, as a client holds them, which count requests."""

    def __init__(self, *, lifetime: float) -> None:
        self.asked = 0
        self.gate: anyio.Event | None = None
        self._expiry_time = self.ends(lifetime)
        self._mandatory_refresh_timeout = 600

    def ends(self, lifetime: float) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lifetime)

    async def get_frozen_credentials(self) -> Any:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        return Credentials("AKID", "secret", f"token{self.asked}").get_frozen_credentials()


class Signer:
    """The part of a client that holds its credentials."""

    def __init__(self, source: Any) -> None:
        self._credentials = source


async def test_credentials_are_asked_for_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(lifetime=10_000)
    kept = KeptCredentials(Signer(source))
    now = 1_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    source._expiry_time = dt.datetime.fromtimestamp(now + 10_000, dt.UTC)
    for moment in (now, now + 0.5, now + 0.99):
        now = moment
        assert kept.kept() is not None or isinstance(await kept.fetch(), Moment)
    assert source.asked == 1
    now += 0.02
    assert kept.kept() is None
    fetched = await kept.fetch()
    assert isinstance(fetched, Moment)
    assert (source.asked, fetched.timestamp) == (2, "19700112T134641Z")
    # A clock that is set back is another second, too.
    now -= 100
    assert kept.kept() is None


async def test_credentials_are_asked_for_at_once_when_they_have_run_out_or_were_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    source = Source(lifetime=0)
    source._expiry_time = dt.datetime.fromtimestamp(now + 0.5, dt.UTC)
    signer = Signer(source)
    kept = KeptCredentials(signer)
    await kept.fetch()
    assert kept.kept() is not None
    now += 0.6
    assert kept.kept() is None  # they have expired
    source._expiry_time = dt.datetime.fromtimestamp(now + 500, dt.UTC)
    await kept.fetch()
    assert kept.kept() is not None
    source._expiry_time = dt.datetime.fromtimestamp(now + 900, dt.UTC)
    assert kept.kept() is None  # other code has renewed them
    await kept.fetch()
    signer._credentials = Source(lifetime=900)
    assert kept.kept() is None  # the client has other ones


@pytest.mark.parametrize(("left", "waits"), [(700.0, False), (300.0, True)])
async def test_during_a_renewal_other_calls_use_credentials_that_are_still_valid(
    left: float, waits: bool
) -> None:
    source = Source(lifetime=left)
    kept = KeptCredentials(Signer(source))
    first = await kept.fetch()
    assert isinstance(first, Moment)
    source.gate = anyio.Event()
    got: list[Moment | Failure] = []

    async def fetch() -> None:
        got.append(await kept.fetch())

    async with anyio.create_task_group() as group:
        group.start_soon(fetch)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(fetch)
        await anyio.wait_all_tasks_blocked()
        assert len(got) == (0 if waits else 1)
        if got:
            assert isinstance(got[0], Moment)
            assert got[0].credentials is first.credentials
        source.gate.set()
    assert source.asked == 2
    assert len(got) == 2


async def test_where_the_call_that_asks_is_cancelled_one_that_waits_asks_itself() -> None:
    source = Source(lifetime=3600)
    source.gate = anyio.Event()
    kept = KeptCredentials(Signer(source))
    got: list[Moment | Failure] = []

    async def fetch(scope: anyio.CancelScope) -> None:
        with scope:
            got.append(await kept.fetch())

    asking = anyio.CancelScope()
    async with anyio.create_task_group() as group:
        for scope in (asking, anyio.CancelScope(), anyio.CancelScope()):
            group.start_soon(fetch, scope)
            await anyio.wait_all_tasks_blocked()
        assert source.asked == 1
        asking.cancel()
        await anyio.wait_all_tasks_blocked()
        assert (source.asked, got) == (2, [])
        source.gate.set()
    assert source.asked == 2
    assert [each.token for each in got if isinstance(each, Moment)] == ["token2"] * 2


async def test_credentials_that_are_replaced_while_the_old_ones_are_fetched_are_the_ones() -> None:
    old, new = Source(lifetime=3600), Source(lifetime=3600)
    old.gate, new.gate, new.asked = anyio.Event(), anyio.Event(), 10
    signer = Signer(old)
    kept = KeptCredentials(signer)
    got: list[Moment | Failure] = []

    async def fetch() -> None:
        got.append(await kept.fetch())

    async with anyio.create_task_group() as group:
        group.start_soon(fetch)
        await anyio.wait_all_tasks_blocked()
        signer._credentials = new
        group.start_soon(fetch)
        await anyio.wait_all_tasks_blocked()
        old.gate.set()
        await anyio.wait_all_tasks_blocked()
        assert kept.kept() is None  # the result belongs to the old ones
        group.start_soon(fetch)  # waits for those in progress
        await anyio.wait_all_tasks_blocked()
        new.gate.set()
    assert (old.asked, new.asked) == (1, 11)
    assert [each.token for each in got if isinstance(each, Moment)] == ["token1", *["token11"] * 2]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("access_key", "AKID\n", "the access key id has a line break"),
        ("secret_key", "se cret", "the secret access key has a space"),
        ("token", "tok\x7fen", "the session token has a control character"),
        ("token", "tök", "the session token has a character that is not ASCII"),
        ("access_key", "", "the access key id is missing"),
        ("secret_key", "", "the secret access key is missing"),
    ],
)
async def test_renewed_credentials_that_no_header_can_carry_are_refused_for_good(
    name: str, value: str, message: str, transport: Any
) -> None:
    given = {"access_key": "AKID", "secret_key": "secret", "token": "token", name: value}

    async def refresh() -> dict[str, str]:
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
        return {**given, "expiry_time": ends.isoformat()}

    async with (
        FaultEndpoint() as endpoint,
        Invoker(endpoint_url=endpoint.url, transport=transport, clock=InstantClock()) as invoker,
    ):
        sends: Any = transport_of(invoker)
        client = sends._client
        client._request_signer._credentials = AioRefreshableCredentials.create_from_metadata(
            await refresh(), refresh_using=refresh, method="custom-process"
        )
        with pytest.raises(InvocationError) as raised:
            await invoker.invoke("f")
        assert endpoint.deliveries("f") == 0
    assert message in str(raised.value)
    assert "custom-process" in str(raised.value)
    assert not value or value.strip() not in str(raised.value)
    assert (raised.value.delivery, raised.value.code) == (Delivery.NOT_SENT, "SetUpInvalid")
    assert len(raised.value.attempts) == 1


class GivenCredentials:
    """A custom credential source that returns or raises a given value."""

    method = "custom"

    def __init__(self, given: object) -> None:
        self._given = given

    async def get_frozen_credentials(self) -> object:
        await anyio.lowlevel.checkpoint()
        if isinstance(self._given, BaseException):
            raise self._given
        return self._given


def frozen(access_key: Any, secret_key: Any, token: Any = None) -> ReadOnlyCredentials:
    return ReadOnlyCredentials(access_key, secret_key, token)


ODD = {
    "nothing": (None, "CredentialsUnavailable", "gave none"),
    "keys that are None": (frozen(None, None), "SetUpInvalid", "access key id is missing"),
    "an empty secret": (frozen("AKID", ""), "SetUpInvalid", "secret access key is missing"),
    "bytes": (
        frozen(b"AKID", b"secret"),
        "SetUpInvalid",
        "access key id is not a string, but bytes",
    ),
    "something else": ("AKID:secret", "CredentialsUnavailable", "AttributeError"),
    "KeyError": (KeyError("secret"), "CredentialsUnavailable", "KeyError"),
    "a group": (ExceptionGroup("secret", [OSError(5, "x")]), "CredentialsUnavailable", "Group"),
    "MemoryError": (MemoryError(), "CredentialsUnavailable", "MemoryError"),
    "an end that has passed": (
        RuntimeError(
            "Credentials were refreshed, but the refreshed credentials are still expired."
        ),
        "CredentialsUnavailable",
        "the refreshed credentials are still expired",
    ),
    "no thread": (
        RuntimeError("can't start new thread"),
        "CredentialsUnavailable",
        "can't start new thread",
    ),
    "a text of somebody else": (RuntimeError("AKID"), "CredentialsUnavailable", "RuntimeError"),
    "StopAsyncIteration": (StopAsyncIteration(), "CredentialsUnavailable", "StopAsyncIteration"),
}


@pytest.mark.parametrize(("given", "code", "message"), ODD.values(), ids=ODD)
async def test_whatever_a_source_gives_or_raises_is_a_failure_that_was_not_sent(
    given: object, code: str, message: str, transport: Any
) -> None:
    async with (
        FaultEndpoint() as endpoint,
        Invoker(
            endpoint_url=endpoint.url, transport=transport, retry=RetryPolicy.never()
        ) as invoker,
    ):
        sends: Any = transport_of(invoker)
        sends._client._request_signer._credentials = GivenCredentials(given)
        stream = invoker.stream("f")
        for call in (invoker.invoke("f"), invoker.send_event("f"), stream.__aenter__()):
            with pytest.raises(InvocationError) as raised:
                await call
            assert (raised.value.code, raised.value.delivery) == (code, Delivery.NOT_SENT)
            assert message in str(raised.value)
            assert "AKID" not in str(raised.value)
        assert endpoint.deliveries("f") == 0
        sends._client._request_signer._credentials = GivenCredentials(frozen("AKID", "secret"))
        assert (await invoker.invoke("f")).status_code == 200


async def test_a_source_whose_own_task_was_cancelled_cancels_no_call(
    transport: Any, anyio_backend: str
) -> None:
    if anyio_backend == "trio":
        return  # there, a cancellation comes from a scope around the task, and from nowhere else
    async with (
        FaultEndpoint() as endpoint,
        Invoker(
            endpoint_url=endpoint.url, transport=transport, retry=RetryPolicy.never()
        ) as invoker,
    ):
        sends: Any = transport_of(invoker)
        good = sends._client._request_signer._credentials
        source = sends._client._request_signer._credentials = GivenCredentials(
            asyncio.CancelledError()
        )
        with pytest.raises(InvocationError) as raised:
            await invoker.invoke("f")
        assert (raised.value.code, raised.value.delivery) == (
            "CredentialsUnavailable",
            Delivery.NOT_SENT,
        )
        # A map loses only the items concerned, and the next call asks again.
        async with invoker.map("f", range(3), retry=RetryPolicy.never()) as run:
            assert [outcome.ok async for outcome in run] == [False] * 3
        source._given = await good.get_frozen_credentials()
        assert (await invoker.invoke("f")).status_code == 200
        # A cancellation by the caller cancels the call, wherever it comes.
        sends._client._request_signer._credentials = HangingCredentials()
        for cancel in (native_cancellation, scope_cancellation):
            assert await cancel(invoker), "it was swallowed"
        assert endpoint.deliveries("f") == 1


class HangingCredentials:
    async def get_frozen_credentials(self) -> None:
        await anyio.sleep_forever()


async def native_cancellation(invoker: Invoker) -> bool:
    task = asyncio.create_task(invoker.invoke("f"))
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    done, _ = await asyncio.wait([task])
    return done.pop().cancelled()


async def scope_cancellation(invoker: Invoker) -> bool:
    with anyio.move_on_after(0.01) as scope:
        await invoker.invoke("f")
    return scope.cancelled_caught


async def test_an_empty_session_token_is_none_as_it_is_for_the_sdk(transport: Any) -> None:
    session = AioSession()
    session.set_credentials("AKID", "secret", "")
    async with (
        FaultEndpoint() as endpoint,
        Invoker(endpoint_url=endpoint.url, transport=transport, session=session) as invoker,
    ):
        await invoker.invoke("f")
        await invoker.invoke("f")
        for request in endpoint.requests("f"):
            assert "x-amz-security-token" not in request.headers


@pytest.mark.parametrize(
    "role",
    ["", "[profile role]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = own\n"],
    ids=["of the profile", "of the source of a role"],
)
async def test_a_process_that_is_waited_for_ends_with_the_wait(
    role: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    (tmp_path / "hang").write_text(
        # It writes more than pipes and buffers hold, so it is being read when it signals.
        f"exec 3> {alive}; head -c 1000000 /dev/zero; echo >&3; exec sleep 300\n",
        encoding="utf-8",
    )
    own = f"[profile own]\ncredential_process = sh {tmp_path / 'hang'}\n"
    (tmp_path / "config").write_text(own + role, encoding="utf-8")
    monkeypatch.setenv("AWS_PROFILE", "role" if role else "own")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    fifo = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(find_credentials, as_session(None))
                await anyio.wait_readable(fifo)
                group.cancel_scope.cancel()
            assert os.read(fifo, 10) == b"\n"
            await anyio.wait_readable(fifo)
            assert os.read(fifo, 10) == b""  # its last writer has gone
    finally:
        os.close(fifo)
