"""Compares a re-readable input with the recorded one, before anything is sent."""

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence

from asyncinvoke._engine.recording import Prepare, Prepared
from asyncinvoke._journal.identity import digest_of
from asyncinvoke._journal.store import Store
from asyncinvoke._request.parameters import InvokeParameters

GROUP = 1000
"""Items that are compared at once."""

MOST_BYTES = 8 << 20
"""Or as many as hold so many bytes."""


def second_reading(payloads: object) -> Iterable[object] | AsyncIterable[object] | None:
    """Return an input to be read once more, if it gives its items again; else `None`.

    An input of our own, which is a stream for the map, gives what its `read_again` returns.
    """
    if isinstance(payloads, Sequence):
        return payloads
    again = getattr(payloads, "read_again", None)
    items = again() if callable(again) else None
    # Of any other iterable nobody knows: it may share one file, or one generator, between readings.
    return items if isinstance(items, AsyncIterable | Iterable) else None


async def groups(
    payloads: Iterable[object] | AsyncIterable[object], prepare: Prepare, *, most: int | None
) -> AsyncGenerator[tuple[int, list[Prepared]], None]:
    """Give the items in groups, prepared, with how many were read; at most so many of them."""
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
    """Set the digests of items that were read."""
    for prepared in reads:
        call = prepared.call
        prepared.digest = digest_of(
            prepared.body, None if call is None else call.parameters, shared
        )


def differing_items(
    store: Store, reads: list[Prepared], shared: InvokeParameters
) -> list[int | str]:
    """Return the positions or keys of those items that are recorded, and were others then."""
    digest(reads, shared)
    if reads and _are_all_the_same(store, reads):
        return []
    found, fresh = store.look_up(reads)
    names = [
        _name(each.prepared)
        for each in found
        if each.digest is not None and each.digest != each.prepared.digest
    ]
    for prepared in fresh:
        lost = store.lost.get(_name(prepared) if store.keyed else prepared.index)
        if lost is not None and lost.digest != prepared.digest:
            names.append(_name(prepared))
    return names


def _are_all_the_same(store: Store, reads: list[Prepared]) -> bool:
    """Return whether a group lies in one row in the journal, as it was; asked with one answer."""
    first, count, whole = reads[0].index, len(reads), b""
    if reads[-1].index - first != count - 1:
        return False  # others are of another shard
    for prepared in reads:
        if prepared.digest is None:
            return False
        if store.keyed:
            whole += (prepared.key or "").encode()
        whole += prepared.digest
    return store.are_those(first, count, whole, failed=True)


def _name(prepared: Prepared) -> int | str:
    return prepared.index if prepared.key is None else prepared.key
