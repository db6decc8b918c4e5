"""What is logged about limits: few lines, once each, and none per call."""

import logging
import re

import pytest

from asyncinvoke import AdaptiveLimit, LimitChanged, LimitKind
from asyncinvoke._limits.events import LimitEvents
from asyncinvoke._limits.limiter import Limiter, Permit
from asyncinvoke._model.failure import ThrottleScope
from asyncinvoke._telemetry.hooks import Hooks

from .doubles import (
    ACCOUNT,
    CALLER_RATE,
    CALM,
    HOG,
    RESERVED,
    ManualClock,
    hold,
    scope_of,
    take,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "asyncinvoke")
    return caplog


def logged(lines: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    found = [(record.levelname, record.message) for record in lines.records]
    lines.clear()
    return found


async def test_calls_that_go_well_are_not_logged(lines: pytest.LogCaptureFixture) -> None:
    limiter = Limiter(AdaptiveLimit(initial=2), clock=ManualClock())
    for _ in range(50):
        for permit in await take(limiter, HOG, 2):
            permit.admitted()
    assert logged(lines) == []


async def test_a_lowered_limit_is_logged_once_a_minute_for_each_scope(
    lines: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=40, maximum=80), clock=clock)
    held = await take(limiter, HOG, 40)
    held.pop().throttled(RESERVED)
    assert logged(lines) == [("INFO", f"function hog: at most 37 in flight, was 40 ({RESERVED})")]
    for permit in held:
        permit.ignored()
    for _ in range(10):
        clock.jump(5)
        held = await take(limiter, HOG, scope_of(limiter, ThrottleScope.FUNCTION, "hog").limit)
        held.pop().throttled(RESERVED)
        for permit in held:
            permit.ignored()
    assert logged(lines) == []
    (await hold(limiter, CALM)).throttled(CALLER_RATE)
    ((level, line),) = logged(lines)
    assert level == "INFO"
    assert re.fullmatch(rf"this caller: at most [0-9.]+ a second \({CALLER_RATE}\)", line)
    clock.jump(10)
    held = await take(limiter, HOG, 1)
    held[0].throttled(RESERVED)
    ((level, line),) = logged(lines)
    assert level == "INFO"
    assert re.fullmatch(r"function hog: at most .+; lowered \d+ times since the last line", line)


async def test_a_line_counts_what_was_lowered_since_the_last_one(
    lines: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=80, maximum=80), clock=clock)
    text = []
    limit = 80
    for seconds in (0, 10, 10, 60, 60):
        clock.jump(seconds)
        held = await take(limiter, HOG, limit)
        held.pop().throttled(RESERVED)
        for permit in held:
            permit.ignored()
        limit = scope_of(limiter, ThrottleScope.FUNCTION, "hog").limit
        text += [line for _, line in logged(lines)]
    assert [re.findall(r"lowered (\d+) times", line) for line in text] == [[], ["3"], []]


def throttle(permit: Permit) -> None:
    permit.throttled(RESERVED)


def lose(permit: Permit) -> None:
    permit.unreachable("https://example.com refuses connections")


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (throttle, f"function hog pauses: {RESERVED}"),
        (lose, "this caller pauses: https://example.com refuses connections"),
        (Permit.out_of_files, "this process pauses: it has no files left"),
    ],
)
async def test_a_pause_of_a_second_is_a_warning_once_until_it_is_over(
    lines: pytest.LogCaptureFixture, end: object, line: str
) -> None:
    clock = ManualClock()
    limiter = Limiter(AdaptiveLimit(initial=1), clock=clock)
    for _ in range(2):
        for _ in range(12):
            end(await hold(limiter, HOG))  # type: ignore[operator]  # one of the three above
            clock.jump(5)
        warned = [each for each in logged(lines) if each[0] == "WARNING"]
        assert warned == [("WARNING", line)]
        for _ in range(5):
            (await hold(limiter, HOG)).admitted()
            clock.jump(5)
        assert {each.pause for each in limiter.statistics()} == {0.0}


async def test_events_of_one_throttle_are_emitted_in_order_after_the_state_is_updated() -> None:
    told: list[LimitChanged] = []
    limiter = Limiter(AdaptiveLimit(initial=9), clock=ManualClock(), hooks=Hooks([told.append]))
    held = await take(limiter, HOG, 9)
    held.pop().throttled(ACCOUNT)
    (event,) = told
    assert (event.scope, event.key, event.reason) == (ThrottleScope.ACCOUNT, "", ACCOUNT)
    assert (event.before, event.after) == (9, scope_of(limiter, ThrottleScope.ACCOUNT).limit)


def test_events_that_an_interrupted_hook_missed_are_delivered_later() -> None:
    reported: list[float] = []

    def stop_at_first(event: LimitChanged) -> None:
        if event.after == 1:
            raise KeyboardInterrupt
        reported.append(event.after)

    events = LimitEvents(Hooks([stop_at_first]))
    for after in (1, 2, 3):
        events.changed(
            ThrottleScope.CALLER, "", LimitKind.RATE, before=None, after=after, reason=CALLER_RATE
        )
    with pytest.raises(KeyboardInterrupt):
        events.deliver()
    assert reported == []
    events.deliver()
    assert reported == [2, 3]
