"""The parts of the command line that can be tested without a process."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import Outcome, Response
from asyncinvoke._inputs.json_text import NotJsonError, check_json
from asyncinvoke.cli.errors import one_line
from asyncinvoke.cli.map.outcomes import as_line


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


@pytest.mark.parametrize(
    ("seconds", "printed"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1.0015, "1970-01-01T00:00:01.002Z"),
        (0.9996, "1970-01-01T00:00:01.000Z"),
    ],
)
def test_an_outcome_says_when_it_began(seconds: float, printed: str) -> None:
    response = Response(status_code=200, payload=b"")
    outcome = Outcome(index=0, response=response, started=seconds, elapsed=0)
    assert json.loads(as_line(outcome))["began"] == printed


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
