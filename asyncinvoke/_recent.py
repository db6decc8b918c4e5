"""A bounded cache of recently used values."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keep the most recently used values: at least `most` of them, at most twice as many.

    It has two generations, like a garbage collector: a hit in the old generation moves the value to
    the young one, and once the young generation is full, the old one is dropped as a whole. Nothing
    is sorted or counted, and using slightly more keys than fit evicts only a few of them.
    """

    __slots__ = ("_most", "_old", "young")

    def __init__(self, most: int) -> None:
        self._most = most
        self.young: dict[K, V] = {}
        """The young generation; hot paths look here first, which saves a method call."""
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return the cached value of a key, if any.

        Raises:
            TypeError: The key is not hashable.
        """
        value = self.young.get(key)
        if value is None and self._old:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Cache the value of a key."""
        if len(self.young) >= self._most:
            self._old = self.young
            self.young = {}
        self.young[key] = value

    def __len__(self) -> int:
        return len(self.young.keys() | self._old.keys())
