"""Compares an input with the recorded one: before anything is sent, if it can be read twice."""

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence
from typing import Any

from asyncinvoke._engine.journal import Changed, Journal
from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._engine.recording import Prepare
from asyncinvoke._journal.identity import SHOWN, SeenRows, changed_items, digest_of
from asyncinvoke._journal.store import Store
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke.errors import JournalMismatchError

GROUP = 1000
"""The maximum number of items that are compared at once."""

MOST_BYTES = 8 << 20
"""The size at which a group is complete, in bytes of payload."""

_RESTORE = "restore it, or record this input in another journal"
_KEEP_OR_REPEAT = "give changed, or map --changed, to keep their outcomes or to run them again"


class Comparison:
    """Compares an input with the recorded one.

    Args:
        store: The journal.
        journal: The journal options.
        shared: The request parameters of items without a request of their own.
    """

    def __init__(self, store: Store, journal: Journal, shared: InvokeParameters) -> None:
        self._store = store
        self._journal = journal
        self._shared = shared

    @property
    def may_differ(self) -> bool:
        """Whether an input is refused because of an item that has changed."""
        return not self._store.keyed or self._journal.changed is Changed.REFUSE

    async def compare(
        self,
        payloads: Iterable[object] | AsyncIterable[object],
        prepare: Prepare,
        *,
        in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        """Read the input once before anything is sent, and compare it with the recorded one.

        Args:
            payloads: The input.
            prepare: Encodes an item.
            in_thread: Calls a blocking function in the journal's thread.

        Raises:
            JournalMismatchError: It is a different one.
        """
        if not self.may_differ:
            return
        store = self._store
        differing: list[int | str] = []
        count = read = 0
        seen = SeenRows() if store.keyed else None
        most = None if store.keyed else store.left.known
        async with contextlib.aclosing(groups(payloads, prepare, most=most)) as compared:
            async for reached, group in compared:
                read = reached
                names = await in_thread(differing_items, store, group, self._shared, seen)
                count += len(names)
                differing += names[: SHOWN - len(differing)]
        found = changed_items(differing, of=count) if count else ()
        if self.is_too_short(read):
            found += (self._too_short(read),)
        if found:
            raise self.mismatch(found)

    def is_too_short(self, count: int) -> bool:
        """Return whether an input of `count` items is a different one, because more are recorded."""
        return not self._store.keyed and count < self._store.left.known

    def too_short(self, count: int) -> JournalMismatchError:
        """Return the error for such an input."""
        return self.mismatch((self._too_short(count),))

    def mismatch(self, found: tuple[str, ...]) -> JournalMismatchError:
        """Return the error for an input with these differences."""
        advice = _KEEP_OR_REPEAT if self._store.keyed else _RESTORE
        return JournalMismatchError(
            f"{self._store.path}: the input is not that of the run: {'; '.join(found)} ({advice})",
            differences=found,
        )

    def _too_short(self, count: int) -> str:
        return f"the input has {count:,} items, and had {self._store.left.known:,} or more"


def second_reading(payloads: object) -> Iterable[object] | AsyncIterable[object] | None:
    """Return a second iteration of an input, or `None` if it can be read only once.

    One of our own inputs is a stream for the map, and has a method `read_again`.
    """
    if isinstance(payloads, Sequence):
        return payloads
    again = getattr(payloads, "read_again", None)
    items = again() if callable(again) else None
    # Any other iterable may share one file or one generator between its iterators.
    return items if isinstance(items, AsyncIterable | Iterable) else None


async def groups(
    payloads: Iterable[object] | AsyncIterable[object], prepare: Prepare, *, most: int | None
) -> AsyncGenerator[tuple[int, list[Prepared]], None]:
    """Yield prepared items in groups, each with the number of items read so far.

    Args:
        payloads: The input.
        prepare: Encodes an item.
        most: The maximum number of items to read; `None` for all.
    """
    group: list[Prepared] = []
    size = index = 0
    async with contextlib.aclosing(_each(payloads)) as items:
        async for item in items:
            if index == most:
                break
            prepared = prepare(index, item)
            index += 1
            if prepared is not None:
                group.append(prepared)
                size += len(prepared.body)
            if len(group) >= GROUP or size >= MOST_BYTES:
                yield index, group
                group, size = [], 0
    yield index, group


async def _each(
    payloads: Iterable[object] | AsyncIterable[object],
) -> AsyncGenerator[object, None]:
    if isinstance(payloads, Iterable):
        for item in payloads:
            yield item
        return
    items = aiter(payloads)
    try:
        async for item in items:
            yield item
    finally:
        if inspect.isasyncgen(items):
            await items.aclose()


def digest(reads: list[Prepared], shared: InvokeParameters) -> None:
    """Set the digests of items."""
    for prepared in reads:
        call = prepared.call
        prepared.digest = digest_of(
            prepared.body, None if call is None else call.parameters, shared
        )


def differing_items(
    store: Store, reads: list[Prepared], shared: InvokeParameters, seen: SeenRows | None
) -> list[int | str]:
    """Return the positions or keys of the items that differ from their records.

    Args:
        store: The journal.
        reads: The items.
        shared: The request parameters of items without a request of their own.
        seen: The rows of the items before these, in a run with keys: another item with the key of
            one of them has no record of its own.
    """
    digest(reads, shared)
    if reads and _are_all_the_same(store, reads):
        if seen is not None:
            seen.add_all(reads[0].index, len(reads))
        return []
    found, fresh = store.lookups.look_up(reads)
    recorded = [(each.prepared, each.prepared.row, each.digest) for each in found]
    for prepared in fresh:
        lost = store.left.lost.get(_name(prepared) if store.keyed else prepared.index)
        if lost is not None:
            recorded.append((prepared, lost.row, lost.digest))
    names = []
    for prepared, row, was in recorded:
        if seen is not None:
            if row in seen:
                continue
            seen.add(row)
        if was is not None and was != prepared.digest:
            names.append(_name(prepared))
    return names


def _are_all_the_same(store: Store, reads: list[Prepared]) -> bool:
    """Return whether a group is recorded in consecutive rows and has not changed, in one query."""
    first, count, whole = reads[0].index, len(reads), b""
    if reads[-1].index - first != count - 1:
        return False  # the items between belong to other shards
    for prepared in reads:
        if prepared.digest is None:
            return False
        if store.keyed:
            whole += (prepared.key or "").encode()
        whole += prepared.digest
    return store.lookups.are_those(first, count, whole, failed=True)


def _name(prepared: Prepared) -> int | str:
    return prepared.index if prepared.key is None else prepared.key
