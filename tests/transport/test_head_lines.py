"""The lines of a head are unambiguous: valid names and values, each name once."""

from types import SimpleNamespace

import pytest
from botocore.awsrequest import HeadersDict
from botocore.compat import HTTPHeaders
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._transport.noting import _Prepared
from asyncinvoke._transport.template import first_lines

URL = "http://127.0.0.1:9/a?b=c"


def lines(headers: dict[str, str]) -> list[str] | None:
    written = first_lines("POST", URL, "127.0.0.1:9", headers)
    return None if written is None else written.split("\r\n")


@pytest.mark.parametrize("name", ["host", "HOST", "accept", "Accept", "accept-encoding"])
def test_a_name_of_ours_is_written_once_however_it_is_spelled(name: str) -> None:
    written = lines({name: "x", "A": "1"})
    assert written is not None
    names = [line.partition(":")[0].lower() for line in written[1:-1]]
    assert sorted(names) == ["a", "accept", "accept-encoding", "host"]
    if name.lower() == "accept-encoding":
        assert "Accept-Encoding: identity" in written  # an answer is not decoded
    else:
        assert f"{name}: x" in written


def test_a_name_that_is_there_twice_in_two_spellings_is_not_written() -> None:
    assert lines({"X-A": "1", "x-a": "2"}) is None


@pytest.mark.parametrize(
    "name", ["X\r\nInjected", "X:Y", "X ", " X", "", "\u00e4", "X\n", "X\x00", "X(Y)"]
)
def test_an_invalid_name_is_not_written(name: str) -> None:
    assert lines({name: "1"}) is None


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3))
def test_there_are_as_many_lines_as_headers_or_none(headers: dict[str, str]) -> None:
    written = lines(headers)
    if written is not None:
        names = {"host", "accept", "accept-encoding", *map(str.lower, headers)}
        assert len(written) == 1 + len(names) + 1


def test_a_prepared_request_with_a_header_twice_is_not_fit() -> None:
    once = {"Content-Length": "1", "X-A": "1"}
    request = SimpleNamespace(method="POST", url=URL, body=b"1", headers=HeadersDict(once))
    assert _Prepared(request).is_fit
    request.headers = HTTPHeaders()
    for name, value in (*once.items(), ("X-A", "2")):
        request.headers[name] = value  # which adds a header
    assert not _Prepared(request).is_fit
