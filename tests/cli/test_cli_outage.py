"""A command whose endpoint cannot be reached: its messages, and how it is stopped."""

import re
import signal
from pathlib import Path

import anyio
import pytest

from tests.doubles.addresses import refused_port, silent_port

from .processes import LineReader, started

pytestmark = pytest.mark.anyio

NOT_SENT = "unfinished: 3 lines without an outcome, 0 of them may have run; "


async def test_what_cannot_be_reached_is_named_and_ctrl_c_knows_that_nothing_was_sent(
    tmp_path: Path,
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n2\n3\n")

    async def try_out(words: str, url: str, waiting: str, last: str) -> None:
        async with started(*words.split(), "-u", url, "-r", "us-east-1", cwd=tmp_path) as process:
            err = LineReader(process.stderr)
            assert re.sub(r"for \d+ s", "for N s", await err.next()) == f"waiting: {waiting}"
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
            assert (await err.all()).splitlines()[-1].startswith(last)

    with silent_port() as silent:
        away, gone = f"http://127.0.0.1:{silent}", f"http://127.0.0.1:{refused_port()}"
        admitted = "nothing was admitted for N s"
        stops = "; Ctrl-C stops"
        async with anyio.create_task_group() as group:
            for arguments in (
                (
                    "invoke f",
                    away,
                    f"no connection to {away} yet{stops}",
                    "interrupted: the function has not",
                ),
                *(
                    (f"map f in.jsonl {more}", url, f"{admitted}: {why}{stops} the run", NOT_SENT)
                    for url, why in (
                        (away, f"no connection to {away} yet"),
                        (gone, f"{gone} refuses connections"),
                    )
                    for more in ("", "--idempotent")
                ),
            ):
                group.start_soon(try_out, *arguments)
