"""What is told about a deployed function and does not change how it runs."""

import dataclasses
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

RUNTIME = f"python{sys.version_info[0]}.{sys.version_info[1]}"
"""The runtime that a handler which was registered from Python is said to have: the one that runs."""

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
    asked: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """Settings that are told as they were asked for, by AWS's names, such as `Architectures`."""
    last_modified: str = field(default_factory=_timestamp, compare=False)
    """When it was changed last."""
    revision_id: str = field(default_factory=lambda: str(uuid.uuid4()), compare=False)
    """Changes whenever it is changed."""
    settled_revision_id: str = field(default_factory=lambda: str(uuid.uuid4()), compare=False)
    """The one that it has once the change is done."""

    def renewed(self) -> "Deployment":
        """Return the same with new revisions."""
        return dataclasses.replace(
            self, revision_id=str(uuid.uuid4()), settled_revision_id=str(uuid.uuid4())
        )
