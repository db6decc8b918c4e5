"""Numbers and times on the command line: which are taken, and what is said of the others."""

import contextlib
from typing import Any

import click
import pytest
from click.types import FloatParamType, IntParamType
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke.cli.app import app
from asyncinvoke.cli.values import Duration, Number, WholeNumber
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
def test_what_is_no_number_is_quoted_and_refused(kind: "click.ParamType[Any]", text: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    assert caught.value.message.startswith(repr(text))


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
def test_a_number_out_of_range_says_the_range(
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
    # They let `nan` through every range, and say "0 is not in the range x>=1".
    for command in all_commands(app):
        for parameter in command.params:
            assert not isinstance(parameter.type, IntParamType | FloatParamType), (
                command.name,
                parameter.opts,
            )
