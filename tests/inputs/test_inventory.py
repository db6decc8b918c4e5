"""Manifests of an S3 Inventory: valid and invalid ones."""

import gzip
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest

from asyncinvoke._inputs import inventory
from asyncinvoke._inputs.inventory import CHECKED_AT_ONCE, Inventory
from asyncinvoke._inputs.lines import Row
from asyncinvoke._inputs.manifest import DataFile, Manifest
from asyncinvoke.inputs import InputError

GOOD: dict[str, Any] = {
    "destinationBucket": "arn:aws:s3:::lists",
    "fileFormat": "CSV",
    "fileSchema": "Bucket, Key, VersionId",
    "files": [{"key": "a b.csv.gz", "size": 7, "MD5checksum": "A" * 32}, {"key": "b::c"}],
}
FILES = (DataFile("s3://lists/a b.csv.gz", 7, "a" * 32), DataFile("s3://lists/b::c", None, None))


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", None])
def test_a_manifest_names_its_files(partition: str | None) -> None:
    bucket = "lists" if partition is None else f"arn:{partition}:s3:::lists"
    text = json.dumps(GOOD | {"destinationBucket": bucket}).encode()
    assert Manifest.parse(text, "m") == Manifest(FILES, ("bucket", "key", "versionid"))
    text = json.dumps(GOOD | {"fileFormat": "Parquet", "fileSchema": "message x {}"}).encode()
    assert Manifest.parse(text, "m") == Manifest(FILES, None)


NONE = "m is not an S3 Inventory manifest"
NO_FILES: list[object] = [None, 5, "x", [5], [None], {"a": 1}, [{}], [[]]]
NO_NAMES: list[object] = [None, 5, "", []]
WRONG: list[tuple[object, str]] = [
    (b"", NONE),
    (b"\xff", NONE),
    (b"[" * 100_000, NONE),
    (None, NONE),
    ([], NONE),
    ({}, NONE),
    *(({"files": files}, NONE) for files in NO_FILES),
    *(({"files": [{"key": key}]}, NONE) for key in NO_NAMES),
    *(({"destinationBucket": bucket}, NONE) for bucket in NO_NAMES),
    ({"fileFormat": None}, NONE),
    ({"fileFormat": "ORC"}, "m is an inventory in ORC; CSV and Parquet are read"),
    ({"fileSchema": 5}, NONE),
    ({"fileSchema": "Bucket, Size"}, "m names no columns Bucket and Key in its fileSchema"),
    ({"fileSchema": "Bucket, Key, key"}, "m names a column twice in its fileSchema"),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG, ids=lambda each: str(each)[:40])
def test_an_invalid_manifest_is_one_error(wrong: object, says: str) -> None:
    if isinstance(wrong, dict) and wrong:
        wrong = GOOD | wrong
    text = wrong if isinstance(wrong, bytes) else json.dumps(wrong).encode()
    with pytest.raises(InputError) as raised:
        Manifest.parse(text, "m")
    assert str(raised.value) == says


def test_unusual_entries_of_a_manifest_are_not_compared() -> None:
    odd = [{"key": "a", "size": size, "MD5checksum": md5} for size, md5 in (("7", "-"), (None, 5))]
    manifest = Manifest.parse(json.dumps(GOOD | {"files": odd}).encode(), "m")
    assert manifest.files == (DataFile("s3://lists/a", None, None),) * 2


@pytest.mark.anyio
async def test_data_files_are_checked_some_at_a_time_and_the_first_that_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 3 * CHECKED_AT_ONCE
    wrong = {CHECKED_AT_ONCE + 5, CHECKED_AT_ONCE + 3, count - 1}
    entries = [{"key": f"{number}", "size": 7} for number in range(count)]
    manifest = Manifest.parse(json.dumps(GOOD | {"files": entries}).encode(), "m")
    opened = []

    def open_file(url: str, options: Mapping[str, Any], *, size: int | None) -> io.BytesIO:
        opened.append((url, size))
        if int(url.rpartition("/")[2]) in wrong:
            raise InputError(url)
        return io.BytesIO()

    monkeypatch.setattr(inventory, "read_manifest", lambda source, options: manifest)
    monkeypatch.setattr(inventory, "open_file", open_file)
    with pytest.raises(InputError) as raised:
        await Inventory.open("m", {})
    assert str(raised.value) == f"s3://lists/{CHECKED_AT_ONCE + 3}"
    assert sorted(opened) == sorted(
        (f"s3://lists/{number}", 7) for number in range(2 * CHECKED_AT_ONCE)
    )


async def rows_of(lines: bytes, monkeypatch: pytest.MonkeyPatch, **more: str) -> list[Row]:
    """Return the rows of an inventory of one data file, whose manifest names three columns."""
    packed = gzip.compress(lines)
    entry = {"key": "1.csv.gz", "size": len(packed)}  # without a checksum
    manifest = Manifest.parse(json.dumps(GOOD | {"files": [entry]} | more).encode(), "m")
    monkeypatch.setattr(inventory, "read_manifest", lambda source, options: manifest)
    monkeypatch.setattr(inventory, "open_file", lambda *_, **__: io.BytesIO(packed))
    listed = await Inventory.open("m", {})
    rows: list[Row] = []
    try:
        while (some := await listed.rows()) is not None:
            rows += some
    finally:
        await listed.close()
    return rows


@pytest.mark.anyio
async def test_a_line_with_too_few_fields_is_the_fault_of_its_item(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = await rows_of(b'"data","a","1"\n"data"\n"data","b",""\n', monkeypatch)
    assert [json.loads(data)["key"] for _, data, wrong in rows if wrong is None] == ["a", "b"]
    assert [wrong for _, _, wrong in rows if wrong is not None] == [
        "in a data file of the inventory: line 2: 1 field, and the manifest names 3"
    ]


@pytest.mark.anyio
async def test_a_size_that_none_can_have_is_not_known_and_its_object_is_an_item(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = ["0", "5", "5497558138880", "", "-1", "1e3", "x", "9" * 5000]
    lines = "".join(f'"data","{number}","{size}"\n' for number, size in enumerate(sizes))
    rows = await rows_of(lines.encode(), monkeypatch, fileSchema="Bucket, Key, Size")
    known = [0, 5, 5497558138880, None, None, None, None, None]
    assert [json.loads(data)["size"] for _, data, _ in rows] == known
    assert [json.loads(data)["key"] for _, data, _ in rows] == list("01234567")


@pytest.mark.anyio
async def test_a_data_file_with_other_columns_than_the_manifest_names_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError) as raised:
        await rows_of(b'"data","a"\n' * 10, monkeypatch)
    assert str(raised.value) == (
        "s3://lists/1.csv.gz: none of the first 10 records fits the manifest: "
        "2 fields, and the manifest names 3"
    )
