"""The comparison of an input that can be read twice with what is recorded, before anything is sent."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeGuard

from asyncinvoke._engine.recording import Prepare, Prepared
from asyncinvoke._journal.identity import digest_of
from asyncinvoke._journal.store import Store
from asyncinvoke._request.parameters import InvokeParameters

GROUP = 1000
"""Items that are compared at once."""

MOST_BYTES = 8 << 20
"""Or as many as hold so many bytes."""


def can_be_read_twice(payloads: object) -> TypeGuard[Iterable[object]]:
    """Return whether an input gives its items again when it is iterated again."""
    if isinstance(payloads, Sequence):
        return True
    # A set, or a view of one, may give them in another order in another process.
    return (
        isinstance(payloads, Iterable)
        and not isinstance(payloads, Iterator)
        and getattr(payloads, "reads_again", False) is True
    )


def groups(
    payloads: Iterable[object], prepare: Prepare, *, most: int | None
) -> Iterator[tuple[int, list[Prepared]]]:
    """Give the items in groups, prepared, with how many were read; at most so many of them."""
    group: list[Prepared] = []
    read = size = 0
    for index, item in enumerate(islice(payloads, most)):
        read += 1
        prepared = prepare(index, item)
        if prepared is not None:
            group.append(prepared)
            size += len(prepared.body)
        if len(group) >= GROUP or size >= MOST_BYTES:
            yield read, group
            group, size = [], 0
    yield read, group


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


def _name(prepared: Prepared) -> int | str:
    return prepared.index if prepared.key is None else prepared.key
