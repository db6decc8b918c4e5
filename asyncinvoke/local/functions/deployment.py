"""What is told about a deployed function and does not change how it runs."""

import time
import uuid
from dataclasses import dataclass, field

RUNTIME = "python3.13"
"""The runtime that a handler which was registered from Python is said to have."""

EMPTY_SHA256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
"""The hash of no code at all."""


def _timestamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime())


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """How a function came here."""

    role: str
    """The ARN of its role."""
    runtime: str = RUNTIME
    """The runtime that it asked for."""
    description: str = ""
    """Its description."""
    code_size: int = 0
    """The size of its package, in bytes."""
    code_sha256: str = EMPTY_SHA256
    """The hash of its package, in base64."""
    last_modified: str = field(default_factory=_timestamp, compare=False)
    """When it was changed last."""
    revision_id: str = field(default_factory=lambda: str(uuid.uuid4()), compare=False)
    """Changes whenever it is changed."""
