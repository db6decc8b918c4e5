"""How each step is played on a wire, call by call."""

import math
from dataclasses import replace
from typing import Any

import pytest

from asyncinvoke.local import (
    Answer,
    Close,
    Raw,
    Reset,
    Stall,
    Step,
    Streamed,
    Truncated,
    error,
    throttle,
)
from asyncinvoke.local.faults import player

pytestmark = pytest.mark.anyio

ID = {"x-amzn-RequestId": "some-id"}
RAN = {**ID, "X-Amz-Executed-Version": "$LATEST"}
FRAMES = {**RAN, "Content-Type": "application/vnd.amazon.eventstream"}


class RecordingWire:
    """A wire that only records the calls made on it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        async def note(*args: Any, **options: Any) -> None:
            self.done.append((name, *args, *options.values()))

        return note


async def played(step: Step, real: Answer | None = None) -> list[tuple[Any, ...]]:
    async def run() -> Answer:
        assert real is not None
        return real

    notes = RecordingWire()
    answer = await player.answer_of(step, "some-id", run=None if real is None else run)
    await player.play(step, answer, notes)
    return notes.done


TEN = Answer(payload=b"0123456789", headers=RAN)

CASES: list[tuple[Step, list[tuple[Any, ...]]]] = [
    (Answer(), [("answer", Answer(headers=RAN))]),
    (throttle(), [("answer", replace(throttle(), headers={**ID, **throttle().headers}))]),
    (Answer(headers={"x-amzn-RequestId": "own"}), [
        ("answer", Answer(headers={**RAN, "x-amzn-RequestId": "own"}))
    ]),
    (Truncated(answer=TEN, sent=3), [("begin", TEN, 10), ("write", b"012"), ("close",)]),
    # A body that is cut behind its end announces one byte that never arrives.
    (Truncated(answer=TEN, sent=10), [("begin", TEN, 11), ("write", b"0123456789"), ("close",)]),
    (Reset(), [("reset",)]),
    (Reset(read=False), [("reset",)]),
    (Close(), [("close",)]),
    (Raw(sent=b"x"), [("send", b"x"), ("close",)]),
    (Stall(), [("send", b""), ("stall", math.inf), ("reset",)]),
    (Stall(seconds=2, sent=b"x"), [("send", b"x"), ("stall", 2), ("reset",)]),
]  # fmt: skip


@pytest.mark.parametrize(("step", "done"), CASES, ids=lambda value: type(value).__name__)
async def test_a_step_is_these_calls(step: Step, done: list[tuple[Any, ...]]) -> None:
    assert await played(step) == done


@pytest.mark.parametrize(
    ("ending", "done"),
    [
        ("finished", [("finish",)]),
        ("closed", [("close",)]),
        ("reset", [("reset",)]),
        ("stalled", [("stall", math.inf), ("reset",)]),
    ],
)
async def test_a_stream_is_written_frame_by_frame_and_ends_as_it_says(
    ending: Any, done: list[tuple[Any, ...]]
) -> None:
    step = Streamed(frames=(b"one", b"two"), ending=ending)
    head = Answer(payload=b"", headers=FRAMES)
    assert await played(step) == [
        ("begin", head, None),
        ("write", b"one"),
        ("write", b"two"),
        *done,
    ]


async def test_after_a_run_only_a_truncated_answer_is_the_real_one() -> None:
    assert await played(Truncated(sent=2), TEN) == [
        ("begin", TEN, 10),
        ("write", b"01"),
        ("close",),
    ]
    assert await played(Reset(), TEN) == [("reset",)]
    ((_, sent),) = await played(error(500, "ServiceException"), TEN)
    assert sent.status_code == 500
