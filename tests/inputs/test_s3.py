"""Objects, prefixes and inventories in S3, from moto's server over HTTP."""

import csv
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

HERE = Path(__file__).parent
KEYS = [f"2026/{n:04}.jpg" for n in range(10)] + ["2026/ä b+c%2F&.jpg"]

PAGE = 4
"""The page size of the server; S3's is a thousand."""

SOURCES: dict[str, dict[str, Any]] = {
    "lines": {"source": "s3://data/in.jsonl"},
    "gzip": {"source": "s3://data/in.csv.gz"},
    "parquet": {"source": "s3://data/in.parquet"},
    "prefix": {"source": "s3://photos/2026/"},
    "bucket": {"source": "s3://versioned"},
    "versions": {"source": "s3://versioned/", "storage_options": {"version_aware": True}},
    "nothing": {"source": "s3://photos/none/"},
    "inventory": {"source": "s3://data/inventory/manifest.json"},
    "inventory in parquet": {"source": "s3://data/parquet/manifest.json"},
    "inventory in china": {"source": "s3://data/china/manifest.json"},
    "odd key": {"source": "s3://data/a::b #?.jsonl"},
    "large letters": {"source": "S3://data/in.jsonl"},
    "not there": {"source": "s3://data/none.jsonl"},
    "no name": {"source": "s3:///2026/"},
    "another checksum": {"source": "s3://data/other/manifest.json"},
    "another size": {"source": "s3://data/longer/manifest.json"},
    "another size in parquet": {"source": "s3://data/longer parquet/manifest.json"},
    "no data file": {"source": "s3://data/gone/manifest.json"},
    "no other data file": {"source": "s3://data/half/manifest.json"},
    "no bucket": {"source": "s3://none/2026/"},
    "no manifest": {"source": "s3://data/in.jsonl", "format": "inventory"},
    "in orc": {"source": "s3://data/orc/manifest.json"},
    "not gzip": {"source": "s3://data/bad.csv.gz"},
}


