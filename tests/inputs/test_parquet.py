"""Parquet by pyarrow: the JSON of each type, and invalid files."""

import base64
import datetime as dt
import inspect
import json
import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import InvalidRequestError
from asyncinvoke._inputs import columns, parquet
from asyncinvoke._inputs.extension_types import Json
from asyncinvoke.inputs import Input, InputError, read

from .duckdb_files import MARKED, NESTED_INTERVALS

pytestmark = pytest.mark.anyio

WHEN = dt.datetime(2026, 11, 26, 12, 30, 0, 123456)
NANOSECONDS = pa.scalar(1, pa.timestamp("ns"))

VALUES: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "whole numbers": (pa.int64(), [2**63 - 1, -1, None], [2**63 - 1, -1, None]),
    "large ones": (pa.uint64(), [2**64 - 1], [2**64 - 1]),
    "booleans": (pa.bool_(), [True, False, None], [True, False, None]),
    "fractions": (
        pa.float64(),
        [0.1, -1e300, 5e-324, math.nan, None],
        [0.1, -1e300, 5e-324, None, None],
    ),
    "short fractions": (pa.float32(), [0.1], [0.1]),
    "halves": (pa.float16(), [1.5, math.nan, None], [1.5, None, None]),
    "texts": (
        pa.string(),
        ['a"\\/b', "", "ä€😀", "\n\t\0", None],
        ['a"\\/b', "", "ä€😀", "\n\t\0", None],
    ),
    "large texts": (pa.large_string(), ['"', "\x7f"], ['"', "\x7f"]),
    "repeated texts": (
        pa.dictionary(pa.int8(), pa.string()),
        ["a", "b", "a", None],
        ["a", "b", "a", None],
    ),
    "dates": (pa.date32(), [dt.date(2026, 11, 26), None], ["2026-11-26", None]),
    "times": (pa.time64("us"), [dt.time(12, 30)], ["12:30:00.000000"]),
    "timestamps": (pa.timestamp("us"), [WHEN, None], ["2026-11-26T12:30:00.123456", None]),
    "zoned timestamps": (
        pa.timestamp("ms", "Europe/Berlin"),
        [WHEN.replace(tzinfo=dt.UTC)],
        ["2026-11-26T12:30:00.123Z"],
    ),
    "nanoseconds": (pa.timestamp("ns"), [NANOSECONDS], ["1970-01-01T00:00:00.000000001"]),
    "decimals": (pa.decimal128(38, 10), [Decimal("1.5"), None], ["1.5000000000", None]),
    "small decimals": (
        pa.decimal128(12, 12),  # Arrow writes 1E-12
        [Decimal("1E-12"), Decimal("0.5"), None],
        ["0.000000000001", "0.500000000000", None],
    ),
    "bytes": (pa.binary(), [b"\xff\0", None], [base64.b64encode(b"\xff\0").decode(), None]),
    "lists": (
        pa.list_(pa.date32()),
        [[dt.date(2026, 1, 2), None], None],
        [["2026-01-02", None], None],
    ),
    "structs": (
        pa.struct([("a", pa.int64()), ("b", pa.list_(pa.float64()))]),
        [{"a": 1, "b": [math.nan, 0.5]}, None],
        [{"a": 1, "b": [None, 0.5]}, None],
    ),
    "maps": (
        pa.map_(pa.string(), pa.decimal128(5, 2)),
        [[("x", Decimal("1.50"))]],
        [{"x": "1.50"}],
    ),
    "maps of numbers": (pa.map_(pa.int64(), pa.binary()), [[(1, b"a")]], [{"1": "YQ=="}]),
    "durations": (pa.duration("ms"), [dt.timedelta(seconds=1.5)], [1.5]),
    "durations of pandas": (
        pa.duration("ns"),
        [pa.scalar(1, pa.duration("ns")), None],
        [1e-9, None],
    ),
    "maps with a key twice": (pa.map_(pa.string(), pa.int8()), [[("a", 1), ("a", 2)]], [{"a": 2}]),
    "lists of one length": (pa.list_(pa.int8(), 2), [[1, 2], None], [[1, 2], None]),
    "views of lists": (
        pa.list_view(pa.timestamp("ns")),
        [[NANOSECONDS, None], None, []],
        [["1970-01-01T00:00:00.000000001", None], None, []],
    ),
    "views of long lists": (
        pa.large_list_view(pa.date32()),
        [[dt.date(2026, 1, 2)], None],
        [["2026-01-02"], None],
    ),
    "nothing": (pa.null(), [None], [None]),
}


