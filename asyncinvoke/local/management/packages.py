"""The sources of deployment packages: the request itself, or S3.

S3 is a directory, or an S3 endpoint on this machine.
"""

import http.client
import os
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

from anyio import to_thread

from asyncinvoke.local.management.code import ZIPPED_LIMIT, content_of
from asyncinvoke.local.management.request import Members
from asyncinvoke.local.numbers import shown
from asyncinvoke.local.protocol import refusals

TIMEOUT = 60.0
"""Seconds to wait for the S3 endpoint."""

FORBIDDEN = 403
_FAKE_SIGNATURE = (
    "AWS4-HMAC-SHA256 Credential=ASIALOCAL/20150331/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)

# Seen for CreateFunction, with various errors of S3.
_FAILED = "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}"
_NO_KEY = _FAILED.format("NoSuchKey", "The specified key does not exist.")


class S3Code:
    """Reads packages from S3.

    Args:
        where: A directory with one subdirectory per bucket, or the URL of an endpoint that accepts
            unsigned requests or any signature; None for neither.
    """

    def __init__(self, where: str | Path | None) -> None:
        self._where = where

    async def get(self, bucket: str, key: str) -> bytes:
        """Return a package.

        Raises:
            Refusal: It does not exist, or cannot be read.
        """
        if self._where is None:
            raise refusals.invalid(
                "Code in S3: this endpoint was not told where S3 is; LocalLambda(s3=...) or --s3 "
                "takes a folder or the URL of an endpoint."
            )
        text = str(self._where)
        if _is_url(text):
            return await to_thread.run_sync(_download, f"{text.rstrip('/')}/{bucket}/{quote(key)}")
        return await to_thread.run_sync(partial(_read, Path(text), bucket, key))


def s3_endpoint(where: str | Path | None) -> dict[str, str]:
    """Return the variable by which SDKs in functions find S3, if it is an endpoint."""
    return {"AWS_ENDPOINT_URL_S3": str(where)} if _is_url(where) else {}


def check_s3(where: str | Path | None) -> str | Path | None:
    """Validate the source of packages in S3, and return it.

    Raises:
        ValueError: It is neither a URL nor an existing directory.
    """
    if not (where is None or isinstance(where, str | os.PathLike)):
        raise ValueError(f"s3={shown(where)} must be a folder that is there, or a URL")
    if _is_url(where) and not urlsplit(str(where)).hostname:
        raise ValueError(f"s3={str(where)!r} must name a host")
    if where is not None and not _is_url(where) and not Path(where).is_dir():
        raise ValueError(f"s3={str(where)!r} must be a folder that is there, or a URL")
    return where


def _is_url(where: str | Path | None) -> bool:
    return str(where).startswith(("http://", "https://"))


def _read(folder: Path, bucket: str, key: str) -> bytes:
    held = (folder / bucket).resolve()
    path = (held / key).resolve()
    if Path(bucket).name != bucket or not path.is_relative_to(held):
        raise refusals.invalid(_NO_KEY)
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise refusals.invalid(_NO_KEY) from error


def _download(url: str) -> bytes:
    # Without proxies, which could not reach an endpoint on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        try:
            return _get(opener, url)
        except urllib.error.HTTPError as error:
            if error.code != FORBIDDEN:
                raise
            error.close()
            # The bucket is private; test doubles of S3 accept any signature, as this endpoint does.
            opener.addheaders.append(("Authorization", _FAKE_SIGNATURE))
            return _get(opener, url)
    except urllib.error.HTTPError as error:
        error.close()
        failed = _NO_KEY if error.code == 404 else _FAILED.format(error.code, error.reason)
        raise refusals.invalid(failed) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise refusals.invalid(_FAILED.format("Unreachable", type(error).__name__)) from error


def _get(opener: urllib.request.OpenerDirector, url: str) -> bytes:
    with opener.open(url, timeout=TIMEOUT) as answer:
        content: bytes = answer.read()
        return content


class Packages:
    """The sources of packages.

    Args:
        s3: Reads packages from S3.
    """

    def __init__(self, s3: S3Code) -> None:
        self._s3 = s3

    async def content(self, members: Members, what: str) -> bytes:
        """Return a package.

        Args:
            members: The object with `ZipFile`, or `S3Bucket` and `S3Key`.
            what: The kind of package, for AWS's error message.

        Raises:
            Refusal: There is no package, or it is too large.
        """
        zip_file = members.text("ZipFile")
        if zip_file is not None:
            content = await to_thread.run_sync(content_of, zip_file)
            if len(content) > ZIPPED_LIMIT:
                raise refusals.package_too_large(ZIPPED_LIMIT)
            return content
        bucket, key = members.text("S3Bucket"), members.text("S3Key")
        if bucket is None or key is None:
            raise refusals.invalid(
                f"Please provide a source for {what}: this endpoint takes a ZipFile, or code in S3."
            )
        return await self._s3.get(bucket, key)
