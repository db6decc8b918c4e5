"""CSV and TSV: all output of `csv.writer` reads back, wherever it is cut."""

import csv
import io
import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._inputs import delimited
from asyncinvoke._inputs.delimited import Delimited
from asyncinvoke._inputs.lines import Row
from asyncinvoke.inputs import InputError

from .cutting import parsed, pieces_of

FIELD = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.text(
    '",;\t\r\n x\0', max_size=6
)
HEADER = ["id", "the name", 'a "quoted", one\n']


def reader(kind: str = "CSV") -> Delimited:
    return Delimited("in.csv", kind, delimiter="," if kind == "CSV" else "\t")


def written(rows: list[list[str]], kind: str, end: str) -> bytes:
    text = io.StringIO(newline="")
    # The module does not quote a lone carriage return unless it is the line terminator.
    quoting: Literal[0, 1] = csv.QUOTE_MINIMAL if end == "\r\n" else csv.QUOTE_ALL
    dialect = "excel" if kind == "CSV" else "excel-tab"
    csv.writer(text, dialect=dialect, lineterminator=end, quoting=quoting).writerows(rows)
    return text.getvalue().encode()


@given(
    st.lists(st.lists(FIELD, min_size=3, max_size=3), max_size=6),
    st.sampled_from(["CSV", "TSV"]),
    st.sampled_from(["\r\n", "\n"]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.data(),
)
def test_what_csv_writer_writes_reads_back_wherever_it_is_cut(
    rows: list[list[str]], kind: str, end: str, mark: bytes, data: st.DataObject
) -> None:
    header = [name.strip() for name in HEADER]
    text = mark + written([header, *rows], kind, end)
    text = text[: -len(end)] if data.draw(st.booleans()) and rows and rows[-1][-1] else text
    read = parsed(reader(kind), pieces_of(data, text))
    assert [wrong for _, _, wrong in read] == [None] * len(rows)
    assert [json.loads(row) for _, row, _ in read] == [
        dict(zip(header, row, strict=True)) for row in rows
    ]


@given(st.binary(max_size=60).map(b"a,b\n".__add__), st.data())
def test_whatever_the_bytes_are_they_give_the_same_rows_wherever_they_are_cut(
    text: bytes, data: st.DataObject
) -> None:
    assert what_comes(pieces_of(data, text)) == what_comes([text])


def what_comes(pieces: list[bytes]) -> list[Row] | str:
    try:
        return parsed(reader(), pieces)
    except InputError as error:
        return str(error)


TITLE = b"Report of 2026\nid,n\n" + b"1,2\n" * 9


@pytest.mark.parametrize("text", [TITLE, b"id,n\n" + b"1,2,\xff\n" * 10, b"id,n\n" + b"1\n" * 11])
def test_an_input_whose_records_do_not_fit_its_header_is_one_error_and_gives_nothing(
    text: bytes,
) -> None:
    lines = reader()
    with pytest.raises(InputError, match=r"none of the first 10 records fits the header: \d field"):
        next(lines.feed(text))


@pytest.mark.parametrize("fitting", range(10))
def test_one_that_fits_among_the_first_is_enough(fitting: int) -> None:
    records = [b"1\n"] * 30
    records[fitting] = b"1,2\n"
    rows = parsed(reader(), [b"id,n\n", *records])
    assert [wrong is None for *_, wrong in rows] == [at == fitting for at in range(30)]


WRONG = {
    "too few": (b"1", "1 field, and the header names 2"),
    "too many": (b"1,2,3", "3 fields, and the header names 2"),
    "not UTF-8": (b"\xff,2", "not UTF-8"),
    "half a character": (b"\xe2\x82,2", "not UTF-8"),
    "a quote in the middle": (b'"a"b,2', "not well-formed: ',' expected after '\"'"),
}


@pytest.mark.parametrize(("row", "why"), WRONG.values(), ids=WRONG)
def test_a_row_that_is_wrong_is_named_by_its_line_and_the_rest_goes_on(
    row: bytes, why: str
) -> None:
    text = b'a,b\r\n\r\n"x\ny",1\n' + row + b"\nz,2"
    assert parsed(reader(), [text]) == [
        (3, b'{"a":"x\\ny","b":"1"}', None),
        (5, b"", why),
        (6, b'{"a":"z","b":"2"}', None),
    ]


def test_a_quote_that_is_never_closed_is_the_fault_of_its_row() -> None:
    rows = parsed(reader(), [b'a,b\n1,2\n3,"4\n5,6\n'])
    assert [(line, wrong) for line, _, wrong in rows] == [
        (2, None),
        (3, "a quote is not closed by the end of the input"),
    ]


def test_a_record_without_an_end_ends_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "LONGEST", 200_000)
    pieces = iter([b"a,b\n", *[b"x" * 30_000] * 100])
    with pytest.raises(
        InputError, match="the record that begins on line 2 does not end within 200"
    ):
        parsed(reader(), pieces)
    assert len(list(pieces)) > 90