def etag(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def manifest(kind: str, *files: dict[str, Any], partition: str = "aws") -> bytes:
    return json.dumps(
        {
            "sourceBucket": "photos",
            "destinationBucket": f"arn:{partition}:s3:::data",
            "version": "2016-11-30",
            "fileFormat": kind,
            "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag",
            "files": files,
        }
    ).encode()


def named(key: str, data: bytes, **wrong: object) -> dict[str, Any]:
    """Return the entry of a data file in a manifest."""
    return {"key": key, "size": len(data), "MD5checksum": etag(data), **wrong}


def fill(folder: Path) -> None:
    rows = [
        ["photos", "2026/%C3%A4+b%2Bc.jpg", "v1", "true", "false", "12", "abc"],
        ["photos", "2026/gone.jpg", "v2", "true", "true", "", ""],
        ["photos", "2026/%FF.jpg", "v1", "true", "false", "12", "abc"],
        ["photos", "", "v1", "true", "false", "12", "abc"],
    ]
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    table = pa.table(
        {
            "bucket": ["photos", "photos"],
            "key": ["2026/ä b+c.jpg", "2026/gone.jpg"],
            "version_id": ["v1", "v2"],
            "is_latest": [True, True],
            "is_delete_marker": [False, True],
            "size": pa.array([12, None], pa.int64()),
            "e_tag": ["abc", None],
        }
    )
    parquet = pa.BufferOutputStream()
    pq.write_table(table, parquet)
    of_numbers = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": list(range(1000))}), of_numbers)
    packed, key = gzip.compress(text.getvalue().encode()), "inventory/data/1.csv.gz"
    columns = parquet.getvalue().to_pybytes()
    inventories = {
        "inventory": [named(key, packed)],
        "other": [named(key, packed, MD5checksum="0" * 32)],
        "longer": [named(key, packed, size=3)],
        "gone": [named("inventory/data/none.csv.gz", packed)],
        "half": [named(key, packed), named("inventory/data/none.csv.gz", packed)],
    }
    objects = {
        **{
            f"data/{name}/manifest.json": manifest("CSV", *files)
            for name, files in inventories.items()
        },
        "data/china/manifest.json": manifest("CSV", named(key, packed), partition="aws-cn"),
        f"data/{key}": packed,
        "data/a::b #?.jsonl": b"1\n",
        "data/in.jsonl": b'{"n": 1}\n' * 3,
        "data/in.csv.gz": gzip.compress(b"id,n\na,1\n"),
        "data/bad.csv.gz": b"id,n\na,1\n",
        "data/in.parquet": of_numbers.getvalue().to_pybytes(),
        "data/parquet/manifest.json": manifest("Parquet", named("parquet/1.parquet", columns)),
        "data/parquet/1.parquet": columns,
        "data/longer parquet/manifest.json": manifest(
            "Parquet", named("parquet/1.parquet", columns, size=3)
        ),
        "data/orc/manifest.json": manifest("ORC"),
        **{f"versioned/{n}": b"1" for n in range(10)},
    }
    for name, data in (objects | {f"photos/{key}": b"jpeg" for key in KEYS}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The items read from each source, on each loop."""
    folder = tmp_path_factory.mktemp("s3")
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    environment = {**os.environ, **keys, "AWS_DEFAULT_REGION": "us-east-1", "no_proxy": "127.0.0.1"}
    fill(folder)
    with subprocess.Popen(
        [sys.executable, HERE / "s3_server.py", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**environment, "MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE)},
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().decode().strip()
        try:
            done = subprocess.run(
                [sys.executable, "-W", "error::ResourceWarning", HERE / "s3_reader.py"],
                input=json.dumps(SOURCES),
                capture_output=True,
                text=True,
                env={**environment, "AWS_ENDPOINT_URL_S3": url},
                timeout=100,
                check=False,
            )
        finally:
            server.kill()
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_both_loops_read_the_same(found: dict[str, Any]) -> None:
    assert {name: found["asyncio"][name] for name in found["trio"]} == found["trio"]


def test_objects_are_read_as_files_are(found: dict[str, Any]) -> None:
    of = found["asyncio"]
    assert of["lines"] == {"total": None, "rows": [{"n": 1}] * 3}
    assert of["gzip"]["rows"] == [{"id": "a", "n": "1"}]
    assert of["odd key"]["rows"] == [1]
    assert of["large letters"] == of["lines"]
    assert of["parquet"] == {"total": 1000, "rows": [{"n": n} for n in range(1000)]}


def test_a_prefix_is_an_item_for_each_object_and_none_for_a_folder(found: dict[str, Any]) -> None:
    assert found["asyncio"]["prefix"]["rows"] == [
        {"bucket": "photos", "key": key, "size": 4, "etag": etag(b"jpeg"), "version": None}
        for key in sorted(KEYS, key=str.encode)
    ]
    assert found["asyncio"]["nothing"]["rows"] == []


def test_versions_are_named_where_that_is_asked_for(found: dict[str, Any]) -> None:
    plain, versioned = (found["asyncio"][name]["rows"] for name in ("bucket", "versions"))
    assert [row["key"] for row in plain] == [str(n) for n in range(10)]
    assert all(row["version"] for row in versioned)
    assert [row | {"version": None} for row in versioned] == plain


IN_INVENTORY = {
    "bucket": "photos",
    "key": "2026/ä b+c.jpg",
    "size": 12,
    "etag": "abc",
    "version": "v1",
}
OF_INVENTORY = [
    IN_INVENTORY,
    "item 1: in a data file of the inventory: a key that is not UTF-8",
    "item 2: in a data file of the inventory: no bucket or no key",
]


def test_an_inventory_is_an_item_for_each_object_that_is_there(found: dict[str, Any]) -> None:
    assert found["asyncio"]["inventory"]["rows"] == OF_INVENTORY
    assert found["asyncio"]["inventory in china"]["rows"] == OF_INVENTORY
    assert found["asyncio"]["inventory in parquet"]["rows"] == [IN_INVENTORY]


def test_an_object_is_written_whole_or_not_at_all(found: dict[str, Any]) -> None:
    assert found["asyncio"]["written"] == [
        {"n": 1},
        "cannot read s3://data/out.jsonl.gz.broken: No such file or directory",
        "cannot write s3://none/x: No such file or directory",
        [],  # uploads that are neither completed nor aborted
    ]


def test_an_object_that_is_replaced_or_removed_while_it_is_read_is_one_error(
    found: dict[str, Any],
) -> None:
    assert found["asyncio"]["meanwhile"] == [
        "cannot read s3://data/long.jsonl: it was replaced while it was read",
        "cannot read s3://data/long.jsonl: No such file or directory",
    ]


SAID = {
    "not there": "cannot read s3://data/none.jsonl: No such file or directory",
    "no bucket": "cannot read s3://none/2026/: No such file or directory",
    "no name": "cannot read s3:///2026/: it names no bucket",
    "another checksum": "s3://data/inventory/data/1.csv.gz is not the file that the manifest names: "
    "its MD5 checksum differs",
    "another size": "s3://data/inventory/data/1.csv.gz has {size} bytes, and should have 3",
    "another size in parquet": "s3://data/parquet/1.parquet has {size} bytes, and should have 3",
    "no data file": "cannot read s3://data/inventory/data/none.csv.gz: No such file or directory",
    "no other data file": "cannot read s3://data/inventory/data/none.csv.gz: No such file or directory",
    "no manifest": "s3://data/in.jsonl is not an S3 Inventory manifest",
    "in orc": "s3://data/orc/manifest.json is an inventory in ORC; CSV and Parquet are read",
    "not gzip": "s3://data/bad.csv.gz is not compressed with gzip",
}


@pytest.mark.parametrize("name", SAID)
def test_what_cannot_be_read_is_one_error(name: str, found: dict[str, Any]) -> None:
    error = re.sub(r"[\d,]+ bytes", "{size} bytes", found["asyncio"][name]["error"])
    assert error == f"InputError: {SAID[name]}"
    assert found["asyncio"][name]["rows"] == []
