"""`asyncinvoke demo`, on some modules of the standard library."""

import fcntl
import gc
import os
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from asyncinvoke.cli.demo import chart, story
from asyncinvoke.cli.demo.library import add_up, find_modules
from asyncinvoke.cli.demo.measure import measure
from asyncinvoke.runs import is_begun
from tests.cli.processes import COMMAND
from tests.doubles.forked import FORKER, Ended, LineReader
from tests.doubles.zipped import zipped


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="awslambdaric is for Linux")
async def test_the_demo_survives_throttles_and_its_totals_agree() -> None:
    ended = await demo(
        *("--head", "40", "--concurrency", "20", "--account-concurrency", "2"),
        AWS_PROFILE="missing",
        HTTP_PROXY="http://127.0.0.1:1",
    )
    assert ended.status == 0, ended.out + ended.err
    assert "\x1b" not in ended.out + ended.err
    assert re.search(r"succeeded +40\n", ended.out)
    assert re.search(r"executions at once +2 at most\n", ended.out)
    assert " 0 throttles survived" not in ended.out
    assert ended.out.count("✓") == 6
    assert re.search(r"killed +with kill -9, after \d+ had finished; the same", ended.out)
    assert "✓ nothing ran twice, despite the kill" in ended.out
    assert "✓ the totals match those computed without Lambda" in ended.out
    assert re.search(r"streamed +\w+\.py, [\d,]+ bytes in [\d,]+ chunks", ended.out)
    assert "✓ the streamed file is identical, byte for byte" in ended.out
    assert re.search(r"in flight +[▁▂▃▄▅▆▇█]", ended.out)
    assert re.search(
        r"^> Done in [\d.]+ s: [\d,]+ throttles?, one kill, and 40 of 40", ended.out, re.MULTILINE
    )
    assert "the same command again: it continues, and repeats none of them" in ended.err
    _, _, suggested = ended.out.partition("Try next\n")
    assert "asyncinvoke doctor" in suggested
    # Its standard input is a terminal of 120 columns, which it must ignore.
    lines = ended.out.splitlines()
    assert max(map(len, ended.out.partition("Try next")[0].splitlines())) <= 80
    assert lines == [line.rstrip() for line in lines]


async def demo(*arguments: str, **environment: str) -> Ended:
    terminal, stdin = os.openpty()
    fcntl.ioctl(stdin, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    environment = {**os.environ, **environment}
    environment.pop("COLUMNS", None)
    try:
        async with await FORKER.start(
            *("-m", "asyncinvoke", "demo", *arguments), stdin=stdin, env=environment
        ) as process:
            out, err = LineReader(process.stdout), LineReader(process.stderr)
            printed = [await out.all(), await err.all()]
            return Ended(await process.wait(), *printed)
    finally:
        os.close(stdin)
        os.close(terminal)


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="awslambdaric is for Linux")
async def test_totals_that_differ_are_printed_and_are_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def measure_wrongly(modules: dict[str, Path], _: object) -> list[dict[str, Any]]:
        return [
            {**measure(name, path.read_text("utf-8")), "lines": 0} for name, path in modules.items()
        ]

    monkeypatch.setattr(story, "measure_again", measure_wrongly)
    assert not await story.run_demo(find_modules(3), concurrency=3, account_concurrency=2)
    assert "✗ wrong: the totals match those computed without Lambda" in capsys.readouterr().out


def test_without_aws_runtime_the_function_runs_in_process_with_a_note() -> None:
    program = (
        "import sys; sys.modules['awslambdaric'] = None; from asyncinvoke.cli.app import run;"
        "sys.exit(run(['demo', '--head', '5', '--account-concurrency', '2']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    printed = " ".join(ended.stdout.split())
    assert (
        "runs in this process, as AWS's Lambda runtime is not installed (pip install 'asyncinvoke["
        in printed
    )
    assert ended.stdout.count("✓") == 6


@pytest.mark.skipif(sys.platform != "linux", reason="awslambdaric is for Linux")
def test_the_demo_runs_from_a_zip_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "asyncinvoke", "demo", "--head", "3"]
    environment = os.environ | {"PYTHONPATH": str(zipped(tmp_path))}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("✓") == 6


