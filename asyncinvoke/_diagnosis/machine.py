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
    """How many files this process may open."""

    soft: int | None
    """The limit that holds; `None` for no end, or none known."""

    hard: int | None
    """How far it can be raised; `None` for no end, or none known."""

    open: int
    """How many are open now."""


def versions() -> dict[str, str | None]:
    """Return the version of each library that takes part; `None` for one that is not installed."""
    return {name: _version(name) for name in (*CORE, *OPTIONAL)}


def python() -> dict[str, str]:
    """Return what runs this process."""
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
    # Imported here, as it takes longer than the rest of the library's public names.
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
