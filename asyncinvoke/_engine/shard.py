"""`Shard`: which items of an input belong to one of several machines."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Self

from asyncinvoke._request.numbers import MOST, is_whole
from asyncinvoke._request.target import show_value
from asyncinvoke.errors import InvalidRequestError

MOST_SHARDS = 100_000
"""The maximum number of shards: those that are missing from a merged run are listed one by one."""

_TEXT = re.compile(r"([0-9]{1,18})/([0-9]{1,18})")

_FROM_ZERO = (
    "shards are numbered from 1, as in 1/10 to 10/10; where a scheduler counts from 0, as "
    "Kubernetes and AWS Batch do, add 1: $((JOB_COMPLETION_INDEX + 1))/10"
)


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of an input, each processed by a different machine or process.

    Each shard reads the entire input and selects its own items: by their position modulo `of` or,
    for items with a key, by the SHA-256 of the key modulo `of`. Positions are those in the entire
    input, so the journals of shards can be merged. Every item belongs to exactly one shard.

    Raises:
        InvalidRequestError: A number is invalid; the message names the number and the rule.
    """

    number: int
    """The number of this shard, from 1."""

    _: KW_ONLY

    of: int
    """The total number of shards."""

    def __post_init__(self) -> None:
        for name, number in (("number", self.number), ("of", self.of)):
            if not is_whole(number, -MOST):
                raise InvalidRequestError(
                    f"shard {name} {show_value(number)} must be a whole number, at most {MOST}"
                )
        if self.of < 1:
            raise InvalidRequestError(f"shard of {self.of}: there must be one at least")
        if self.of > MOST_SHARDS:
            raise InvalidRequestError(f"shard of {self.of}: there may be {MOST_SHARDS} at most")
        if not self.number:
            raise InvalidRequestError(f"shard {self}: {_FROM_ZERO}")
        if not 1 <= self.number <= self.of:
            raise InvalidRequestError(
                f"shard {self}: no such shard, only 1/{self.of} to {self.of}/{self.of}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a shard such as `3/10`, the third of ten.

        Raises:
            InvalidRequestError: The text is not a valid shard.
        """
        found = _TEXT.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None:
            raise InvalidRequestError(
                f"shard {show_value(text)} must be a number of how many, such as 3/10"
            )
        return cls(int(found[1]), of=int(found[2]))

    def has(self, position: int, key: str | None) -> bool:
        """Return whether an item belongs to this shard.

        Args:
            position: Its position in the entire input, from 0.
            key: Its key, if it has one.
        """
        if key is not None:
            text = key.encode("utf-8", "surrogatepass")
            position = int.from_bytes(hashlib.sha256(text).digest(), "big")
        return position % self.of == self.number - 1

    def count(self, items: int) -> int:
        """Return how many items of an input without keys belong to this shard."""
        return len(range(self.number - 1, items, self.of))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def checked_shard(shard: object) -> Shard | None:
    """Validate the `shard` option.

    Raises:
        InvalidRequestError: It is not a `Shard`.
    """
    if shard is None or isinstance(shard, Shard):
        return shard
    raise InvalidRequestError(
        f"shard {show_value(shard)} must be a Shard, such as Shard(3, of=10) or Shard.parse('3/10')"
    )


class ShardFilter:
    """Selects the items of an input that belong to a shard.

    Args:
        shard: The shard.
        name: Returns the key of an item, if it has one; raises if the item is invalid.
    """

    def __init__(self, shard: Shard, name: Callable[[object], str | None]) -> None:
        self._shard = shard
        self._name = name

    def __call__(self, position: int, item: object) -> bool:
        """Return whether an item belongs to the shard.

        An item whose key cannot be determined is assigned by position, so that exactly one shard
        reports the failure.
        """
        try:
            key = self._name(item)
        except Exception:  # noqa: BLE001  # user code may raise anything; the outcome reports it
            key = None
        return self._shard.has(position, key)
