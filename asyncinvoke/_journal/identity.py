"""The identity of an item, the rows seen so far, and what differs between runs: decisions on values."""

import hashlib
import itertools
import json
from collections.abc import Mapping
from typing import Any

from asyncinvoke._journal.schema import DIGEST
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._request.target import Target
from asyncinvoke.errors import InvalidRequestError

SHOWN = 20
"""The maximum number of differing items to name."""

_NAMES = {
    "key": "whether items have keys",
    "results": "whether results are kept",
}

_UNRECORDED = {"durable_execution_name"}
"""Settings that older versions did not record; without a record, they are not compared."""


def digest_of(
    body: bytes, parameters: InvokeParameters | None, shared: InvokeParameters
) -> bytes | None:
    """Return the first bytes of the SHA-256 of a request; `None` if the item cannot be sent.

    Args:
        body: The payload as sent. Without parameters of its own, the digest is that of `sha256sum`.
        parameters: The request parameters; `None` for an item that cannot be sent.
        shared: The request parameters of the map. Parameters that differ from them are hashed too.
    """
    if parameters is None:
        return None
    hashed = hashlib.sha256(body)
    if parameters is not shared:
        own = overridden(parameters, shared)
        if own:
            hashed.update(b"\0" + json.dumps(own, sort_keys=True).encode())
    return hashed.digest()[:DIGEST]


def cut(digest: bytes | None) -> bytes | None:
    """Return a recorded digest in its current length: older versions stored longer digests."""
    return None if digest is None else digest[:DIGEST]


def overridden(parameters: InvokeParameters, shared: InvokeParameters) -> dict[str, str | None]:
    """Return the parameters that differ from those of the map, by name; the log type does not count."""
    common = shared.identity()
    return {name: own for name, own in parameters.identity().items() if own != common[name]}


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how the settings of a map differ from the recorded ones; empty if it continues the run."""
    found = []
    for name in sorted({*was, *now} - (_UNRECORDED - was.keys())):
        before, after = was.get(name), now.get(name)
        if before == after or (name == "function_name" and _may_be(before, after)):
            continue
        shown = _NAMES.get(name, name)
        if name == "client_context":
            found.append("client_context is another one")  # it may hold a token
        else:
            found.append(f"{shown} is {after!r}, and was {before!r}")
    return tuple(found)


def _may_be(before: object, after: object) -> bool:
    try:
        return Target.parse(str(before)).may_be(Target.parse(str(after)))
    except InvalidRequestError:
        return False


def changed_items(names: list[int | str], *, of: int | None = None) -> tuple[str, ...]:
    """Return the messages for items that have changed; only the first ones are named.

    Successive positions are one message: after an item that was inserted, all others differ.
    """
    count = len(names) if of is None else of
    shown = names[:SHOWN]
    found = []
    for _, group in itertools.groupby(enumerate(shown), _start):
        first, *others = (name for _, name in group)
        found.append(
            f"items {first} to {others[-1]} are not what they were"
            if others
            else f"item {first!r} is not what it was"
        )
    if count > len(shown):
        found.append(f"{count - len(shown):,} more items are not what they were")
    return tuple(found)


def _start(numbered: tuple[int, int | str]) -> tuple[str, int]:
    """Return what successive positions have in common, and nothing else has."""
    number, name = numbered
    return ("key", number) if isinstance(name, str) else ("position", name - number)


class SeenRows:
    """The rows of the items read in this session, to detect duplicate keys."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self.open: dict[str, int] = {}
        """The rows of the keys in progress, and of those left in doubt by a process that died."""

    def __contains__(self, row: int) -> bool:
        byte, bit = divmod(row, 8)
        return byte < len(self._bits) and bool(self._bits[byte] >> bit & 1)

    def add(self, row: int) -> None:
        """Add the row of an item."""
        byte, bit = divmod(row, 8)
        if byte >= len(self._bits):
            self._bits.extend(bytes(max(4096, byte + 1 - len(self._bits))))
        self._bits[byte] |= 1 << bit

    def add_all(self, first: int, count: int) -> None:
        """Add `count` consecutive rows."""
        until = first + count
        whole = range(-(-first // 8), until // 8)  # bytes all of whose bits are set
        if len(whole) == 0:
            for row in range(first, until):
                self.add(row)
            return
        for row in (*range(first, whole.start * 8), *range(whole.stop * 8, until)):
            self.add(row)
        if whole.stop > len(self._bits):
            self._bits.extend(bytes(max(4096, whole.stop - len(self._bits))))
        self._bits[whole.start : whole.stop] = b"\xff" * len(whole)

    def count(self) -> int:
        """Return how many rows there are."""
        return int.from_bytes(self._bits, "big").bit_count()