KINDS = st.recursive(
    st.sampled_from([pa.int64(), pa.string(), pa.bool_(), pa.decimal128(9, 3), pa.float64()]),
    lambda kinds: st.one_of(
        kinds.map(pa.list_),
        kinds.map(pa.large_list),
        st.lists(kinds, min_size=1, max_size=3).map(
            lambda each: pa.struct([(f'"{number}', kind) for number, kind in enumerate(each)])
        ),
    ),
    max_leaves=4,
)


def values_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """A strategy for values of a type, with null and values that JSON cannot represent."""
    strategies: dict[Any, st.SearchStrategy[Any]] = {
        pa.int64(): st.integers(-(2**63), 2**63 - 1),
        pa.string(): st.text(st.characters(codec="utf-8"), max_size=4),
        pa.bool_(): st.booleans(),
        pa.decimal128(9, 3): st.decimals(-99999, 99999, places=3),
        pa.float64(): st.sampled_from([0.5, -2.25, math.nan, math.inf]),
    }
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        found: st.SearchStrategy[Any] = st.lists(values_of(kind.value_type), max_size=3)
    elif pa.types.is_struct(kind):
        found = st.fixed_dictionaries({each.name: values_of(each.type) for each in kind})
    else:
        found = strategies[kind]
    return st.none() | found


@given(st.data())
def test_whole_columns_convert_as_their_single_values(data: st.DataObject) -> None:
    kind = data.draw(KINDS)
    column = pa.array(data.draw(st.lists(values_of(kind), max_size=6)), kind)
    # Batches are slices of decoded columns.
    column = column.slice(*data.draw(st.tuples(st.integers(0, 3), st.integers(0, 5))))
    at_once = [
        NOT_JSON if text is None else json.loads(text)
        for text in columns.texts_of(column).to_pylist()
    ]
    assert at_once == [as_json(value) for value in column.to_pylist()]


NOT_JSON = object()


def as_json(value: Any) -> Any:
    """Return the JSON of a Python value, by the module `json`."""
    try:
        return json.loads(json.dumps(plain(value), allow_nan=False))
    except ValueError:
        return NOT_JSON


def plain(value: Any) -> Any:
    match value:
        case float():
            return None if math.isnan(value) else value
        case Decimal():
            return format(value, "f")
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case list():
            return [plain(each) for each in value]
    return value


def write(path: Path, named: dict[str, Any], **how: Any) -> Path:
    pq.write_table(pa.table(named), path, **how)
    return path


async def values(source: Input) -> list[Any]:
    return [json.loads(item.payload) async for item in source]


@pytest.mark.parametrize("name", VALUES)
async def test_each_type_is_what_the_page_says(name: str, tmp_path: Path) -> None:
    kind, given, expected = VALUES[name]
    path = write(tmp_path / "in.parquet", {'the "x"': pa.array(given, kind)})
    assert await values(read(path)) == [{'the "x"': value} for value in expected]


