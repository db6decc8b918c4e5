"""The values passed between recorder and store: what a commit records, and what was found."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.recording import Prepared
from asyncinvoke._journal.schema import COMPLETE, State


@dataclass(slots=True)
class Batch:
    """The records of one commit."""

    reads: list[Prepared] = field(default_factory=list)
    """Items not recorded yet: they get rows and intents."""

    again: list[Prepared] = field(default_factory=list)
    """Items that have rows and will run as another take: they get new intents."""

    ended: list[tuple[Prepared, Outcome[Any]]] = field(default_factory=list)
    """Items that have ended."""

    left: list[Prepared] = field(default_factory=list)
    """Items that end without an outcome, and certainly did not run."""

    read: int = 0
    """How many items of the input are read by now: if there were less before, it has grown."""

    notes: dict[str, object] = field(default_factory=dict)
    """What is noted, by name."""

    sample: tuple[Any, ...] | None = None
    """A row of `sample`, but for its session and time."""

    ending: tuple[str, int | None] | None = None
    """How the session ends, and how many items the input has, if that is known."""

    is_refused: bool = False
    """Whether the input has turned out to be a different one."""

    @property
    def proves(self) -> bool:
        """Whether anything of the input is recorded, which accepts it as that of the run."""
        is_whole = self.ending is not None and self.ending[0] == COMPLETE
        return is_whole or bool(self.reads or self.again or self.ended or self.notes)

    def __bool__(self) -> bool:
        return bool(
            self.reads or self.again or self.ended or self.left or self.notes or self.sample
        )


class Found(NamedTuple):
    """What is recorded of an item that was read."""

    prepared: Prepared
    digest: bytes | None
    state: State
    take: int


class Lost(NamedTuple):
    """An item that was in progress when a process died, and may have run."""

    row: int
    digest: bytes | None
    key: str | None
    session: int
    started: float
    take: int
