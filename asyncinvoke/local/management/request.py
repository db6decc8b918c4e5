"""The parts of a management request: members of its body, its function, its page of a list."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from asyncinvoke.local import checks
from asyncinvoke.local.functions.configuration import FunctionConfig
from asyncinvoke.local.functions.versions import Versions
from asyncinvoke.local.management import describe, shapes
from asyncinvoke.local.protocol import names, refusals
from asyncinvoke.local.protocol.names import LATEST

_T = TypeVar("_T")


class Members:
    """The members of the body of a request. A null member is treated as absent.

    Every method raises `Refusal` for a member of another type, without repeating its value.

    Args:
        values: The members.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @classmethod
    def parse(cls, body: bytes) -> "Members":
        """Parse a body.

        Raises:
            Refusal: It is not a JSON object, or a member does not match the service's model.
        """
        try:
            values = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise refusals.unreadable("the body is not a JSON object")
        shapes.check(values)
        return cls(values)

    def text(self, name: str) -> str | None:
        """Return a string; None if absent."""
        value = self._get(name, str, "a text")
        # JSON can contain a lone surrogate, which no response could repeat.
        if value is not None and not _is_encodable(value):
            raise refusals.unreadable(f"{name}: it must be a text of whole characters")
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number; None if absent."""
        return self._get(name, int, "a whole number")

    def flag(self, name: str) -> bool:
        """Return a boolean; False if absent."""
        return self._get(name, bool, "true or false") or False

    def members(self, name: str) -> "Members":
        """Return an object; an empty one if absent."""
        return Members(self._get(name, dict, "an object") or {})

    def texts(self, name: str) -> dict[str, str] | None:
        """Return an object of strings; None if absent."""
        values = self._get(name, dict, "an object")
        return values and {str(key): Members(values).text(key) or "" for key in values}

    def numbers(self, name: str) -> dict[str, float] | None:
        """Return an object of numbers; None if absent or empty."""
        value = self._get(name, dict, "an object of numbers") or {}
        if any(type(number) not in (int, float) for number in value.values()):
            raise refusals.unreadable(f"{name}: it must be an object of numbers")
        return {key: float(number) for key, number in value.items()} or None

    def any(self, name: str) -> Any:
        """Return a value of any type; None if absent."""
        return self._values.get(name)

    def __bool__(self) -> bool:
        return bool(self._values)

    def _get(self, name: str, kind: type[_T], what: str) -> _T | None:
        value = self._values.get(name)
        # The exact type: `isinstance` would accept true as a number.
        if value is not None and type(value) is not kind:
            raise refusals.unreadable(f"{name}: it must be {what}")
        return value


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFunction:
    """The function of a request, and its qualifier."""

    versions: Versions
    """The function."""
    qualifier: str | None
    """The qualifier, from the name or the query; None without one."""

    @property
    def config(self) -> FunctionConfig:
        """The configuration that the qualifier refers to.

        Raises:
            Refusal: It does not exist.
        """
        config = self.versions.resolve(self.qualifier)
        if config is None:
            raise function_not_found(self.versions.latest.arn, self.qualifier)
        return config

    def check_changeable(self, revision_id: str | None, *, now: float) -> None:
        """Check that `$LATEST` is ready to be changed, and still has the expected revision.

        Args:
            revision_id: The expected revision id; None for any.
            now: The time in seconds of the monotonic clock.

        Raises:
            Refusal: It is not ready, or has another revision.
        """
        checks.check_changeable(self.versions, now=now)
        self.check_revision(revision_id, now=now)

    def check_revision(self, revision_id: str | None, *, now: float) -> None:
        """Check that `$LATEST` still has the expected revision.

        Raises:
            Refusal: It has another revision.
        """
        latest = self.versions.latest
        if revision_id not in (None, describe.revision(latest, self.versions, now)):
            raise refusals.changed_meanwhile()

    @property
    def arn(self) -> str:
        """The ARN, with the qualifier if the request has one."""
        arn = self.versions.latest.arn
        return arn if self.qualifier is None else f"{arn}:{self.qualifier}"


Absent: TypeAlias = Callable[[str, str | None], refusals.Refusal]
"""Returns the error for a missing function, given its ARN and the qualifier."""


def find_function(
    functions: Mapping[str, Versions],
    text: str,
    qualifier: str | None,
    *,
    region_name: str,
    account_id: str,
    absent: "Absent | None" = None,
) -> NamedFunction:
    """Return the function of a request.

    Args:
        functions: All functions, by name.
        text: The name, ARN or partial ARN of the path.
        qualifier: The `Qualifier` of the query.
        region_name: The endpoint's region.
        account_id: The endpoint's account.
        absent: Returns the error for a missing function, which differs by operation.

    Raises:
        Refusal: The function does not exist, or the name is invalid.
    """
    name = checks.check_name(text, names.parse(text), qualifier)
    qualifier = checks.one_qualifier(name, qualifier, region_name=region_name)
    account = name.account or account_id
    versions = functions.get(name.name) if account == account_id else None
    if versions is None:
        arn = f"arn:aws:lambda:{region_name}:{account}:function:{name.name}"
        raise (absent or function_not_found)(arn, qualifier)
    return NamedFunction(versions=versions, qualifier=qualifier)


def function_not_found(arn: str, qualifier: str | None) -> refusals.Refusal:
    """Return the error for a missing function or version."""
    return refusals.function_not_found(arn + (f":{qualifier}" if qualifier else ""))


def no_such_version(arn: str, qualifier: str | None) -> refusals.Refusal:
    """Return the error for a missing version or alias, as operations that distinguish them do."""
    if qualifier is None or qualifier == LATEST or qualifier.isdecimal():
        return function_not_found(arn, qualifier)
    return refusals.not_found(f"Cannot find alias arn: {arn}:{qualifier}")


PAGE = 50
"""The maximum number of items in a page (AWS's documentation of `ListFunctions`)."""

MOST_ITEMS = 10_000
"""The maximum `MaxItems` of most operations; for others it is `PAGE`."""


def page(
    name: str,
    items: Iterable[tuple[str, dict[str, Any]]],
    query: Mapping[str, str],
    *,
    limit: int = MOST_ITEMS,
) -> dict[str, Any]:
    """Return the requested page of a list, with the marker of the next one.

    The marker is the key of the page's last item, so that paging continues correctly when items are
    deleted.

    Args:
        name: The name of the list in the response.
        items: All items, each with its sort key.
        query: The query, with `Marker` and `MaxItems`.
        limit: The maximum `MaxItems` of the operation.

    Raises:
        Refusal: `MaxItems` is out of range.
    """
    marker, max_items = query.get("Marker"), query.get("MaxItems", str(PAGE))
    most = int(max_items) if max_items.isdecimal() and len(max_items) < 10 else 0
    violations = names.out_of_range(most, "maxItems", 1, limit)
    if violations:
        raise refusals.violated(violations)
    later = sorted((item for item in items if not marker or item[0] > marker), key=lambda i: i[0])
    found = later[: min(most, PAGE)]
    answer: dict[str, Any] = {name: [item for _, item in found]}
    if len(later) > len(found):
        answer["NextMarker"] = found[-1][0]
    return answer


def version_key(config: FunctionConfig) -> str:
    """Return the sort key of a version: `$LATEST` first, then by number."""
    return f"{0 if config.version == LATEST else int(config.version):010d}"
