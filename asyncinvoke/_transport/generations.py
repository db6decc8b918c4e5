"""A memory of bounded size that forgets what was not asked for in a while, never all at once."""

from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Generations(Generic[_K, _V]):
    """Keeps between `most` and twice as many values: the young ones, and those before them.

    What is asked for becomes young again. When the young are too many they become old, and what was
    old until then, and not asked for since, is forgotten.

    Args:
        most: How many young values there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: dict[_K, _V] = {}
        self._old: dict[_K, _V] = {}

    def get(self, key: _K) -> _V | None:
        """Return a value, or `None` if it is not known, or no longer."""
        value = self._young.get(key)
        if value is None and (value := self._old.pop(key, None)) is not None:
            self.keep(key, value)
        return value

    def keep(self, key: _K, value: _V) -> None:
        """Keep a value for its key."""
        if len(self._young) >= self._most and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
