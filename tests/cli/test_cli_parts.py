"""The parts of the command line that need no process."""

import json
import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import Outcome, Response
from asyncinvoke.cli.errors import one_line
from asyncinvoke.cli.jsonl import NotJsonError, check_json, read_lines
from asyncinvoke.cli.outcomes import as_line
from asyncinvoke.cli.progress import Counts, Rate, described
from asyncinvoke.cli.streams import CHUNK


@given(st.text())
def test_one_line_is_one_printable_line(text: str) -> None:
    assert one_line(text).isprintable()
    assert len(one_line(text * 2000)) <= 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.sampled_from([None, 1]))
def test_an_outcome_keeps_its_payload_on_one_line(value: object, indent: int | None) -> None:
    payload = json.dumps(value, indent=indent).encode()
    check_json(payload)
    line = as_line(
        Outcome(index=0, response=Response(status_code=200, payload=payload), started=0, elapsed=0)
    )
    assert line.count(b"\n") == 1
    assert json.loads(line)["payload"] == value


def test_numbers_keep_every_digit() -> None:
    payload = b"[1.10, %s]" % (b"9" * 5000)
    response = Response(status_code=200, payload=payload)
    assert payload in as_line(Outcome(index=0, response=response, started=0, elapsed=0))


def test_a_payload_that_is_not_json_is_kept_as_base64() -> None:
    response = Response(status_code=200, payload=b"\xff")
    line = json.loads(as_line(Outcome(index=0, response=response, started=0, elapsed=0)))
    assert line["payload_base64"] == "/w=="
    assert "payload" not in line


@pytest.mark.parametrize("data", [b"", b"{", b"1 2", b"NaN", b"\xff", b"[" * 100_000, b"{'a': 1}"])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(NotJsonError):
        check_json(data)


@pytest.mark.anyio
async def test_lines_longer_than_one_read_come_whole() -> None:
    long = b'"' + b"x" * (2 * CHUNK + 17) + b'"'
    with tempfile.TemporaryFile() as file:
        file.write(b"1\n\n" + long + b"\n2")
        file.seek(0)
        lines = [line async for line in read_lines(file.fileno(), "a file")]
    assert [(line.number, line.data) for line in lines] == [(1, b"1"), (3, long), (4, b"2")]


@pytest.mark.anyio
async def test_a_line_split_between_two_writes_comes_whole() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"12")
    lines = read_lines(reader, "a pipe")
    os.write(writer, b"34\n5")
    assert (await anext(lines)).data == b"1234"
    os.close(writer)
    assert (await anext(lines)).data == b"5"
    await lines.aclose()
    os.close(reader)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.at(0.0, 0) == 0
    assert rate.at(2.0, 20) == 10
    for second in range(3, 20):
        last = rate.at(float(second), 20)
    assert last == 0


@given(st.integers(0, 10**6), st.integers(0, 10**4), st.integers(0, 10**6))
def test_the_live_line_leaves_room_for_a_bar_at_80_columns(
    done: int, in_flight: int, throttles: int
) -> None:
    counts = Counts(
        elapsed=1, succeeded=done, failed=0, in_flight=in_flight, throttles=throttles, total=done
    )
    assert len(described(counts)) <= 70
