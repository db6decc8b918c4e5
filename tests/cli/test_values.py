"""Numbers and durations on the command line: which are accepted, and the errors for others."""

import contextlib
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.types import FloatParamType, IntParamType
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke.cli.app import app
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.local import endpoint, settings
from asyncinvoke.cli.map.sampling import share_option
from asyncinvoke.cli.map.settings import parse_tolerance
from asyncinvoke.cli.values import Duration, Number, WholeNumber
from asyncinvoke.local import LocalLambda
from tests.cli.commands import all_commands

NO_NUMBERS = [
    "",
    " ",
    "nan",
    "inf",
    "-inf",
    "1_000",
    "1,000",
    "٣",
    "0x10",
    "1e400",
    "five",
    "--",
    "1 2",
]
TYPES = [WholeNumber(0), Number(0), Duration()]


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: type(kind).__name__)
def test_an_invalid_number_is_quoted_and_refused(kind: "click.ParamType[Any]", text: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    assert caught.value.message.startswith(repr(text))


READERS: dict[str, Callable[[str], object]] = {
    "--tolerate": parse_tolerance,
    "--tolerate, a share": lambda text: parse_tolerance(f"{text}%"),
    "--sample-logs": lambda text: share_option(None, None, text),  # type: ignore[arg-type]  # unused
    "--set memory": lambda text: settings.parse_settings([f"f:memory={text}"]),
    "--set timeout": lambda text: settings.parse_settings([f"f:timeout={text}"]),
    "--reserved": lambda text: endpoint.whole_number("f", text),
    "--event-retry-delay": lambda text: settings.retry_delays(f"5,{text}"),
    "--fault count": lambda text: endpoint.inject(LocalLambda(), f"reset,count={text}"),
    "--fault probability": lambda text: endpoint.inject(LocalLambda(), f"reset,probability={text}"),
}


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_an_invalid_number_within_a_value_is_quoted_and_refused(
    read: Callable[[str], object], text: str
) -> None:
    with pytest.raises((ValueError, click.BadParameter, CommandError)):
        read(text)


@pytest.mark.parametrize(("text", "seconds"), [("5m", 300.0), ("1.5", 1.5), ("500ms", 0.5)])
def test_a_time_limit_of_one_function_is_a_duration_as_that_of_all(
    text: str, seconds: float
) -> None:
    assert settings.parse_settings([f"f:timeout={text}"])["f"].timeout == seconds


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (WholeNumber(1), "+7", 7),
        (WholeNumber(1), " 7 ", 7),
        (Number(0), "0", 0.0),
        (Number(0, above=True), ".5", 0.5),
        (Number(0), "1e3", 1000.0),
        (Duration(), "1.5s", 1.5),
        (Duration(900), "15m", 900.0),
    ],
)
def test_a_number_is_read(kind: "click.ParamType[Any]", text: str, value: float) -> None:
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (WholeNumber(1), "0", "'0' must be a whole number, 1 or more"),
        (WholeNumber(1), "1e3", "'1e3' must be a whole number, 1 or more"),
        (WholeNumber(1), "9" * 19, "must be a whole number, 1 or more"),
        (WholeNumber(0, 65535), "65536", "'65536' must be a whole number, 0 to 65535"),
        (Number(0, above=True), "0", "'0' must be a number, above 0"),
        (Number(0), "-1", "'-1' must be a number, 0 or more"),
        (Duration(900), "16m", "'16m' is more than 900 seconds"),
        (Duration(), "9" * 400, "is not a duration: write 30, 1.5s, 500ms, 5m or 1h"),
        (Duration(), "0", "'0' is not a duration: write 30, 1.5s, 500ms, 5m or 1h"),
    ],
)
def test_the_error_for_a_number_out_of_range_gives_the_range(
    kind: "click.ParamType[Any]", text: str, says: str
) -> None:
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    assert says in caught.value.message


@given(st.text(max_size=30))
def test_any_text_is_a_finite_number_or_is_refused(text: str) -> None:
    for kind in TYPES:
        with contextlib.suppress(click.BadParameter):
            assert 0 <= kind.convert(text, None, None) < float("inf")


def test_no_option_takes_the_numbers_that_click_takes() -> None:
    # They accept `nan` in every range, and say "0 is not in the range x>=1".
    for command in all_commands(app):
        for parameter in command.params:
            assert not isinstance(parameter.type, IntParamType | FloatParamType), (
                command.name,
                parameter.opts,
            )


def test_a_share_in_percent_is_the_share_that_is_written() -> None:
    for thousandths in range(1001):
        tolerance = parse_tolerance(f"{thousandths / 10}%")
        assert tolerance is not None
        assert not tolerance.is_exceeded(thousandths, 1000)
        assert thousandths == 1000 or tolerance.is_exceeded(thousandths + 1, 1000)
