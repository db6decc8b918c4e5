"""Every fault of the table, on both loops and transports: its error, delivery and count."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from tenacity import stop_after_attempt, wait_none

from asyncinvoke import (
    Backoff,
    ConfigurationError,
    Delivery,
    FixedLimit,
    InvocationError,
    Invoker,
    Response,
    RetryPolicy,
    ThrottledError,
)
from tests.doubles.counting_server import Act, CountingServer
from tests.doubles.messages import answer
from tests.doubles.waiting import LONGER, until

from .conftest import LOOPS
from .faults import (
    BODIES,
    BROKEN_BODIES,
    FAULTS,
    SETUPS,
    STATUSES,
    Environment,
    Fault,
    proxy,
    write_setup_files,
)
from .invokers import SESSION, invoked, new_session, open_invoker, result_of_call

ATTEMPTS = 3
_SOON = Backoff(wait=wait_none(), stop=stop_after_attempt(ATTEMPTS))
REPEATS = RetryPolicy(throttled=_SOON, not_ready=_SOON, service=_SOON, transport=_SOON)


@pytest.mark.anyio
@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_reported_as_the_endpoint_saw_it(
    name: str, transport: str, environment: Environment
) -> None:
    fault = FAULTS[name]
    for later in LONGER:
        if await is_seen(fault, transport, dataclasses.replace(environment, later=later)):
            return
    pytest.fail("the time was up before the fault was met")


async def is_seen(fault: Fault, transport: str, environment: Environment) -> bool:
    """Check how a fault is reported; return false if the deadline passed before it occurred."""
    with fault.prepare(environment) as staged:
        payload = {"n": 1} if staged.payload is None else staged.payload
        options = {"transport": transport, "limit": FixedLimit(10), **staged.options}
        async with open_invoker(staged.url, **options) as invoker:
            staged.begin()
            ended = await invoked(invoker, payload, **staged.call)
            assert isinstance(ended, InvocationError), "it was taken for a success"
            if not fault.is_staged(ended, staged.server):
                return False
            # Written bytes are read, however late.
            await until(lambda: staged.server.whole >= fault.whole)
            count = staged.server.whole
            assert isinstance(ended, fault.raises), repr(ended)
            assert fault.says in str(ended)
            allowed = {fault.delivery}
            if transport == "client" and fault.client_may_say is not None:
                allowed.add(fault.client_may_say)
            assert ended.delivery in allowed, ended
            assert fault.codes is None or ended.code in fault.codes, ended
            assert ended.status_code == fault.status
            assert len(ended.attempts) == 1
            assert ended.attempts[0].delivery is ended.delivery
            assert count == fault.whole
            if not isinstance(ended, ThrottledError):
                statistics = invoker.statistics()
                assert not any(statistics.throttles.values()), "it slowed something down"
            if fault.repeated is None:
                return True

            ended = await invoked(invoker, payload, **staged.call, retry=REPEATS)
            assert isinstance(ended, fault.raises)
            assert len(ended.attempts) == (ATTEMPTS if fault.repeated else 1), ended
            assert staged.server.whole - count == fault.whole * len(ended.attempts)
            assert invoker.statistics().in_flight == 0
    return True


@pytest.mark.anyio
@pytest.mark.parametrize("body", BODIES)
async def test_the_status_line_decides_whatever_the_body(body: str, transport: str) -> None:
    acts = [Act(sent=answer(status, BODIES[body])) for status in STATUSES]
    with CountingServer(*acts) as server:
        async with open_invoker(server.url, transport=transport) as invoker:
            ends = {status: await invoked(invoker) for status in STATUSES}
    reported = {
        status: (type(end), end.delivery, end.status_code)
        for status, end in ends.items()
        if isinstance(end, InvocationError)
    }
    assert reported == {status: (*what, status) for status, what in STATUSES.items()}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", LOOPS, indirect=True)
@pytest.mark.parametrize("body", BROKEN_BODIES)
async def test_the_status_line_decides_even_if_the_body_is_cut_short(
    body: str, transport: str
) -> None:
    reported: dict[int, object] = {}
    acts = [BROKEN_BODIES[body](status) for status in STATUSES for _ in range(2)]
    with CountingServer(*acts) as server:
        async with open_invoker(server.url, transport=transport) as invoker:
            for status in STATUSES:
                end = await invoked(invoker)
                streamed = await result_of_call(opened(invoker))
                assert isinstance(end, InvocationError)
                assert isinstance(streamed, InvocationError)
                reported[status] = type(end), end.delivery, end.status_code
                assert reported[status] == (type(streamed), streamed.delivery, streamed.status_code)
            assert invoker.statistics().in_flight == 0
        assert server.whole == len(acts)
    assert reported == {status: (*what, status) for status, what in STATUSES.items()}


async def opened(invoker: Invoker) -> None:
    async with invoker.stream("f"):
        pytest.fail("it was opened")


@pytest.mark.anyio
async def test_a_proxy_that_is_given_its_credentials_tunnels(
    transport: str, environment: Environment
) -> None:
    with proxy("tunnel", "ann:right")(environment) as staged:
        async with open_invoker(staged.url, transport=transport, **staged.options) as invoker:
            ends = [await invoked(invoker, number) for number in range(3)]
    assert [end.json() if isinstance(end, Response) else end for end in ends] == [0, 1, 2]
    assert staged.server.whole == 3
    assert staged.server.accepted == 1


@pytest.mark.anyio
@pytest.mark.parametrize("name", SETUPS)
async def test_a_configuration_that_can_never_work_is_refused_on_opening(
    name: str, transport: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    setup = SETUPS[name]
    write_setup_files(tmp_path)
    if "AWS_PROFILE" in setup.environment:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for variable, value in setup.environment.items():
        monkeypatch.setenv(variable, value.replace("{}", str(tmp_path)))
    with CountingServer() as server:
        url = f"https://127.0.0.1:{server.port}"
        options: dict[str, Any] = {"session": new_session(), "transport": transport}
        with pytest.raises(ConfigurationError) as raised:
            async with open_invoker(url, **{**options, **setup.options}):
                pass
        assert server.accepted == 0
    assert re.search(setup.names.replace("{}", re.escape(str(tmp_path))), str(raised.value))
    assert setup.secret is None or setup.secret not in repr(raised.value)


@pytest.mark.anyio
async def test_an_unrequested_content_encoding_is_not_decoded(transport: str) -> None:
    claims = answer(200, b"as it is", {"Content-Encoding": "gzip"})
    with CountingServer(default=Act(sent=claims)) as server:
        async with open_invoker(server.url, transport=transport, session=SESSION) as invoker:
            ended = await invoked(invoker)
    assert isinstance(ended, Response), ended
    assert ended.payload == b"as it is"


def test_the_table_has_every_delivery_and_every_phase() -> None:
    assert {fault.delivery for fault in FAULTS.values()} == set(Delivery)
