"""`Shard`: which items of an input belong to one of several machines."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Self

from asyncinvoke._request.numbers import MOST, is_whole
from asyncinvoke._request.target import show_value
from asyncinvoke.errors import InvalidRequestError

_TEXT = re.compile(r"([0-9]{1,18})/([0-9]{1,18})")

_FROM_ZERO = (
    "shards are numbered from 1, as in 1/10 to 10/10; where a scheduler counts from 0, as "
    "Kubernetes and AWS Batch do, add 1: $((JOB_COMPLETION_INDEX + 1))/10"
)


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of an input, each run by a machine or a process of its own.

    Whoever runs a part reads the whole input and takes its items: those whose position modulo `of`
    is its own or, of items with a key, whose key's SHA-256 is. Positions stay those of the whole
    input, so journals of parts can be merged. Every item is in exactly one part.

    Raises:
        InvalidRequestError: A number breaks a rule; the message says which.
    """

    number: int
    """Which part, from 1."""

    _: KW_ONLY

    of: int
    """How many parts there are."""

    def __post_init__(self) -> None:
        for name, number in (("number", self.number), ("of", self.of)):
            if not is_whole(number, -MOST):
                raise InvalidRequestError(
                    f"shard {name} {show_value(number)} must be a whole number, at most {MOST}"
                )
        if self.of < 1:
            raise InvalidRequestError(f"shard of {self.of}: there must be one at least")
        if not self.number:
            raise InvalidRequestError(f"shard {self}: {_FROM_ZERO}")
        if not 1 <= self.number <= self.of:
            raise InvalidRequestError(
                f"shard {self}: no such shard, only 1/{self.of} to {self.of}/{self.of}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that a text such as `3/10` names, the third of ten.

        Raises:
            InvalidRequestError: The text is no such thing.
        """
        found = _TEXT.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None:
            raise InvalidRequestError(
                f"shard {show_value(text)} must be a number of how many, such as 3/10"
            )
        return cls(int(found[1]), of=int(found[2]))

    def has(self, position: int, key: str | None) -> bool:
        """Return whether an item is one of this part.

        Args:
            position: Its place in the whole input, from 0.
            key: Its key, if it has one.
        """
        if key is not None:
            text = key.encode("utf-8", "surrogatepass")
            position = int.from_bytes(hashlib.sha256(text).digest(), "big")
        return position % self.of == self.number - 1

    def count(self, items: int) -> int:
        """Return how many items of an input without keys are of this part."""
        return len(range(self.number - 1, items, self.of))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def checked_shard(shard: object) -> Shard | None:
    """Return what was given as `shard`.

    Raises:
        InvalidRequestError: It is no shard.
    """
    if shard is None or isinstance(shard, Shard):
        return shard
    raise InvalidRequestError(
        f"shard {show_value(shard)} must be a Shard, such as Shard(3, of=10) or Shard.parse('3/10')"
    )


class Pick:
    """Says which items of an input are worked on.

    Args:
        shard: The part that is.
        name: Returns the key of an item, if it has one, or raises what is wrong with it.
    """

    def __init__(self, shard: Shard, name: Callable[[object], str | None]) -> None:
        self._shard = shard
        self._name = name

    def __call__(self, position: int, item: object) -> bool:
        """Return whether an item is worked on here.

        One that cannot be named goes by its position: one of all machines makes it a failure.
        """
        try:
            key = self._name(item)
        except Exception:  # noqa: BLE001  # an item may be wrong in any way, and its outcome says how
            key = None
        return self._shard.has(position, key)
