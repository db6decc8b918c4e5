"""An endpoint that cannot be reached when a command begins: what it says, and how it is stopped."""

import re
import signal
from pathlib import Path

import anyio
import pytest

from tests.doubles.addresses import refused_port, silent_port

from .processes import Lines, started

pytestmark = pytest.mark.anyio

NOT_SENT = "unfinished: 3 lines without an outcome, 0 of them may have run; "


async def test_what_cannot_be_reached_is_named_and_ctrl_c_knows_that_nothing_was_sent(
    tmp_path: Path,
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n2\n3\n")

    async def try_out(command: str, url: str, waiting: str, last: str) -> None:
        words = ("in.jsonl",) if command == "map" else ()
        options = ("-u", url, "-r", "us-east-1")
        async with started(command, "f", *words, *options, cwd=tmp_path) as process:
            err = Lines(process.stderr)
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
                    "invoke",
                    away,
                    f"no connection to {away} yet{stops}",
                    "interrupted: the function has not",
                ),
                ("map", away, f"{admitted}: no connection to {away} yet{stops} the run", NOT_SENT),
                ("map", gone, f"{admitted}: {gone} refuses connections{stops} the run", NOT_SENT),
            ):
                group.start_soon(try_out, *arguments)
