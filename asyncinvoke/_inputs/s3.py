"""The objects under an S3 prefix as items, page by page."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from anyio import to_thread

from asyncinvoke._inputs import files
from asyncinvoke._inputs.lines import Row
from asyncinvoke._inputs.seekable import file_system

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def as_row(bucket: str, key: str, size: int | None, etag: str | None, version: str | None) -> Row:
    """Return the row of an object.

    Args:
        bucket: Its bucket.
        key: Its key.
        size: Its size in bytes, if known.
        etag: Its ETag, with or without quotes.
        version: Its version ID, if known; `null` is that of a bucket without versioning.
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


class Listing:
    """The objects under an S3 prefix, in the order of their keys.

    Args:
        system: The file system of s3fs.
        bucket: The bucket.
        prefix: The prefix of the keys; empty for the whole bucket.
        name: The name of the input in messages.
        with_versions: Whether to list the current version ID of each object, which requires another
            permission, `s3:ListBucketVersions`.
    """

    def __init__(
        self, system: Any, bucket: str, prefix: str, name: str, *, with_versions: bool
    ) -> None:
        self._system = system
        self._bucket = bucket
        self._prefix = prefix
        self._name = name
        self._with_versions = with_versions
        self._next: dict[str, str] | None = {}
        self.total: int | None = None

    @classmethod
    def open(cls, source: str, options: Mapping[str, Any]) -> "Listing":
        """Return the listing of `s3://bucket/prefix/`, which is not requested yet.

        Raises:
            ConfigurationError: s3fs is not installed.
        """
        system, _ = file_system(source, options)
        bucket, _, prefix = source[len("s3://") :].partition("/")
        return cls(
            system,
            bucket,
            prefix,
            files.name_of(source),
            with_versions=bool(options.get("version_aware")),
        )

    async def rows(self) -> Iterator[Row] | None:
        """Return the next page, or `None` at the end.

        Raises:
            InputError: The bucket cannot be listed.
        """
        if self._next is None:
            return None
        return iter(await to_thread.run_sync(self._page, abandon_on_cancel=True))

    async def close(self) -> None:
        """Do nothing: no connection or file is open between two pages."""

    def _page(self) -> list[Row]:
        method = "list_object_versions" if self._with_versions else "list_objects_v2"
        try:
            page = self._system.call_s3(
                method, Bucket=self._bucket, Prefix=self._prefix, **(self._next or {})
            )
        except Exception as error:  # noqa: BLE001  # s3fs and botocore have many
            raise files.cannot_read(self._name, error) from None
        self._next = None
        if page.get("IsTruncated"):
            self._next = (
                {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
                if self._with_versions
                else {"ContinuationToken": page["NextContinuationToken"]}
            )
        entries = page.get("Versions" if self._with_versions else "Contents") or []
        return [
            as_row(
                self._bucket, entry["Key"], entry["Size"], entry.get("ETag"), entry.get("VersionId")
            )
            for entry in entries
            if entry.get("IsLatest", True) and not _is_folder(entry)
        ]


def _is_folder(entry: Mapping[str, Any]) -> bool:
    """Return whether an object is a placeholder that the console creates for a folder."""
    return bool(entry["Key"].endswith("/") and not entry["Size"])
