"""What kind of output a name asks for. Reads and writes nothing."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

FormatName: TypeAlias = Literal["jsonl", "parquet"]
Compression: TypeAlias = Literal["gz", "zst"]

_COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst"}


@dataclass(frozen=True, slots=True)
class Kind:
    """How an output is written."""

    format: FormatName = "jsonl"
    compression: Compression | None = None
    is_remote: bool = False
    """Whether it is a URL, and no file of this machine."""

    @property
    def is_whole(self) -> bool:
        """Whether it can only be written as a whole, and not line by line as outcomes come."""
        return self.is_remote or self.format == "parquet" or self.compression is not None


def kind_of(target: str, told: FormatName | None = None) -> Kind:
    """Return what kind of output a name asks for.

    Args:
        target: A path or a URL.
        told: The format, if somebody said so.
    """
    lowered = target.lower()
    compression = next((each for end, each in _COMPRESSIONS.items() if lowered.endswith(end)), None)
    by_name: FormatName = "parquet" if lowered.endswith((".parquet", ".pq")) else "jsonl"
    return Kind(
        format=told or by_name,
        compression=None if (told or by_name) == "parquet" else compression,
        is_remote="://" in target,
    )
