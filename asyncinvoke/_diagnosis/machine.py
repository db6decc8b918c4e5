"""Facts about this process: versions, the Python interpreter, the event loop and open files."""

import os
import sys
from dataclasses import dataclass

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
