"""REPORT lines of a fraction of the items, and their totals."""

import json

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import Delivery, FunctionError, LogType, Outcome, Response
from asyncinvoke._inputs.item import Item, ItemSpec
from asyncinvoke._report.prices import Sampled as Noted
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.map.sampling import (
    ReportSums,
    SampledItem,
    check_sampling,
    is_sampled,
    share_option,
)

# As Lambda's runtimes and documentation write it.
REPORT = (
    "START RequestId: 6f6c Version: $LATEST\nEND RequestId: 6f6c\n"
    "REPORT RequestId: 6f6c\tDuration: 89.59 ms\tBilled Duration: {billed} ms\t"
    "Memory Size: {memory} MB\tMax Memory Used: 40 MB\t{rest}\n"
)


def outcome(log: str | None, *, failed: bool = False) -> Outcome:
    response = Response(status_code=200, payload=b"1", log_result=log)
    if not failed:
        return Outcome(index=0, response=response, started=0, elapsed=1)
    error = FunctionError(
        "no", function_error="Unhandled", error_type=None, error_message=None, stack_trace=(),
        response=response, function_name="f", delivery=Delivery.EXECUTED,
    )  # fmt: skip
    return Outcome(index=0, error=error, started=0, elapsed=1)


def test_report_lines_add_up_over_sessions() -> None:
    first = ReportSums()
    log = REPORT.format(billed=100, memory=1024, rest="Init Duration: 120.5 ms\t")
    assert first.add(outcome(log))
    assert first.add(outcome(REPORT.format(billed=300, memory=512, rest=""), failed=True))
    assert not first.add(outcome(None))
    assert not first.add(outcome("nothing of the kind"))
    second = ReportSums(json.loads(json.dumps(first.as_note())))
    second.add(outcome(log))
    noted = Noted.from_note(second.as_note())
    assert noted is not None
    assert (noted.count, noted.billed_ms, noted.inits, noted.memory_mb) == (3, 500, 2, (512, 1024))
    assert noted.gb_s == pytest.approx(0.1 + 0.15 + 0.1)
    assert noted.gb_s_squared == pytest.approx(0.01 + 0.0225 + 0.01)


@given(st.integers(1, 100), st.integers(1, 3_000))
def test_a_share_of_the_items_is_sampled_and_the_first_one_always(percent: int, count: int) -> None:
    sampled = sum(is_sampled(position, percent / 100) for position in range(count))
    assert abs(sampled - count * percent / 100) <= 1
    assert is_sampled(0, percent / 100)


def test_an_item_whose_log_is_asked_for_is_otherwise_the_same() -> None:
    item = Item(3, 7, b"[1]", None, ItemSpec(None, None, is_json=False))
    sampled = item.as_one_of(SampledItem)
    assert (sampled.log_type, item.log_type) == (LogType.TAIL, None)
    assert (sampled.has_options, item.has_options) == (True, False)
    assert (sampled.position, sampled.line, sampled.payload) == (3, 7, b"[1]")


@pytest.mark.parametrize(("text", "share"), [("1%", 0.01), ("0.5", 0.5), ("100 %", 1.0)])
def test_shares_are_read(text: str, share: float) -> None:
    assert share_option(click.Context(click.Command("x")), click.Option(["--x"]), text) == share


@pytest.mark.parametrize("text", ["0", "0%", "101%", "x", "-1%", "1%%", "nan", ""])
def test_an_invalid_share_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        share_option(click.Context(click.Command("x")), click.Option(["--x"]), text)


def test_sampling_requires_a_journal_and_a_log_and_no_batches() -> None:
    check_sampling(journal="x", batch=None, has_log=True)
    for wrong in (
        {"journal": None, "batch": None, "has_log": True},
        {"journal": "x", "batch": 5, "has_log": True},
        {"journal": "x", "batch": None, "has_log": False},
    ):
        with pytest.raises(CommandError, match="--sample-logs"):
            check_sampling(**wrong)
