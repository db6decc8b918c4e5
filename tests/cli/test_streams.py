"""Writing output, and the messages when that fails."""

import errno
import os
from pathlib import Path

import anyio
import pytest

from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.map.outputs import awaited_output, opened_output
from asyncinvoke.cli.streams import Output

pytestmark = pytest.mark.anyio


def filling_up(room: int) -> object:
    """Return an `os.write` for a disk with a number of bytes left, which writes two at a time."""
    write = os.write
    left = room

    def limited(descriptor: int, data: bytes) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(descriptor, data[: min(left, 2)])
        left -= written
        return written

    return limited


@pytest.mark.parametrize("room", range(1, 21))
async def test_a_full_disk_leaves_whole_lines_and_their_number(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    with path.open("wb", buffering=0) as file:
        output = Output(file.fileno(), "out", is_ours=True)
        monkeypatch.setattr(os, "write", filling_up(room))

        async def write_all() -> None:
            for data in (b"one\n", b"two\nthree\n", b"four\nfive\n", b"six\n"):
                await output.write(data)

        with pytest.raises(CommandError, match="cannot write out: No space left") as caught:
            await write_all()
        monkeypatch.undo()
    text = b"one\ntwo\nthree\nfour\nfive\n"[:room]
    assert path.read_bytes() == text[: text.rfind(b"\n") + 1]
    assert output.lines == text.count(b"\n")
    assert caught.value.status == 1


async def test_a_file_that_others_write_to_is_not_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    with path.open("wb", buffering=0) as file:
        output = Output(file.fileno(), "standard output")
        monkeypatch.setattr(os, "write", filling_up(6))
        with pytest.raises(CommandError):
            await output.write(b"one\ntwo\n")
        monkeypatch.undo()
    assert path.read_bytes() == b"one\ntw"
    assert output.lines == 1


def test_what_the_system_says_of_a_file_too_late_is_said_with_its_name(tmp_path: Path) -> None:
    # A closed descriptor stands for a network file system, which may refuse what was written before.
    path = tmp_path / "out"
    lost = Output(os.open(path, os.O_WRONLY | os.O_CREAT), "out", is_ours=True)
    with lost:
        pass
    for fails in (lost.size, lost.position, lambda: lost.__exit__(None)):
        with pytest.raises(CommandError, match="cannot write out: Bad file") as caught:
            fails()
        assert caught.value.status == 1
    with (
        pytest.raises(CommandError, match=r"cannot write .*out: Bad file") as caught,
        opened_output(str(path)) as output,
    ):
        os.close(output.descriptor)
    assert caught.value.status == 1


@pytest.mark.parametrize("kind", [CommandError, KeyboardInterrupt])
def test_an_error_of_closing_an_output_does_not_hide_what_came_before_it(
    kind: type[BaseException], tmp_path: Path
) -> None:
    def fail() -> None:
        with opened_output(str(tmp_path / "out")) as output:
            os.close(output.descriptor)
            raise kind("the cause")

    with pytest.raises(kind, match="the cause"):
        fail()


async def test_a_pipe_gets_everything_and_the_lines_are_counted() -> None:
    reader, writer = os.pipe()
    try:
        output = Output(writer, "a pipe")
        await output.write(b"x" * 5000 + b"\n" + b"y" * 5000 + b"\n")
        assert os.read(reader, 100_000) == b"x" * 5000 + b"\n" + b"y" * 5000 + b"\n"
        assert output.lines == 2
    finally:
        os.close(reader)
        os.close(writer)


async def test_a_named_pipe_is_opened_once_it_has_a_reader_and_a_signal_ends_the_wait(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with anyio.move_on_after(0.1) as waiting:  # as a signal cancels it
        async with awaited_output(str(path)):
            pytest.fail("nobody reads it")
    assert waiting.cancelled_caught
    printed = f"interrupted: nobody reads {path}, and nothing was sent\n"
    assert capsys.readouterr().err == printed
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with awaited_output(str(path)) as output:
            await output.write(b"one\n")
            assert os.read(reader, 9) == b"one\n"
        assert os.read(reader, 9) == b""  # no one writes to it any more
    finally:
        os.close(reader)
