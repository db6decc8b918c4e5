"""`Target`: the function to invoke, given as a name, an ARN or a partial ARN, and its qualifier."""

import re
from dataclasses import dataclass, field
from typing import Self

from asyncinvoke.errors import InvalidRequestError

# The parts of the pattern for FunctionName in Lambda's service model (2015-03-31).
_PARTITION = r"aws[a-zA-Z-]*"
_REGION = r"(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-[0-9]"
_ACCOUNT = r"[0-9]{12}"
_NAME = r"[a-zA-Z0-9_.-]+"
_QUALIFIER = r"\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9_-]+"

_FULL_ARN = re.compile(
    rf"arn:(?P<partition>{_PARTITION}):lambda:(?P<region>{_REGION}):(?P<account_id>{_ACCOUNT})"
    rf":function:(?P<name>{_NAME})(?::(?P<qualifier>{_QUALIFIER}))?"
)
_SHORT = re.compile(
    rf"(?:(?P<region>{_REGION}):)?(?:(?P<account_id>{_ACCOUNT}):)?(?:function:)?"
    rf"(?P<name>{_NAME})(?::(?P<qualifier>{_QUALIFIER}))?"
)
_QUALIFIER_ONLY = re.compile(_QUALIFIER)

_LONGEST_SHOWN = 80

MAX_FUNCTION_NAME = 256
"""The maximum length of `FunctionName`, in characters, including ARN and qualifier (service model)."""

MAX_BARE_NAME = 64
"""The maximum length of a bare name, in characters (Lambda's documentation of FunctionName)."""

MAX_QUALIFIER = 128
"""The maximum length of `Qualifier`, in characters (service model)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A function and, if given, its version or alias. `str()` returns the canonical form."""

    name: str
    """The bare name of the function."""

    qualifier: str | None = None
    """A version, an alias or `$LATEST`; `None` is Lambda's default (`$LATEST`)."""

    partition: str | None = None
    """`aws`, `aws-cn`, `aws-us-gov`, ...; `None` unless a full ARN was given."""

    region: str | None = None
    """The region in the ARN, if it includes one."""

    account_id: str | None = None
    """The account ID in the ARN, of twelve digits, if it includes one."""

    function_name: str = field(init=False, repr=False, compare=False)
    """The value sent as `FunctionName`, without the qualifier; made once, as each error has it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "function_name", self._without_qualifier())

    @classmethod
    def parse(cls, function_name: str, qualifier: str | None = None) -> Self:
        """Parse a function name in any form that Lambda accepts.

        Args:
            function_name: `name`, `name:alias`, a full ARN, or a partial ARN such as
                `123456789012:function:name`; with or without a qualifier.
            qualifier: A version, an alias or `$LATEST`. If `function_name` includes one too, they
                must be equal.

        Raises:
            InvalidRequestError: The name or the qualifier is invalid; the message names the rule.
        """
        if not isinstance(function_name, str):
            raise InvalidRequestError(
                f"function_name must be a string, not {type(function_name).__name__}"
            )
        if not 1 <= len(function_name) <= MAX_FUNCTION_NAME:
            raise InvalidRequestError(
                f"function_name {show_value(function_name)} has {len(function_name)} characters; "
                f"Lambda takes 1 to {MAX_FUNCTION_NAME}"
            )
        match = _FULL_ARN.fullmatch(function_name) or _SHORT.fullmatch(function_name)
        if match is None:
            raise InvalidRequestError(
                f"function_name {show_value(function_name)} is not a name, name:qualifier, "
                "function ARN or partial ARN"
            )
        parts = match.groupdict()
        if len(parts["name"]) > MAX_BARE_NAME:
            raise InvalidRequestError(
                f"function_name {show_value(function_name)} has a name of "
                f"{len(parts['name'])} characters; "
                f"Lambda takes at most {MAX_BARE_NAME}"
            )
        if len(parts["qualifier"] or "") > MAX_QUALIFIER:
            raise InvalidRequestError(
                f"function_name {show_value(function_name)} has a qualifier of "
                f"{len(parts['qualifier'])} characters; "
                f"Lambda takes at most {MAX_QUALIFIER}"
            )
        if qualifier is not None:
            _check_qualifier(qualifier)
            if parts["qualifier"] not in (None, qualifier):
                raise InvalidRequestError(
                    f"qualifier {show_value(qualifier)} differs from the one in function_name "
                    f"{show_value(function_name)}"
                )
            parts["qualifier"] = qualifier
        return cls(**parts)

    def may_be(self, other: "Target") -> bool:
        """Return whether both may be the same function; a missing part matches any value."""
        return self.name == other.name and all(
            mine is None or theirs is None or mine == theirs
            for mine, theirs in (
                (self.partition, other.partition),
                (self.region, other.region),
                (self.account_id, other.account_id),
            )
        )

    def _without_qualifier(self) -> str:
        if self.partition is not None:
            return (
                f"arn:{self.partition}:lambda:{self.region}:{self.account_id}:function:{self.name}"
            )
        parts = [part for part in (self.region, self.account_id) if part is not None]
        # A name such as "function", or of twelve digits, would be parsed as a prefix.
        if parts or _SHORT.fullmatch(f"{self.name}:x").group("name") != self.name:  # type: ignore[union-attr]
            parts.append("function")
        return ":".join([*parts, self.name])

    def __str__(self) -> str:
        name = self.function_name
        return name if self.qualifier is None else f"{name}:{self.qualifier}"


def show_value(value: object) -> str:
    """Return a value as quoted in messages: shortened, or only its type if it may hold a payload."""
    if value is not None and not isinstance(value, str | int | float):
        return f"(of type {type(value).__name__})"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # a user class, or an integer of thousands of digits
        is_integer = type(value) is int
        return f"({'an integer of very many digits' if is_integer else f'of type {type(value).__name__}'})"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:60]}...{text[-17:]}"


def _check_qualifier(qualifier: str) -> None:
    if not isinstance(qualifier, str) or not 1 <= len(qualifier) <= MAX_QUALIFIER:
        raise InvalidRequestError(
            f"qualifier {show_value(qualifier)} must be a string of 1 to {MAX_QUALIFIER} characters"
        )
    if not _QUALIFIER_ONLY.fullmatch(qualifier):
        raise InvalidRequestError(
            f"qualifier {show_value(qualifier)} is not a version, an alias or $LATEST"
        )