def test_a_quote_that_is_not_closed_for_long_ends_the_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delimited, "LONGEST", 200_000)
    lines = reader()
    with pytest.raises(
        InputError, match="the record that begins on line 2 does not end within 200"
    ):
        parsed(lines, [b'a,b\n1,"', *[b"some text, and more\n" * 1_000] * 100])
    assert sum(map(len, lines._open)) < 300_000


def test_a_long_record_is_read_a_few_times_whatever_is_in_its_quotes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines, read = reader(), list[int]()
    rows = lines._rows

    def counted(given: list[str], *, is_last: bool) -> list[Row]:
        read.append(len(given))
        return rows(given, is_last=is_last)

    monkeypatch.setattr(lines, "_rows", counted)
    message = b'""x""\n' * 200_000
    ((line, row, wrong), _) = parsed(lines, [b'a,b\n1,"', message, b'"\n2,3\n'])
    assert (line, json.loads(row)["b"], wrong) == (2, message.decode().replace('""', '"'), None)
    # Parsing it again from its start for each piece read 10 times its length: a minute for 15 MB.
    assert sum(read) < 3 * 200_000


def test_a_record_is_given_with_the_block_that_ends_it() -> None:
    lines = reader()
    assert not list(lines.feed(b'a,b\n1,"' + b"x" * 70_000 + b"\n"))
    assert not list(lines.feed(b'y""\n'))
    assert [line for line, _, _ in lines.feed(b'z"\n')] == [2]


def test_fields_may_be_long_and_the_limit_of_the_csv_module_stays_as_it_was() -> None:
    before = csv.field_size_limit()
    ((_, row, wrong),) = parsed(reader(), [b"a,b\n1,", b"x" * 1_000_000, b"\n"])
    assert (json.loads(row), wrong) == ({"a": "1", "b": "x" * 1_000_000}, None)
    assert csv.field_size_limit() == before


NO_HEADER = {
    "numbers": (b"17,cat.jpg\n18,dog.jpg\n", "17 is a number"),
    "a fraction": (b"cat, 1.5e3\n", "1.5e3 is a number"),
    "an empty name": (b"id,,n\n", "one of the names is empty"),
    "the same name twice": (b"id,n,id\n", "'id' occurs twice"),
    "semicolons": (b"id;n\n1;2\n", "separated by semicolons: convert it with csvformat -d ';'"),
    "tabs": (b"id\tn\n1\t2\n", "separated by tabs: --from tsv"),
    "bars": (b"id|n\n1|2\n", "separated by bars"),
    "the first line of a spreadsheet": (b"sep=;\nid;n\n", "separated by semicolons"),
    "the first line of a spreadsheet, with commas": (b"sep=,\nid,n\n", "take this line away"),
    "JSON": (b'{"id": 1}\n', "it looks like JSON"),
    "too long a quote": (b'"id,n\n', "a quote is not closed by the end of the input"),
    "not UTF-8": (b"id,\xff\n", "not UTF-8"),
}


@pytest.mark.parametrize(("text", "why"), NO_HEADER.values(), ids=NO_HEADER)
def test_an_invalid_header_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(InputError, match="line 1 must be a header of CSV") as caught:
        parsed(reader(), [text])
    assert why in str(caught.value)


def test_commas_in_tsv_are_refused_and_one_name_alone_is_a_header() -> None:
    tabs = Delimited("in", "TSV", delimiter="\t")
    with pytest.raises(InputError, match="separated by commas: --from csv"):
        parsed(tabs, [b"id,n\n1,2\n"])
    assert parsed(reader(), [b"id\na;b\n"]) == [(2, b'{"id":"a;b"}', None)]


@pytest.mark.parametrize("text", [b"", b"\xef\xbb\xbf", b"\n\r\n", b"\r"])
def test_nothing_has_no_header(text: bytes) -> None:
    with pytest.raises(InputError, match="is empty, and should begin with a header"):
        parsed(reader(), [text])


def test_old_line_endings_do_not_cause_unbounded_buffering() -> None:
    piece = b"some,text\r" * 10_000
    lines = reader()
    rows = list(lines.feed(b"a,b\r" + piece))
    assert len(rows) > 3_000
    assert len([*rows, *lines.feed(piece), *lines.finish()]) == 20_000


def test_each_of_many_columns_is_checked_once() -> None:
    # Comparing each with all others took six seconds for twenty thousand.
    fields: list[str] = [_Counted(f"column {number}") for number in range(500)]
    _Counted.compared = 0
    assert reader()._checked_header(1, fields, None) == fields
    assert _Counted.compared < 10 * len(fields)


class _Counted(str):
    """A string that counts comparisons."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        _Counted.compared += 1
        return str.__eq__(self, other)
