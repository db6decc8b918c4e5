"""The log of a process: lines as they arrive, and the lines of an error as in the service."""

import os

import anyio
import pytest

from asyncinvoke.local.execution.pipe import OutputPipe

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


TRACE = b'Traceback (most recent call last):\r\xc2\xa0\xc2\xa0File "a.py", line 1, in f\r'


@pytest.mark.parametrize("trace", [TRACE, b"Traceback (most recent call last):"])
@pytest.mark.parametrize("message", [b"one", b"one\ntwo\n\nthree", b"one\r\ntwo\rthree", b""])
async def test_an_error_has_line_feeds_whatever_its_message_and_however_many_frames(
    message: bytes, trace: bytes
) -> None:
    message = b"[ERROR] ValueError: " + message
    with OutputPipe() as pipe:
        os.write(pipe.descriptor, b"before\rwritten\n" + message + b"\r" + trace + b"\nafter\r\n")
        taken = pipe.take()
    fixed = message + b"\n" + trace.replace(b"\r", b"\n")
    assert taken == b"before\rwritten\n" + fixed + b"\nafter\r\n"


async def test_lines_are_logged_as_they_arrive_and_the_platforms_are_separate() -> None:
    told: list[str] = []
    with OutputPipe(told.append) as pipe:
        os.write(pipe.descriptor, b"one\ntw")
        pipe.take()
        assert told == ["one"]
        os.write(pipe.descriptor, b"o\nhalf")
        pipe.mark(b"END\nREPORT\n")
        assert told == ["one", "two", "half", "END", "REPORT"]
        os.write(pipe.descriptor, "ä".encode() + b"\xff")
    assert told[5:] == ["ä\ufffd"]


async def test_a_line_without_an_end_is_logged_in_pieces() -> None:
    told: list[str] = []
    with OutputPipe(told.append) as pipe:
        for _ in range(5):
            os.write(pipe.descriptor, b"x" * 60_000)
            pipe.take()
    assert "".join(told) == "x" * 300_000
    assert len(told) > 1


@pytest.mark.parametrize("by", ["the loop", "take"])
async def test_endless_output_does_not_block_the_loop(by: str) -> None:
    """Each logged line causes the next one to be written, so the pipe is never empty."""
    line, told, most = b"x" * 1000 + b"\n", 0, 5_000

    def tell(_: str) -> None:
        nonlocal told
        told += 1
        if told < most:
            os.write(pipe.descriptor, line)

    with OutputPipe(tell) as pipe:
        os.write(pipe.descriptor, line)
        if by == "take":
            pipe.take()
            assert 0 < told < 100
        else:
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            assert 0 < told < 100
        most = 0