async def test_what_json_cannot_hold_is_the_fault_of_its_row(tmp_path: Path) -> None:
    numbers = pa.array([1.0, math.inf, 2.0], pa.float64())
    texts = pa.StringArray.from_buffers(
        3, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"ab\xff")
    )
    nested = pa.array([[0.5], [0.5], [-math.inf]])
    path = write(tmp_path / "in.parquet", {"n": numbers, "t": texts, "l": nested})
    items = [item async for item in read(path)]
    assert json.loads(items[0].payload) == {"n": 1, "t": "a", "l": [0.5]}
    for item in items[1:]:
        with pytest.raises(InvalidRequestError, match=f"item {item.position}: it holds what JSON"):
            _ = item.payload


HOLDERS: dict[str, Callable[[Any], tuple[Any, Callable[[Any], Any]]]] = {
    "a map's values": lambda kind: (pa.map_(pa.string(), kind), lambda each: [("k", each)]),
    "a map's keys": lambda kind: (pa.map_(kind, pa.int8()), lambda each: [(each, 1)]),
    "a list": lambda kind: (pa.list_(kind), lambda each: [each]),
    "a list of one length": lambda kind: (pa.list_(kind, 1), lambda each: [each]),
    "a struct": lambda kind: (pa.struct([("k", kind)]), lambda each: {"k": each}),
    "a map in a list": lambda kind: (pa.list_(pa.map_(pa.string(), kind)), lambda x: [[("k", x)]]),
}
TIMES = [
    *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")),
    pa.timestamp("ns", "Europe/Berlin"),
    pa.date32(),
    pa.time64("ns"),
    *(pa.duration(unit) for unit in ("s", "ns")),
]


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("kind", TIMES, ids=str)
def test_a_time_is_exact_or_an_error_in_every_container(kind: pa.DataType, holder: str) -> None:
    most = 2**31 - 1 if pa.types.is_date(kind) else 86_399_999_999_999
    most = most if pa.types.is_date(kind) or pa.types.is_time(kind) else 2**63 - 1
    numbers = [0, 1, 20_000, most]  # the last is DuckDB's `infinity`, and Postgres's
    raw = pa.array(numbers, pa.int32() if pa.types.is_date(kind) else pa.int64())
    alone = columns.texts_of(raw.cast(kind)).to_pylist()
    assert all(text is None or re.fullmatch(r'"[-+]?[\dT:.Z-]+"|-?[\d.]+', text) for text in alone)
    outer, put = HOLDERS[holder](kind)
    inner, _ = HOLDERS[holder](raw.type)
    held = columns.texts_of(pa.array([put(each) for each in numbers], inner).cast(outer))
    for text, told in zip(alone, held.to_pylist(), strict=True):
        assert (told is None) == (text is None)
        assert text is None or text.strip('"') in told


INTERVALS = base64.b64decode(
    "UEFSMRUAFZIBFVIsFQgVABUGFQYAACi1L/0gSQUBAMAhAAAAQQ0ADgAAAAIAAACsAQAAAAAAAAACAEwlRwRGFQIZLD"
    "UAGA1kdWNrZGJfc2NoZW1hFQIAFQ4VGBUCGAFpJSoAFggZHBkcJgAcFQ4ZFQAZGAFpFQwWCBa2ARZ2JghJHBUAFQAV"
    "AgAAABa2ARYIJggWdgAZHBgcZHVja2RiLmludGVydmFsX2Jsb29tX2ZpbHRlchgNbm9ybWFsaXplZC12MQAYKER1Y2"
    "tEQiB2ZXJzaW9uIHYyLjAuMSAoYnVpbGQgOGQ3ODExNGU5MCkZHBwAAAC2AAAAUEFSMQ=="
)


class Own(pa.ExtensionType):  # type: ignore[misc]  # pyarrow has no types for mypy
    """A custom extension type, as the schema of a file may name it."""

    def __init__(self, kind: pa.DataType) -> None:
        super().__init__(kind, "own")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""


