"""A bounded cache of recently used values."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keeps the values used last: at least `most` of them, at most twice as many.

    Two generations, as in a collector of garbage: what is found in the old one moves to the young
    one, and once the young one is full the old one is dropped as a whole. So nothing is ever sorted
    or counted, and whoever uses a few more names than fit loses those few, not all.
    """

    __slots__ = ("_most", "_old", "young")

    def __init__(self, most: int) -> None:
        self._most = most
        self.young: dict[K, V] = {}
        """The young generation: who asks at each call looks here first, which saves a call."""
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return the value of a key, if it is remembered.

        Raises:
            TypeError: The key cannot be hashed.
        """
        value = self.young.get(key)
        if value is None and self._old:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember the value of a key."""
        if len(self.young) >= self._most:
            self._old = self.young
            self.young = {}
        self.young[key] = value

    def __len__(self) -> int:
        return len(self.young.keys() | self._old.keys())
