"""Which function to invoke: a name, an ARN or a partial ARN, with its qualifier."""

import re
from dataclasses import dataclass
from typing import Self

from asyncinvoke.errors import InvalidRequestError

# The pieces of the pattern that Lambda's service model (2015-03-31) gives for FunctionName.
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
"""Longest `FunctionName`, in characters, ARN and qualifier included (service model)."""

MAX_BARE_NAME = 64
"""Longest name of a function, in characters (Lambda's documentation of FunctionName)."""

MAX_QUALIFIER = 128
"""Longest `Qualifier`, in characters (service model)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A function and, if given, the version or alias of it. `str()` gives its canonical form."""

    name: str
    """The bare name of the function."""

    qualifier: str | None = None
    """A version, an alias or `$LATEST`; `None` leaves the choice to Lambda (`$LATEST`)."""

    partition: str | None = None
    """`aws`, `aws-cn`, `aws-us-gov`, ...; `None` unless a full ARN was given."""

    region: str | None = None
    """The region that the ARN names, if it names one."""

    account_id: str | None = None
    """The twelve digits of the account that the ARN names, if it names one."""

    @classmethod
    def parse(cls, function_name: str, qualifier: str | None = None) -> Self:
        """Read a function name in any form that Lambda takes.

        Args:
            function_name: `name`, `name:alias`, a full ARN, or a partial ARN such as
                `123456789012:function:name`; with or without a qualifier.
            qualifier: A version, an alias or `$LATEST`. If `function_name` has one too, they
                must agree.

        Raises:
            InvalidRequestError: The name or the qualifier breaks a rule, which it names.
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
        """Say whether both can name one function: what one leaves out is as the other says it."""
        return self.name == other.name and all(
            mine is None or theirs is None or mine == theirs
            for mine, theirs in (
                (self.partition, other.partition),
                (self.region, other.region),
                (self.account_id, other.account_id),
            )
        )

    @property
    def function_name(self) -> str:
        """The function in the form that is sent as `FunctionName`: without its qualifier."""
        if self.partition is not None:
            return (
                f"arn:{self.partition}:lambda:{self.region}:{self.account_id}:function:{self.name}"
            )
        parts = [part for part in (self.region, self.account_id) if part is not None]
        # A name such as "function" or twelve digits would be read as a prefix of what follows.
        if parts or _SHORT.fullmatch(f"{self.name}:x").group("name") != self.name:  # type: ignore[union-attr]
            parts.append("function")
        return ":".join([*parts, self.name])

    def __str__(self) -> str:
        name = self.function_name
        return name if self.qualifier is None else f"{name}:{self.qualifier}"


def show_value(value: object) -> str:
    """Return a value as a message quotes it: short, and only its type if it may hold a payload."""
    if value is not None and not isinstance(value, str | int | float):
        return f"(of type {type(value).__name__})"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # a class of the caller's own, or an integer of thousands of digits
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