@pytest.mark.skipif(sys.platform != "linux", reason="awslambdaric is for Linux")
def test_a_reader_that_goes_away_ends_the_demo_quietly() -> None:
    pipeline = ["sh", "-c", '{ "$@"; echo "status $?" >&2; } | head -n 1', "sh"]
    ended = subprocess.run(
        [*pipeline, *COMMAND, "demo", "--head", "2"], capture_output=True, text=True, timeout=60
    )
    assert ended.stdout.count("\n") == 1
    # The progress until then depends on the speed of the machine.
    assert ended.stderr.splitlines()[-1] == "status 141"
    assert "rror" not in ended.stderr


@pytest.mark.anyio
async def test_a_demo_that_is_killed_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    async with await anyio.open_process(
        [*COMMAND, "demo", "--account-concurrency", "1"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        with anyio.fail_after(60):
            while not any(is_begun(each) for each in tmp_path.glob("*/demo.run")):
                await anyio.sleep(0.02)
            process.kill()
            while any(tmp_path.iterdir()):  # it is gone by the end of the child
                await anyio.sleep(0.02)


def test_the_whole_library_is_more_than_a_thousand_modules() -> None:
    modules = find_modules()
    assert len(modules) > 1000
    assert len(set(modules.values())) == len(modules)
    assert "asyncio.__init__" in modules
    assert not [name for name in modules if "site-packages" in name]


def test_a_module_is_measured() -> None:
    source = "import os\nfrom a import b\nclass C:\n    async def long(self):\n        pass\ndef f(): 0\n"
    assert measure("m", source) == {
        "name": "m",
        "lines": 6,
        "functions": 2,
        "classes": 1,
        "imports": 2,
        "unparsable": 0,
        "longest": {"name": "m.long", "lines": 2},
    }


def test_a_module_that_does_not_parse_is_a_result() -> None:
    assert measure("m", "def (:\n")["unparsable"] == 1


def test_totals_keep_the_five_longest_functions() -> None:
    def one(n: int) -> Mapping[str, Any]:
        return measure(f"m{n}", "def f():\n" + "    0\n" * n)

    totals = add_up([dict(one(n)) for n in range(1, 9)])
    assert totals["modules"] == totals["functions"] == 8
    assert [longest["lines"] for longest in totals["longest"]] == [9, 8, 7, 6, 5]


def test_the_picture_is_at_most_sixty_columns_and_shows_what_is_most() -> None:
    samples = [chart.Sample(done=n * n, in_flight=n, throttles=min(n, 100)) for n in range(200)]
    lines = chart.drawn(samples)
    assert list(lines) == ["in flight", "throttled", "done"]
    assert {len(line) for line in lines.values()} == {chart.COLUMNS}
    assert lines["in flight"].strip()[0] == "▁"
    assert lines["in flight"][-1] == "█"
    assert lines["throttled"].rstrip() == "█" * 30
    assert chart.drawn(samples[:2]) == {}
    assert {len(line) for line in chart.drawn(samples, 20).values()} == {20}


def test_modules_are_measured_in_several_threads_at_once() -> None:
    # Without a lock around the parser, Python 3.11 fails here with a SystemError.
    sources = {name: path.read_text("utf-8", "replace") for name, path in find_modules(30).items()}
    alone = [measure(name, source) for name, source in sources.items()]

    def switch(phase: str, info: object) -> None:
        time.sleep(0)  # as a finalizer that runs Python does: another thread is scheduled

    gc.callbacks.append(switch)
    try:
        with ThreadPoolExecutor(8) as threads:
            together = list(threads.map(measure, sources, sources.values()))
    finally:
        gc.callbacks.remove(switch)
    assert together == alone
