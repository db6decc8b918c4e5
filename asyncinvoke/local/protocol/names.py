"""Function names and qualifiers, parsed as by the service, and its error messages for constraints.

No I/O, no clock. Deliberately independent of `asyncinvoke._request.target`: client and server must be
able to disagree.
"""

import math
import re
from dataclasses import dataclass

LATEST = "$LATEST"

NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
    r"(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
"""`NamespacedFunctionName` in botocore's `lambda/2015-03-31` model; error messages quote it."""

FUNCTION_NAME_PATTERN = NAME_PATTERN.replace(r"\.]+", "]+").replace(r"(\.PUBLISHED)?", "")
"""`FunctionName` of the same model, used by CreateFunction: without dots."""

QUALIFIER_PATTERN = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"
"""`NumericLatestPublishedOrAliasQualifier` of the same model."""

# GUESS: not recorded from AWS (docs/fidelity.md)
ENUM_RULE = "Member must satisfy enum value set: [{}]"  # as other operations format it

REGION = re.compile(r"(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d")
"""A region as it appears in ARNs; any other text would make ARNs that no request can use."""

MAX_NAME_LENGTH = 256
MAX_FUNCTION_NAME_LENGTH = 140
MAX_QUALIFIER_LENGTH = 128

_NAME = re.compile(NAME_PATTERN)
_FUNCTION_NAME = re.compile(FUNCTION_NAME_PATTERN)
_QUALIFIER = re.compile(QUALIFIER_PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionName:
    """A parsed function name, partial ARN or ARN."""

    region: str | None
    """The region; None if not given."""
    account: str | None
    """The account id; None if not given."""
    name: str
    """The bare name."""
    qualifier: str | None
    """The qualifier after the name; None if not given."""


def parse(text: str) -> FunctionName | None:
    """Parse a name; return None if it does not match the pattern."""
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    region, account, qualifier = match[3], match[9], match[13]
    return FunctionName(
        region=region and region[:-1],
        account=account and account[:-1],
        name=match[11],
        qualifier=qualifier,
    )


def bare_name(text: str) -> str:
    """Return the bare name; an empty string if the text does not match the pattern."""
    name = parse(text)
    return "" if name is None else name.name


def violations(text: str, name: FunctionName | None, qualifier: str | None) -> list[str]:
    """Return the messages for all constraints violated by a request's name and qualifier.

    Args:
        text: The name, as given.
        name: The result of `parse` for it.
        qualifier: The qualifier of the query.
    """
    found = []
    if name is None:
        found.append(_violation(text, "functionName", _must_match(NAME_PATTERN)))
    if len(text) > MAX_NAME_LENGTH:
        found.append(_violation(text, "functionName", _must_fit(MAX_NAME_LENGTH)))
    if qualifier is not None:
        if _QUALIFIER.fullmatch(qualifier) is None:
            found.append(_violation(qualifier, "qualifier", _must_match(QUALIFIER_PATTERN)))
        if len(qualifier) > MAX_QUALIFIER_LENGTH:
            found.append(_violation(qualifier, "qualifier", _must_fit(MAX_QUALIFIER_LENGTH)))
    return found


def new_name_violations(text: str) -> list[str]:
    """Return the messages for all constraints violated by the name of a new function."""
    found = []
    if _FUNCTION_NAME.fullmatch(text) is None:
        found += broken(text, "functionName", FUNCTION_NAME_PATTERN)
    if len(text) > MAX_FUNCTION_NAME_LENGTH:
        found.append(_violation(text, "functionName", _must_fit(MAX_FUNCTION_NAME_LENGTH)))
    return found


def missing(**members: object) -> list[str]:
    """Return a message for each member that is None."""
    return [
        f"Value null at '{name}' failed to satisfy constraint: Member must not be null"
        for name, value in members.items()
        if value is None
    ]


def not_one_of(value: str, member: str, allowed: tuple[str, ...]) -> list[str]:
    """Return the message for an enum value that is not allowed, if any."""
    if value in allowed:
        return []
    return [_violation(value, member, ENUM_RULE.format(", ".join(allowed)))]


def broken(value: str, member: str, pattern: str) -> list[str]:
    """Return the message for a value that does not match a pattern."""
    return [_violation(value, member, _must_match(pattern))]


def unfit(value: str | None, member: str, pattern: str, most: int) -> list[str]:
    """Return the messages for a text that does not match a pattern, or is too long; none for None."""
    if value is None:
        return []
    found = [] if re.fullmatch(pattern, value) else broken(value, member, pattern)
    return found + ([] if len(value) <= most else breaks(value, member, _must_fit(most)))


def breaks(value: str, member: str, rule: str) -> list[str]:
    """Return the message for a value that violates a rule."""
    return [_violation(value, member, rule)]


def out_of_range(value: int, member: str, least: int, most: float = math.inf) -> list[str]:
    """Return the message for a number out of range, if any."""
    if value < least:
        return [
            _violation(value, member, f"Member must have value greater than or equal to {least}")
        ]
    if value > most:
        return [_violation(value, member, f"Member must have value less than or equal to {most}")]
    return []


def _violation(value: object, member: str, rule: str) -> str:
    return f"Value '{value}' at '{member}' failed to satisfy constraint: {rule}"


def _must_match(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"


def _must_fit(length: int) -> str:
    return f"Member must have length less than or equal to {length}"
