"""On which line of the input an item begins, for as long as that is asked for. A value, no more."""

from bisect import bisect_right

MOST = 4096
"""How many changes are kept: of the lines between items, such as empty ones."""


class LineNumbers:
    """Lines by position, kept as the places where the distance between the two changes.

    An input of lines without empty ones takes a single entry, whatever its length.
    """

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._distances: list[int] = []
        self._until = 0

    def add(self, position: int, line: int) -> None:
        """Note the line of the next item."""
        self._until = position + 1
        distance = line - position
        if self._distances and self._distances[-1] == distance:
            return
        if len(self._positions) >= MOST:
            del self._positions[: MOST // 2], self._distances[: MOST // 2]
        self._positions.append(position)
        self._distances.append(distance)

    def get(self, position: int) -> int | None:
        """Return the line of an item, if it is known (still, or already)."""
        if position >= self._until:
            return None
        place = bisect_right(self._positions, position) - 1
        return None if place < 0 else position + self._distances[place]

    def as_note(self) -> dict[str, object]:
        """Return it as what JSON can hold."""
        changes = zip(self._positions, self._distances, strict=True)
        return {"until": self._until, "changes": list(changes)}

    @classmethod
    def from_note(cls, note: object) -> "LineNumbers":
        """Return what a note says; of anything else, an empty one."""
        numbers = cls()
        match note:
            case {"until": int(until), "changes": list(changes)}:
                numbers._until = until
                numbers._positions = [int(position) for position, _ in changes]
                numbers._distances = [int(distance) for _, distance in changes]
        return numbers
