"""Lists that come in pages."""

from collections.abc import Iterable, Mapping
from typing import Any

from asyncinvoke.local.functions.configuration import FunctionConfig
from asyncinvoke.local.protocol import names, refusals
from asyncinvoke.local.protocol.names import LATEST

PAGE = 50
"""Items of one answer (AWS's documentation of `ListFunctions`)."""

_MOST = 10_000


def page(
    name: str, items: Iterable[tuple[str, dict[str, Any]]], query: Mapping[str, str]
) -> dict[str, Any]:
    """Return the page that a request asks for, and where the next one begins.

    The marker is the key of the page's last item, so that a list whose items are deleted meanwhile
    goes on where it was.

    Args:
        name: What the answer calls the list.
        items: All items, each with the key that it is sorted by.
        query: The query, with `Marker` and `MaxItems`.

    Raises:
        Refusal: `MaxItems` is out of range.
    """
    marker, asked = query.get("Marker"), query.get("MaxItems", str(PAGE))
    most = int(asked) if asked.isdecimal() and len(asked) < 10 else 0
    violations = names.out_of_range(most, "maxItems", 1, _MOST)
    if violations:
        raise refusals.violated(violations)
    later = sorted((item for item in items if not marker or item[0] > marker), key=lambda i: i[0])
    found = later[: min(most, PAGE)]
    answer: dict[str, Any] = {name: [item for _, item in found]}
    if len(later) > len(found):
        answer["NextMarker"] = found[-1][0]
    return answer


def version_key(config: FunctionConfig) -> str:
    """Return the key by which versions are sorted: `$LATEST` first, then by number."""
    return f"{0 if config.version == LATEST else int(config.version):010d}"
