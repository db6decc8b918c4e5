"""Output by rich: a fixed width without a terminal, and nothing cut at 60 columns."""

import io
import os
import sys
from dataclasses import replace

import pytest
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from asyncinvoke.cli.map.live import Bar, Screen
from asyncinvoke.cli.map.progress import Counts

COUNTS = Counts(
    elapsed=7384,
    succeeded=1_000_000,
    failed=234_567,
    in_flight=1000,
    throttles=98_765,
    total=9_999_999,
    rate=12_345.6,
    pace=12_345.6,
)


@pytest.mark.parametrize("columns", ["40", "60", "200", None])
@pytest.mark.parametrize("stderr", [False, True])
def test_what_goes_to_no_terminal_has_one_width_and_no_blanks_at_its_ends(
    columns: str | None,
    stderr: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor: os.terminal_size((120, 50)))
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    screen = Screen(stderr=stderr, is_text=True)
    table = Table("name", "a fact")
    table.add_row("short", "word " * 40)
    screen.print(Padding(table, (0, 0, 1, 2), expand=False))
    screen.print("word " * 40)
    captured = capsys.readouterr()
    lines = (captured.err if stderr else captured.out).splitlines()
    assert max(map(len, lines)) in range(75, 81)
    assert lines == [line.rstrip() for line in lines]


def test_text_on_a_terminal_is_as_wide_as_it_or_80(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", _Terminal())
    monkeypatch.delenv("COLUMNS", raising=False)
    for columns, width in ((120, 80), (80, 80), (60, 60)):
        monkeypatch.setattr(
            os, "get_terminal_size", lambda descriptor, n=columns: os.terminal_size((n, 50))
        )
        assert Screen(is_text=True).width == width
        assert Screen().width == columns


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_bar_shows_everything_from_60_columns_on(columns: int) -> None:
    stream = _Terminal()
    console = Console(file=stream, width=columns, color_system=None, force_terminal=True)
    bar = Bar(console)
    try:
        bar.show(COUNTS)
    finally:
        bar.close()
    drawn = stream.getvalue()
    for part in ("1,234,567/9,999,999", "12,346/s", "2:03:04", "ETA 11:50"):
        assert part in drawn
    for part in ("234,567 failed", "1,000 in flight", "98,765 throttled"):
        assert part in drawn
    assert "…" not in drawn
    assert ("━" in drawn) == (columns > 60)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_what_holds_a_run_back_has_a_line_of_its_own_below_the_bar(columns: int) -> None:
    stream = _Terminal()
    bar = Bar(Console(file=stream, width=columns, color_system=None, force_terminal=True))
    printed = (
        "function charge has a limit of 10 (ReservedFunctionConcurrentInvocationLimitExceeded)"
    )
    try:
        bar.show(replace(COUNTS, held_back=printed))
    finally:
        bar.close()
    drawn = stream.getvalue()
    assert "  function charge has a limit of 10 (Reserved" in drawn
    assert (printed in drawn) == (columns > len(printed))


def test_a_note_stays_above_the_bar() -> None:
    stream = _Terminal()
    bar = Bar(Console(file=stream, width=60, color_system=None, force_terminal=True))
    try:
        bar.show(COUNTS)
        bar.note("waiting: [bold]nothing[/] was admitted " + "for a long time " * 5)
        bar.show(COUNTS)
    finally:
        bar.close()
    assert "waiting: [bold]nothing[/] was admitted" in stream.getvalue()


def test_a_note_is_wrapped_between_words_and_keeps_its_indentation() -> None:
    stream = _Terminal()
    bar = Bar(Console(file=stream, width=30, color_system=None, force_terminal=True))
    try:
        bar.note("  the same command again: it continues, and repeats none of them")
    finally:
        bar.close()
    lines = [line.rstrip() for line in stream.getvalue().split("\n")]
    assert lines[0].endswith("  the same command again: it")
    assert lines[1] == "  continues, and repeats none"
    assert lines[2] == "  of them"


def test_a_note_does_not_control_the_terminal() -> None:
    stream = io.StringIO()
    bar = Bar(Console(file=stream, width=60, color_system=None, force_terminal=True))
    try:
        bar.note("  a\x1b]0;title\x07.run: it is not JSON")
    finally:
        bar.close()
    assert "  a\ufffd]0;title\ufffd.run: it is not JSON" in stream.getvalue()
