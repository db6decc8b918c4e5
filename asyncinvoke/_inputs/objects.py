"""An object in S3 as a row: the same fields, whether a listing or an inventory names it."""

import json

from asyncinvoke._inputs.lines import Row

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def as_row(bucket: str, key: str, size: int | None, etag: str | None, version: str | None) -> Row:
    """Return the row of an object.

    Args:
        bucket: Its bucket.
        key: Its key.
        size: Its bytes, where that is known.
        etag: Its ETag, with quotes or without.
        version: Its version, where that is known; `null` is that of a bucket without versions.
    """
    text = _encode(
        {
            "bucket": bucket,
            "key": key,
            "size": size,
            "etag": etag.strip('"') if etag else None,
            "version": version if version and version != "null" else None,
        }
    )
    return None, text.encode("utf-8", "backslashreplace"), None
