"""Continuing a run: the input is compared with the recorded one, and its finished beginning skipped."""

import contextlib
import sqlite3
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel

from asyncinvoke._engine.journal import Changed, Journal, Redrive
from asyncinvoke._engine.recording import Prepare, Write
from asyncinvoke._journal.comparing import differing_items, groups
from asyncinvoke._journal.deciding import Seen
from asyncinvoke._journal.identity import SHOWN, changed_items
from asyncinvoke._journal.opening import explained
from asyncinvoke._journal.skimming import Piece, next_piece
from asyncinvoke._journal.store import Store
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke.errors import JournalError, JournalMismatchError

InThread: TypeAlias = Callable[..., Awaitable[Any]]
"""Calls a function in the thread of the journal."""


class Continuing:
    """What is done about an input whose beginning an earlier session has read.

    Args:
        store: The journal.
        journal: What the caller says of it.
        shared: Where items go that have no request of their own.
        in_thread: Calls what blocks.
        monotonic: Tells the time.
        seen: The keys of this session, in a run with keys.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        shared: InvokeParameters,
        *,
        in_thread: InThread,
        monotonic: Callable[[], float],
        seen: Seen | None,
    ) -> None:
        self._store = store
        self._journal = journal
        self._shared = shared
        self._in_thread = in_thread
        self._monotonic = monotonic
        self._seen = seen

    @property
    def may_differ(self) -> bool:
        """Whether an item that is not what it was is a reason to refuse the input."""
        return not self._store.keyed or self._journal.changed is Changed.REFUSE

    async def compare(
        self, payloads: Iterable[object] | AsyncIterable[object], prepare: Prepare
    ) -> None:
        """Read the input once before anything is sent, and compare it with what is recorded.

        Raises:
            JournalMismatchError: It is another one.
        """
        store = self._store
        if not self.may_differ:
            return
        differing: list[int | str] = []
        count = read = 0
        most = None if store.keyed else store.known
        async with contextlib.aclosing(groups(payloads, prepare, most=most)) as compared:
            async for reached, group in compared:
                read = reached
                names = await self._in_thread(differing_items, store, group, self._shared)
                count += len(names)
                differing += names[: SHOWN - len(differing)]
        found = changed_items(differing, of=count) if count else ()
        if self.is_too_short(read):
            found += (self._too_short(read),)
        if found:
            raise self.mismatch(found)

    async def skim(
        self,
        items: Iterator[object],
        write: Write,
        *,
        skipped: Callable[[int], None],
        is_over: Callable[[], bool],
    ) -> Iterator[object]:
        """Skip the beginning of an input, piece by piece, as far as all of it has ended.

        Where outcomes are replayed, or a function is asked about them, each item is met by itself.
        With keys, the rows lie in the order in which the keys were first read, which is that of the
        input as long as it is the same; from the first that is another one on, each is looked up.
        """
        journal, store, first = self._journal, self._store, 0
        replays = journal.replay and journal.results
        if replays or not isinstance(journal.redrive, Redrive):
            return items
        piece = Piece()
        while first < store.known and not is_over():
            # One piece is compared while the next one is read: SQLite runs without Python's lock.
            piece = piece if piece.items else self._next_piece(items, write, first)
            if not piece.items:
                break
            ended: list[bool | JournalError] = []
            async with anyio.create_task_group() as comparing:
                comparing.start_soon(self._compare, piece, first, ended)
                await anyio.lowlevel.checkpoint()
                following = self._next_piece(items, write, first + len(piece.items))
            if isinstance(ended[0], JournalError):
                raise ended[0]
            if not ended[0]:
                return piece.before(following.before(items))
            if self._seen is not None:
                self._seen.add_all(first, len(piece.items))
            first += len(piece.items)
            skipped(len(piece.items))
            piece = following
        return piece.before(items)

    def _next_piece(self, items: Iterator[object], write: Write, first: int) -> Piece:
        most = self._store.known - first
        return next_piece(items, write, most=most, monotonic=self._monotonic)

    async def _compare(self, piece: Piece, first: int, ended: list[bool | JournalError]) -> None:
        try:
            ended.append(await self._in_thread(self._has_ended, piece, first))
        except JournalError as error:  # to be raised by itself, and not in a group
            ended.append(error)

    def _has_ended(self, piece: Piece, first: int) -> bool:
        """Return whether all items of a piece have ended, and are none to be run again."""
        try:
            return piece.is_whole and self._store.are_those(
                first,
                len(piece.items),
                piece.names_and_digests(self._shared),
                failed=self._journal.redrive == Redrive.NONE,
            )
        except sqlite3.Error as error:
            raise explained(self._store.path, error) from None

    def is_too_short(self, count: int) -> bool:
        """Return whether an input of so many items is another one, which had more."""
        return not self._store.keyed and count < self._store.known

    def too_short(self, count: int) -> JournalMismatchError:
        """Return the error for such an input."""
        return self.mismatch((self._too_short(count),))

    def mismatch(self, found: tuple[str, ...]) -> JournalMismatchError:
        """Return the error for an input that differs in these ways."""
        return JournalMismatchError(
            f"{self._store.path}: the input is not that of the run: {'; '.join(found)}",
            differences=found,
        )

    def _too_short(self, count: int) -> str:
        return f"the input has {count:,} items, and had {self._store.known:,} or more"
