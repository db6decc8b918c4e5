"""Function names and qualifiers, parsed as the service parses them, and its error messages.

No I/O, no clock. Written apart from `asyncinvoke._request.target` on purpose: the two ends of
the wire must be able to disagree.
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
"""`FunctionName` of the same model, which CreateFunction takes: without dots."""

QUALIFIER_PATTERN = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"
"""`NumericLatestPublishedOrAliasQualifier` of the same model."""

# GUESS: not recorded from AWS (docs/fidelity.md)
ENUM_RULE = "Member must satisfy enum value set: [{}]"  # as other operations say it

REGION = re.compile(r"(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d")
"""A region as it stands in a name: what is none makes ARNs that nobody can be called by."""

MAX_NAME_LENGTH = 256
MAX_FUNCTION_NAME_LENGTH = 140
MAX_QUALIFIER_LENGTH = 128

_NAME = re.compile(NAME_PATTERN)
_FUNCTION_NAME = re.compile(FUNCTION_NAME_PATTERN)
_QUALIFIER = re.compile(QUALIFIER_PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionName:
    """A function name, partial ARN or ARN, in its parts."""

    region: str | None
    """The region of a full ARN; None when it was left out."""
    account: str | None
    """The account's twelve digits; None when they were left out."""
    name: str
    """The bare name."""
    qualifier: str | None
    """The qualifier written behind the name; None when there is none."""


def parse(text: str) -> FunctionName | None:
    """Return a name in its parts; None if it breaks the pattern."""
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
    """Return the name alone; nothing if the text breaks the pattern."""
    name = parse(text)
    return "" if name is None else name.name


def violations(text: str, name: FunctionName | None, qualifier: str | None) -> list[str]:
    """Return the text of every constraint that a request's name and qualifier violate.

    Args:
        text: The name, as it was given.
        name: What `parse` returned for it.
        qualifier: The qualifier that was given beside it.
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
    """Return the text of every constraint that the name of a function to be created violates."""
    found = []
    if _FUNCTION_NAME.fullmatch(text) is None:
        found += broken(text, "functionName", FUNCTION_NAME_PATTERN)
    if len(text) > MAX_FUNCTION_NAME_LENGTH:
        found.append(_violation(text, "functionName", _must_fit(MAX_FUNCTION_NAME_LENGTH)))
    return found


def missing(**members: object) -> list[str]:
    """Return the text of the constraint that each member which is not there violates."""
    return [
        f"Value null at '{name}' failed to satisfy constraint: Member must not be null"
        for name, value in members.items()
        if value is None
    ]


def not_one_of(value: str, member: str, allowed: tuple[str, ...]) -> list[str]:
    """Return the text of the constraint that an enum member violates, if it does."""
    if value in allowed:
        return []
    return [_violation(value, member, ENUM_RULE.format(", ".join(allowed)))]


def broken(value: str, member: str, pattern: str) -> list[str]:
    """Return the text of the constraint that a value violates which breaks a pattern."""
    return [_violation(value, member, _must_match(pattern))]


def breaks(value: str, member: str, rule: str) -> list[str]:
    """Return the text of a constraint that a value violates."""
    return [_violation(value, member, rule)]


def out_of_range(value: int, member: str, least: int, most: float = math.inf) -> list[str]:
    """Return the text of the constraint that a number violates, if it does."""
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
