"""Packages that a request names in S3: read from a folder, or from an S3 endpoint on this machine."""

import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from urllib.parse import quote

from anyio import to_thread

from asyncinvoke.local.protocol import refusals

TIMEOUT = 60.0
"""Seconds for an answer of the S3 endpoint."""

# Seen of CreateFunction; which of S3's errors follows differs.
_FAILED = "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}"
_NO_KEY = _FAILED.format("NoSuchKey", "The specified key does not exist.")


class S3Code:
    """Where packages in S3 are found.

    Args:
        where: A folder that holds one for each bucket, or the URL of an endpoint that takes requests
            which nobody signed; None for neither.
    """

    def __init__(self, where: str | Path | None) -> None:
        self._where = where

    async def get(self, bucket: str, key: str) -> bytes:
        """Return a package.

        Raises:
            Refusal: There is none.
        """
        if self._where is None:
            raise refusals.invalid(
                "Code in S3: this endpoint was not told where S3 is; LocalLambda(s3=...) or --s3 "
                "takes a folder or the URL of an endpoint."
            )
        text = str(self._where)
        if text.startswith(("http://", "https://")):
            return await to_thread.run_sync(_download, f"{text.rstrip('/')}/{bucket}/{quote(key)}")
        return await to_thread.run_sync(partial(_read, Path(text), bucket, key))


def check(where: str | Path | None) -> str | Path | None:
    """Return where packages in S3 are found.

    Raises:
        ValueError: It is neither a URL nor a folder.
    """
    is_url = str(where).startswith(("http://", "https://"))
    if where is not None and not is_url and not Path(where).is_dir():
        raise ValueError(f"s3={str(where)!r} must be a folder that is there, or a URL")
    return where


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
    # Whoever runs this machine has said that it is S3; a proxy could not reach it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        error.close()
        failed = _NO_KEY if error.code == 404 else _FAILED.format(error.code, error.reason)
        raise refusals.invalid(failed) from error
    except (OSError, ValueError) as error:
        raise refusals.invalid(_FAILED.format("Unreachable", type(error).__name__)) from error