@pytest.mark.parametrize("name", ["nanoseconds", "lists", "repeated texts", "bytes", "durations"])
async def test_an_extension_type_reads_as_its_storage_type(name: str) -> None:
    kind, given, expected = VALUES[name]
    column = pa.ExtensionArray.from_storage(Own(kind), pa.array(given, kind))
    assert list(map(json.loads, columns.texts_of(column).to_pylist())) == expected


async def test_intervals_of_duckdb_are_durations_of_iso_8601(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    path.write_bytes(INTERVALS)  # by DuckDB 1.x: interval '14 month 2 days 3.5 seconds', null, ...
    told = [row["i"] for row in await values(read(path))]
    assert told == ["P14M2DT3.5S", None, "PT0S", "P1D"]


async def test_nested_intervals_read_like_those_of_a_column(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    path.write_bytes(NESTED_INTERVALS)
    assert await values(read(path)) == [
        {
            "l": ["P14M2DT3.5S", None],
            "s": {"a": "P1D", "b": 2},
            "m": {"k": ["PT7200S"]},
            "n": 1,
            "e": None,
            "i": "P1D",
        },
        {"l": None, "s": None, "m": None, "n": None, "e": [], "i": None},
    ]


@pytest.mark.parametrize("version", ["this", "old"])
async def test_uuids_and_json_are_texts_with_every_version_of_pyarrow(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = pq.ParquetFile
    if version == "old" and "arrow_extensions_enabled" in inspect.signature(opens).parameters:
        # Simulates a version that has no type for them.
        monkeypatch.setattr(pq, "ParquetFile", partial(opens, arrow_extensions_enabled=False))
    path = tmp_path / "in.parquet"
    path.write_bytes(MARKED)
    assert await values(read(path)) == [
        {
            "u": "123e4567-e89b-12d3-a456-426614174000",
            "l": ["00000000-0000-0000-0000-000000000001", None],
            "s": {"a": "ffffffff-ffff-ffff-ffff-ffffffffffff"},
            "m": {"00000000-0000-0000-0000-000000000002": "P1D"},
            "b": "YWI=",
            "j": '{"é": 1.50}',
            "k": ["[]"],
        },
        dict.fromkeys("ulsmbjk"),
    ]


async def test_json_that_pyarrow_17_reads_as_bytes_is_a_text_too() -> None:
    column = pa.ExtensionArray.from_storage(Json(), pa.array([b'{"a": "\xc3\xa9"}', None]))
    assert columns.texts_of(column).to_pylist() == [
        json.dumps('{"a": "é"}', ensure_ascii=False),
        "null",
    ]


@pytest.mark.skipif(not hasattr(pa, "bool8"), reason="pyarrow 17 has no such type")
async def test_booleans_of_eight_bits_are_booleans(tmp_path: Path) -> None:
    column = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, 5, None], pa.int8()))
    path = write(tmp_path / "in.parquet", {"b": column})
    assert [row["b"] for row in await values(read(path))] == [True, False, True, None]


