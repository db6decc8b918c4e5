"""Tags: told, set and removed. They change nothing about how a function runs."""

from collections.abc import Sequence
from typing import Any

from asyncinvoke.local.functions.versions import Versions
from asyncinvoke.local.management.members import Members
from asyncinvoke.local.management.named import NamedFunction
from asyncinvoke.local.protocol import names, refusals

MOST_TAGS = 50
"""Tags that a function may have (AWS's quota)."""


def list_tags(function: NamedFunction) -> dict[str, Any]:
    """`ListTags`."""
    return {"Tags": dict(_of_function(function).tags)}


def tag(function: NamedFunction, members: Members) -> None:
    """`TagResource`."""
    tags = members.texts("Tags")
    if not tags:
        raise refusals.invalid("An error occurred and the request cannot be processed.")
    add(_of_function(function), tags)


def untag(function: NamedFunction, keys: Sequence[str]) -> None:
    """`UntagResource`; a tag that is not there is no error, as in AWS."""
    if not keys:
        raise refusals.violated(names.missing(tagKeys=None))
    for key in keys:
        _of_function(function).tags.pop(key, None)


def add(versions: Versions, tags: dict[str, str]) -> None:
    """Set tags.

    Raises:
        Refusal: There would be too many.
    """
    both = versions.tags | tags
    if len(both) > MOST_TAGS:
        raise refusals.invalid("Number of tags exceeds resource tag limit.")
    versions.tags = both


def _of_function(function: NamedFunction) -> Versions:
    if function.qualifier is not None:
        raise refusals.invalid(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return function.versions
