"""Parses CSV and TSV: a header, then one JSON object of strings per record. Does no I/O."""

import codecs
import contextlib
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from asyncinvoke._inputs.beginning import LOOKED_AT
from asyncinvoke._inputs.formats import InputError
from asyncinvoke._inputs.lines import Row

LONGEST = 16_777_216
"""The maximum size of a record, in bytes. A larger one is taken for a quote that is never closed."""

AT_ONCE = 65_536
"""The number of bytes that are parsed at once, during which the event loop is blocked."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Delimited:
    """Parses records from blocks with the `csv` module, which handles quoting.

    Args:
        name: The name of the input in messages.
        kind: The name of the format: CSV or TSV.
        delimiter: The character between two fields.
        header: The names of the columns, for an input without a header; a manifest has them.

    Raises:
        InputError: By `feed` and `finish`: the first record cannot be a header, none of the first
            records has as many fields as the header, or a record is longer than `LONGEST`.
    """

    # The csv module pulls lines from an iterator, while blocks are pushed. So it gets the complete
    # lines of a block. If they end within a record, because a quote is open, the lines of this
    # record are kept, and parsed again together with the following lines. This waits for a line
    # with an odd number of quotes, since a literal quote within quotes is written as two, so that
    # only such a line can close the quote. An exception are quotes in fields that do not begin with
    # one; because of them, a record is also parsed again each time its length has doubled. So the
    # time for a long record is linear in its length, and no complete record is held back.
    #
    # The module has one limit for the length of a field, which applies to the whole process. It is
    # raised while a block is parsed, and restored afterwards.

    def __init__(
        self, name: str, kind: str, *, delimiter: str, header: list[str] | None = None
    ) -> None:
        self._name = name
        self._kind = kind
        self._delimiter = delimiter
        self._header = header
        self._named_by = "header" if header is None else "manifest"
        self._is_first = True
        self._misfits: int | None = 0  # among the first records; `None` once one has fitted
        self._rest = b""
        self._open: list[str] = []
        self._open_size = 0
        self._wanted_size = 0
        self._line = 1

    def feed(self, block: bytes) -> Iterator[Row]:
        """Parse a block; yield the records that end in it."""
        if self._is_first:
            self._rest += block
            if len(self._rest) < len(codecs.BOM_UTF8):
                return
            block, self._rest = self._rest.removeprefix(codecs.BOM_UTF8), b""
            self._is_first = False
        for start in range(0, len(block), AT_ONCE):
            piece = self._rest + block[start : start + AT_ONCE]
            end = piece.rfind(b"\n") + 1
            if not end and len(piece) > AT_ONCE:
                # Lines end in CR only; a CR at the very end may be half of a CRLF.
                end = piece.rfind(b"\r", 0, -1) + 1
            whole, self._rest = piece[:end], piece[end:]
            if end:
                yield from self._read(whole, is_last=False)
            if len(self._rest) > LONGEST:
                raise self._too_long()

    def finish(self) -> Iterator[Row]:
        """Parse the rest; yield the records in it.

        Raises:
            InputError: The input has no header.
        """
        rest, self._rest = self._rest, b""
        yield from self._read(rest, is_last=True)
        if self._header is None:
            raise InputError(f"{self._name} is empty, and should begin with a header")

    def _read(self, whole: bytes, *, is_last: bool) -> Iterator[Row]:
        # Bytes that are not UTF-8 become lone surrogates, which fail when their row is encoded.
        text = whole.decode(errors="surrogateescape")
        lines = list(io.StringIO(text, newline=""))
        self._open_size += len(text)
        if self._open and not is_last and not self._may_have_ended(lines):
            self._open += lines
        else:
            lines = self._open + lines
            self._open = []
            yield from self._rows(lines, is_last=is_last)
            self._open_size = sum(map(len, self._open))
            self._wanted_size = 2 * self._open_size
        if self._open_size > LONGEST:
            raise self._too_long()

    def _may_have_ended(self, lines: list[str]) -> bool:
        """Return whether the lines that are kept may be complete, together with these lines."""
        is_closed = any(line.count('"') % 2 for line in lines)
        return is_closed or self._open_size >= self._wanted_size

    def _rows(self, lines: list[str], *, is_last: bool) -> list[Row]:
        source = iter(lines) if is_last else _endless(lines)
        reader = csv.reader(source, delimiter=self._delimiter, strict=True)
        rows: list[Row] = []
        first = self._line
        done = 0
        with _fields_of_any_length():
            while True:
                wrong, fields = None, []
                try:
                    fields = next(reader)
                except StopIteration:
                    break
                except _MoreError:
                    self._open = lines[done:]
                    break
                except csv.Error as error:
                    wrong = _why(error)
                begins, done = first + done, reader.line_num
                if fields or wrong:
                    row = self._row(begins, fields, wrong)
                    if row is not None:
                        rows.append(row)
        self._line = first + done
        return rows

    def _row(self, line: int, fields: list[str], wrong: str | None) -> Row | None:
        header = self._header
        if header is None:
            self._header = self._checked_header(line, fields, wrong)
            return None
        if wrong is None and len(fields) != len(header):
            counted = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
            wrong = f"{counted}, and the {self._named_by} names {len(header)}"
        if wrong is not None:
            self._check_that_some_fit(wrong)
            return line, b"", wrong
        self._misfits = None
        try:
            return line, _encode(dict(zip(header, fields, strict=True))).encode(), None
        except UnicodeEncodeError:
            return line, b"", "not UTF-8"

    def _checked_header(self, line: int, fields: list[str], wrong: str | None) -> list[str]:
        wrong = wrong or _why_not_header(fields)
        if wrong is not None:
            raise InputError(
                f"{self._name}: line {line} must be a header of {self._kind}, "
                f"which names the columns: {wrong}"
            )
        return fields

    def _check_that_some_fit(self, wrong: str) -> None:
        if self._misfits is not None:
            self._misfits += 1
            if self._misfits == LOOKED_AT:
                first = f"none of the first {LOOKED_AT} records fits the {self._named_by}: {wrong}"
                cure = "; perhaps other lines stand above it" if self._named_by == "header" else ""
                raise InputError(f"{self._name}: {first}{cure}")

    def _too_long(self) -> InputError:
        return InputError(
            f"{self._name}: the record that begins on line {self._line} does not end within "
            f"{LONGEST:,} bytes; perhaps a quote is not closed"
        )


class _MoreError(Exception):
    """The lines that have been read so far end within a record."""


def _endless(lines: Iterable[str]) -> Iterator[str]:
    yield from lines
    raise _MoreError


@contextlib.contextmanager
def _fields_of_any_length() -> Iterator[None]:
    limit = csv.field_size_limit(2 * LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _why(error: csv.Error) -> str:
    if str(error).startswith("unexpected end"):
        return "a quote is not closed by the end of the input"
    return f"not well-formed: {error}"


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def _why_not_header(fields: list[str]) -> str | None:
    """Return why a first record cannot be a header, or `None` if it can.

    A record with a number in it is probably data. Adding a header is one line; but if data were
    taken for a header, every item would have wrong names. The same goes for names that another
    delimiter separates.
    """
    if fields[0] == "sep=":
        return "it is Excel's word on what separates fields: take this line away"
    if any(not name.strip() for name in fields):
        return "one of the names is empty (pandas writes its index so: to_csv(index=False))"
    number = next((name.strip() for name in fields if _NUMBER.fullmatch(name.strip())), None)
    if number is not None:
        return f"{number[:20]} is a number"
    repeated = next((name for name, count in Counter(fields).items() if count > 1), None)
    if repeated is not None:
        return f"{repeated[:40]!r} occurs twice"
    if fields[0].lstrip().startswith(("{", "[")):
        return "it looks like JSON"
    return _why_not_names(fields)


_OTHER_DELIMITERS = {
    "\t": "tabs: --from tsv (format='tsv') reads it",
    ",": "commas: --from csv (format='csv') reads it",
    ";": "semicolons: convert it with csvformat -d ';'",
    "|": "bars: convert it with csvformat -d '|'",
}
"""What may separate the names in a single field, and how to read such an input."""


def _why_not_names(fields: list[str]) -> str | None:
    for delimiter, cure in _OTHER_DELIMITERS.items():
        if len(fields) == 1 and delimiter in fields[0]:
            return f"its names are separated by {cure}"
    if any(not name.isprintable() for name in fields):
        return "a name has characters that cannot be printed, or is not UTF-8"
    return None