async def test_a_file_without_columns_is_no_input(tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", {})
    with pytest.raises(InputError, match="has no columns"):
        await values(read(path))


async def test_only_columns_that_are_marked_are_cast(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    path.write_bytes(MARKED)
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        marked = parquet._marked_types(file.schema, file.schema_arrow)
    assert "b" in names
    assert {names[number] for number in marked} <= set(names) - {"b"}


async def test_the_total_is_known_and_row_groups_are_read_in_their_order(tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", {"n": list(range(50_000))}, row_group_size=7_000)
    source = read(path, key="/n")
    await source.begin()
    assert (source.total, await source.count()) == (50_000, 50_000)
    keys = [item.key async for item in source]
    assert keys == [str(n) for n in range(50_000)]
    assert (source.total, [item.position async for item in source][-1]) == (50_000, 49_999)


async def read_in_pieces(path: Path) -> list[list[Any]]:
    """Return the rows of a file, in the pieces in which they are decoded."""
    source = parquet.Parquet.open(str(path), {})
    pieces: list[list[Any]] = []
    while (rows := await source.rows()) is not None:
        pieces.append([json.loads(row) for _, row, _ in rows])
    await source.close()
    return pieces


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
async def test_a_text_that_is_in_each_row_is_decoded_for_a_few_rows_at_once(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [None if n % 10 == 9 else "x" * 9_999 for n in range(1000)]
    columns = {"n": range(1000), "text": pa.array(texts).cast(kind)}
    path = write(tmp_path / "in.parquet", columns, row_group_size=300)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(parquet, "AT_ONCE", 100_000)
    pieces = await read_in_pieces(path)
    assert max(map(len, pieces)) <= 12
    found = [each for piece in pieces for each in piece]
    assert [each["n"] for each in found] == list(range(1000))
    assert [each["text"] for each in found] == texts


@pytest.mark.parametrize(
    ("kind", "held"),
    [
        (pa.list_(pa.string()), lambda each: [each, None, each]),
        (pa.list_(pa.large_string(), 3), lambda each: [each, "", each]),
        (pa.large_list(pa.list_(pa.string())), lambda each: [[each], [], None, [each]]),
        (pa.struct([("n", pa.int8()), ("k", pa.string())]), lambda each: {"n": 1, "k": each}),
        (pa.map_(pa.string(), pa.string()), lambda each: {"k": each, "l": each}),
        (pa.map_(pa.string(), pa.struct([("k", pa.string())])), lambda each: {each: {"k": "l"}}),
        (pa.binary(), lambda each: base64.b64encode(each.encode()).decode()),
    ],
)
async def test_a_text_that_is_within_each_row_is_decoded_for_a_few_rows_at_once(
    kind: Any, held: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = held("x" * 9_999)
    column = [None if n % 10 == 9 else value for n in range(1000)]
    given = [each and base64.b64decode(each) for each in column] if kind == pa.binary() else column
    columns = {"n": range(1000), "held": pa.array(given, kind)}
    path = write(tmp_path / "in.parquet", columns, row_group_size=300)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(parquet, "AT_ONCE", 100_000)
    pieces = await read_in_pieces(path)
    assert max(map(len, pieces)) <= 12
    found = [each for piece in pieces for each in piece]
    assert [each["n"] for each in found] == list(range(1000))
    assert [each["held"] for each in found] == column


async def test_rows_that_pyarrow_leaves_out_are_an_error_where_they_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "in.parquet", {"n": list(range(60_000))}, row_group_size=10_000)
    read_batches = pq.ParquetFile.iter_batches

    def some(file: Any, *values: Any, row_groups: list[int], **options: Any) -> Iterator[Any]:
        for batch in read_batches(file, *values, row_groups=row_groups, **options):
            yield batch.slice(3) if 2 in row_groups else batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", some)
    seen = []

    async def see() -> None:
        async for item in read(path):
            seen.append(json.loads(item.payload)["n"])

    with pytest.raises(InputError, match=r"in.parquet cannot be read: pyarrow leaves out \d of"):
        await see()
    assert seen[:20_000] == list(range(20_000))
    assert len(seen) < 40_000


async def test_a_layout_that_pyarrow_cannot_read_is_not_called_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "in.parquet", {"n": [1]})

    def never(*values: Any, **options: Any) -> Iterator[Any]:
        raise pa.ArrowNotImplementedError("Nested data conversions not implemented")

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", never)
    with pytest.raises(InputError, match=r"in.parquet cannot be read: Nested data"):
        await values(read(path))


CATEGORIES = pa.dictionary(pa.int32(), pa.string())


@pytest.mark.parametrize(
    ("kind", "held"),
    [
        (pa.list_(CATEGORIES), lambda each: [each]),
        (pa.struct([("k", CATEGORIES)]), lambda each: {"k": each}),
        (pa.map_(pa.string(), CATEGORIES), lambda each: {"k": each}),
        (pa.list_(pa.struct([("k", CATEGORIES)])), lambda each: [{"k": each}]),
    ],
)
async def test_categories_within_another_type_are_read_across_row_groups(
    kind: Any, held: Callable[[str], Any], tmp_path: Path
) -> None:
    expected = [held(f"category {number}") for number in range(7)]
    column = pa.array(expected, kind)
    path = write(tmp_path / "in.parquet", {"c": column}, row_group_size=2)
    assert await values(read(path)) == [{"c": each} for each in expected]


@pytest.mark.parametrize("view", [pa.ListViewArray, pa.LargeListViewArray])
def test_the_elements_of_a_view_are_those_that_it_names_in_any_order(view: Any) -> None:
    index = pa.int32() if view is pa.ListViewArray else pa.int64()
    column = view.from_arrays(
        pa.array([3, 0, 1, 4], index), pa.array([2, 2, 3, 0], index), pa.array([0, 1, 2, 3, 4])
    )
    assert columns.texts_of(column).to_pylist() == ["[3,4]", "[0,1]", "[1,2,3]", "[]"]
    assert columns.texts_of(column.slice(1, 2)).to_pylist() == ["[0,1]", "[1,2,3]"]


async def test_views_within_lists_of_one_length_keep_their_elements(tmp_path: Path) -> None:
    pairs = [[[2], [3]], [None, []], None, [[None, 1], [9, 8, 7]], None, [[4], [5, 6]]]
    column = pa.array(pairs, pa.list_(pa.list_view(pa.int64()), 2))
    path = write(tmp_path / "in.parquet", {"c": column})
    assert await values(read(path)) == [{"c": each} for each in pairs]


def test_maps_whose_values_are_maps_of_nulls_keep_their_entries() -> None:
    kind = pa.map_(pa.string(), pa.map_(pa.string(), pa.null()))
    maps = [{"a": {"x": None, "y": None, "z": None}}, None, {}, {"b": {"w": None}, "c": {}}]
    column = pa.array(
        [each and [(k, [*v.items()]) for k, v in each.items()] for each in maps], kind
    )
    for begin in range(len(maps)):
        texts = columns.texts_of(column.slice(begin)).to_pylist()
        assert [json.loads(text) for text in texts] == maps[begin:]


@pytest.mark.parametrize("size", [0, 3, 1000, -8, -1])
async def test_a_file_that_is_cut_is_refused(size: int, tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", {"n": list(range(1000))})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match="is not a Parquet file, or is damaged"):
        await read(path).begin()


async def test_damage_within_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", {"n": [str(n) for n in range(100_000)]})
    data = bytearray(path.read_bytes())
    data[100:2000] = bytes(1900)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"in.parquet is (damaged|no Parquet file)"):
        await values(read(path))


TWICE = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
REPEATED = {
    "columns": (pa.Table.from_arrays([TWICE.field(0)] * 2, names=["a", "a"]), "column"),
    "fields": (pa.table({"s": TWICE}), "field"),
    "fields in a list": (pa.table({"s": pa.ListArray.from_arrays([0, 1], TWICE)}), "field"),
}


@pytest.mark.parametrize(("table", "kind"), REPEATED.values(), ids=REPEATED)
async def test_columns_and_fields_of_one_name_are_refused(
    table: pa.Table, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(table, path)
    with pytest.raises(InputError, match=f"in.parquet: the {kind} 'a' occurs twice"):
        await read(path).begin()


async def test_a_path_that_is_no_file_is_named(tmp_path: Path) -> None:
    for source, why in (
        (tmp_path / "none.parquet", "No such file or directory"),
        (tmp_path, "it is a directory"),
    ):
        with pytest.raises(InputError) as caught:
            await read(source, "parquet").begin()
        assert str(caught.value) == f"cannot read {source}: {why}"
    with pytest.raises(InputError, match="cannot be read from standard input"):
        await read("-", "parquet").begin()
