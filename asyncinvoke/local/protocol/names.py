"""Function names and qualifiers, read as the service reads them.

Called for every request. Written apart from `asyncinvoke._request.target` on purpose: the two ends of
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

QUALIFIER_PATTERN = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"
"""`NumericLatestPublishedOrAliasQualifier` of the same model."""

# Never recorded from AWS, so chosen here; correct them in this one place.
ENUM_RULE = "Member must satisfy enum value set: [{}]"  # as other operations say it

MAX_NAME_LENGTH = 256
MAX_QUALIFIER_LENGTH = 128

_NAME = re.compile(NAME_PATTERN)
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
    """Take a name apart; None if it is none."""
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


def faults(name: str, qualifier: str | None) -> list[str]:
    """Return the text of every constraint that a request's name and qualifier break, as recorded."""
    found = []
    if _NAME.fullmatch(name) is None:
        found.append(_broken(name, "functionName", _must_match(NAME_PATTERN)))
    if len(name) > MAX_NAME_LENGTH:
        found.append(_broken(name, "functionName", _must_fit(MAX_NAME_LENGTH)))
    if qualifier is not None:
        if _QUALIFIER.fullmatch(qualifier) is None:
            found.append(_broken(qualifier, "qualifier", _must_match(QUALIFIER_PATTERN)))
        if len(qualifier) > MAX_QUALIFIER_LENGTH:
            found.append(_broken(qualifier, "qualifier", _must_fit(MAX_QUALIFIER_LENGTH)))
    return found


def not_one_of(value: str, member: str, allowed: tuple[str, ...]) -> str:
    """Return the text of the constraint that an enum member breaks."""
    return _broken(value, member, ENUM_RULE.format(", ".join(allowed)))


def missing(member: str) -> str:
    """Return the text of the constraint that a member which is not there breaks."""
    return f"Value null at '{member}' failed to satisfy constraint: Member must not be null"


def out_of_range(value: int, member: str, least: int, most: float = math.inf) -> list[str]:
    """Return the text of the constraint that a number breaks; an empty list if it breaks none."""
    if value < least:
        return [_broken(value, member, f"Member must have value greater than or equal to {least}")]
    if value > most:
        return [_broken(value, member, f"Member must have value less than or equal to {most}")]
    return []


def _broken(value: object, member: str, rule: str) -> str:
    return f"Value '{value}' at '{member}' failed to satisfy constraint: {rule}"


def _must_match(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"


def _must_fit(length: int) -> str:
    return f"Member must have length less than or equal to {length}"
