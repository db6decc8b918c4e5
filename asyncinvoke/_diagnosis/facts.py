"""The facts that checks examine: about this process, and protocols for those of `_transport`."""

import os
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Setting(Protocol):
    """A setting and where it comes from."""

    @property
    def value(self) -> str | None:
        """The value."""
        ...

    @property
    def source(self) -> str:
        """Where the value comes from."""
        ...

    @property
    def flaw(self) -> str | None:
        """What is wrong with it, if anything."""
        ...


class Credentials(Protocol):
    """Facts about credentials that are not secret."""

    @property
    def source(self) -> str | None:
        """Where they come from; `None` if there are none."""
        ...

    @property
    def is_temporary(self) -> bool:
        """Whether they have a session token."""
        ...

    @property
    def expires(self) -> datetime | None:
        """When they expire, if known."""
        ...

    @property
    def flaw(self) -> str | None:
        """Why they cannot be used, if so."""
        ...


class Answered(Protocol):
    """The result of one request to the endpoint."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def elapsed(self) -> float:
        """How long the request took, in seconds."""
        ...

    @property
    def tls(self) -> str | None:
        """The negotiated TLS version and cipher."""
        ...

    @property
    def issuer(self) -> str | None:
        """The issuer of the server's certificate."""
        ...

    @property
    def session(self) -> str | None:
        """Why our own connections were not used; `None` if they were."""
        ...


CORE = ("asyncinvoke", "aiobotocore", "botocore", "aiohttp", "anyio", "httptools", "tenacity")
OPTIONAL = (
    *("trio", "httpx2", "uvloop", "click", "rich", "awslambdaric", "boto3"),
    *("opentelemetry-api", "fsspec", "zstandard", "s3fs", "pyarrow"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The open files of this process and their limits."""

    soft: int | None
    """The soft limit; `None` if unlimited or unknown."""

    hard: int | None
    """The hard limit; `None` if unlimited or unknown."""

    open: int
    """The number of files open now."""


def versions() -> dict[str, str | None]:
    """Return the version of each library in use; `None` for one that is not installed."""
    return {name: _version(name) for name in (*CORE, *OPTIONAL)}


def python() -> dict[str, str]:
    """Return facts about the Python interpreter."""
    import platform
    import ssl

    return {
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "openssl": ssl.OPENSSL_VERSION,
        "executable": os.path.basename(sys.executable or "python"),
    }


def _version(name: str) -> str | None:
    # Imported here, as it is slower than importing all public names of this library.
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
