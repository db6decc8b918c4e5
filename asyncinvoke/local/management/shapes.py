"""The allowed values of members of requests, from the service's model.

They cover members that are returned, since SDKs could not parse a response that repeats an invalid value,
and members that are read only after the operation has had an effect. No I/O, no clock.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from asyncinvoke.local.protocol import names, refusals


class Shape(Protocol):
    """The allowed values of a member."""

    def violations(self, value: Any, name: str, member: str) -> Iterator[str]:
        """Yield a message for each constraint that a value violates.

        Args:
            value: The value, not null.
            name: The name of the member in the request.
            member: The path of the member, as in the service's messages.

        Raises:
            Refusal: The value is of another type.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string: its length, pattern and allowed values."""

    least: int = 0
    """The minimum number of characters."""
    most: int = 10_000
    """The maximum number of characters."""
    pattern: str | None = None
    """The pattern that it must match as a whole, which messages quote."""
    choices: tuple[str, ...] = ()
    """The allowed values; empty for any."""

    def violations(self, value: Any, name: str, member: str) -> Iterator[str]:
        """Yield a message for each constraint that a value violates."""
        _check_type(value, str, name, "a text")
        _check_whole(value, name)
        if self.choices:
            yield from names.not_one_of(value, member, self.choices)
        if self.pattern is not None and re.fullmatch(self.pattern, value) is None:
            yield from names.broken(value, member, self.pattern)
        yield from _too_long(len(value), value, member, self.least, self.most)


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean."""

    def violations(self, value: Any, name: str, member: str) -> Iterator[str]:  # noqa: ARG002  # the contract
        """Check the type; both values are allowed."""
        _check_type(value, bool, name, "true or false")
        yield from ()


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """A list whose items have one shape."""

    of: Shape
    """The shape of the items."""
    most: int
    """The maximum number of items."""

    def violations(self, value: Any, name: str, member: str) -> Iterator[str]:
        """Yield a message for each constraint that a value violates."""
        _check_type(value, list, name, "a list")
        for number, item in enumerate(value, 1):
            if item is None:
                raise refusals.unreadable(f"{name}: it must not hold null")
            yield from self.of.violations(item, name, f"{member}.{number}.member")
        yield from _too_long(len(value), value, member, 0, self.most)


@dataclass(frozen=True, slots=True)
class Structure:
    """An object; members that are not listed are ignored."""

    members: Mapping[str, Shape]
    """The shapes of its members, by name."""

    def violations(self, value: Any, name: str, member: str) -> Iterator[str]:
        """Yield a message for each constraint that a value violates."""
        _check_type(value, dict, name, "an object")
        for inner, shape in self.members.items():
            if value.get(inner) is not None:
                yield from shape.violations(value[inner], inner, f"{member}.{_spelled(inner)}")


@dataclass(frozen=True, slots=True)
class Tags:
    """An object of strings: the lengths and characters of its keys and values."""

    def violations(self, value: Any, name: str, member: str) -> Iterator[str]:
        """Yield a message for each constraint that a value violates."""
        _check_type(value, dict, name, "an object")
        for key, text in value.items():
            _check_whole(key, name)
            if text is not None:
                _check_type(text, str, key, "a text")
                _check_whole(text, key)
        shown = f"{{{', '.join(f'{key}={text}' for key, text in value.items())}}}"
        if not all(1 <= len(key) <= _MOST_OF_A_KEY and _is_of_a_tag(key) for key in value):
            yield from names.breaks(shown, member, _TAG_KEYS)
        if not all(
            text is not None and len(text) <= _MOST_OF_A_VALUE and _is_of_a_tag(text)
            for text in value.values()
        ):
            yield from names.breaks(shown, member, _TAG_VALUES)


_MOST_OF_A_KEY = 128
_MOST_OF_A_VALUE = 256
_TAG_RULE = (
    "Map {} must satisfy constraint: [Member must have length less than or equal to {}, Member must "
    "have length greater than or equal to {}, Member must satisfy regular expression pattern: "
    r"([\p{{L}}\p{{Z}}\p{{N}}_.:/=+\-@]*), Member must not be null]"
)
_TAG_KEYS = _TAG_RULE.format("keys", _MOST_OF_A_KEY, 1)
_TAG_VALUES = _TAG_RULE.format("value", _MOST_OF_A_VALUE, 0)


def _is_of_a_tag(text: str) -> bool:
    """Return whether a text has only letters, numbers, separators and the signs of the pattern."""
    return all(each in "_.:/=+-@" or unicodedata.category(each)[0] in "LZN" for each in text)


_ARN_OR_NONE = Text(pattern=r"(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()")
_BUCKET = Text(least=3, most=63, pattern=r"[0-9A-Za-z\.\-_]*(?<!\.)")
_OBJECT = Text(least=1, most=1024)

_MOUNTED = (
    r"arn:aws[a-zA-Z-]*:elasticfilesystem:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:"
    r"access-point/fsap-[a-f0-9]{17}$|^arn:aws[-a-z]*:s3files:[0-9a-z-:]+:"
    r"file-system/fs-[0-9a-f]{17,40}/access-point/fsap-[0-9a-f]{17,40}"
)
_ARN = (
    r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:"
    r"(\d{12})?:(.*)"
)

ARN = Text(pattern=_ARN)
"""An ARN of any service."""

ALIAS = Text(least=1, most=128, pattern="(?!^[0-9]+$)([a-zA-Z0-9-_]+)")
"""The name of an alias."""

VERSION = Text(least=1, most=1024, pattern=r"(\$LATEST(\.PUBLISHED)?|[0-9]+)")
"""A version of a function."""

MEMBERS: Mapping[str, Shape] = {
    "Action": Text(pattern="(lambda:[*]|lambda:[a-zA-Z]+|[*])"),
    "Code": Structure({"S3Bucket": _BUCKET, "S3Key": _OBJECT, "S3ObjectVersion": _OBJECT}),
    "CompatibleArchitectures": List(of=Text(choices=("x86_64", "arm64")), most=2),
    "CompatibleRuntimes": List(of=Text(), most=15),
    "Content": Structure({"S3Bucket": _BUCKET, "S3Key": _OBJECT, "S3ObjectVersion": _OBJECT}),
    "DeadLetterConfig": Structure({"TargetArn": _ARN_OR_NONE}),
    "Description": Text(most=256),
    "DryRun": Flag(),
    "EventSourceToken": Text(most=256, pattern=r"[a-zA-Z0-9._\-]+"),
    "FileSystemConfigs": List(
        of=Structure(
            {
                "Arn": Text(most=256, pattern=_MOUNTED),
                "LocalMountPath": Text(most=160, pattern="/mnt/[a-zA-Z0-9-_.]+"),
                "S3FilesConfig": Structure(
                    {"DirectS3Read": Text(choices=("ENABLED", "DISABLED", "AUTO"))}
                ),
            }
        ),
        most=1,
    ),
    "FunctionUrlAuthType": Text(choices=("NONE", "AWS_IAM")),
    "FunctionVersion": VERSION,
    "Handler": Text(most=128, pattern=r"[^\s]+"),
    "InvokedViaFunctionUrl": Flag(),
    "KMSKeyArn": _ARN_OR_NONE,
    "LicenseInfo": Text(most=512),
    "LoggingConfig": Structure(
        {
            "ApplicationLogLevel": Text(
                choices=("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
            ),
            "SystemLogLevel": Text(choices=("DEBUG", "INFO", "WARN")),
            "LogGroup": Text(least=1, most=512, pattern=r"[\.\-_/#A-Za-z0-9]+"),
        }
    ),
    "Name": ALIAS,
    "Principal": Text(most=2048, pattern=r"[^\s]+"),
    "PrincipalOrgID": Text(least=12, most=34, pattern="o-[a-z0-9]{10,32}"),
    "Publish": Flag(),
    "S3Bucket": _BUCKET,
    "S3Key": _OBJECT,
    "S3ObjectVersion": _OBJECT,
    "SourceAccount": Text(most=12, pattern=r"\d{12}"),
    "SourceArn": ARN,
    "StatementId": Text(least=1, most=100, pattern="([a-zA-Z0-9-_]+)"),
    "Tags": Tags(),
    "VpcConfig": Structure(
        {
            "SubnetIds": List(of=Text(most=1024, pattern="subnet-[0-9a-z]*"), most=16),
            "SecurityGroupIds": List(of=Text(most=1024, pattern="sg-[0-9a-zA-Z]*"), most=5),
            "Ipv6AllowedForDualStack": Flag(),
        }
    ),
}
"""The members of all operations, by name; in the model, a name always has the same shape."""


def check(values: Mapping[str, Any], shapes: Mapping[str, Shape] = MEMBERS) -> None:
    """Check the members of a request, or others that are given, against the model.

    Raises:
        Refusal: A value is of another type, or violates a constraint.
    """
    found = [
        text
        for name, shape in shapes.items()
        if values.get(name) is not None
        for text in shape.violations(values[name], name, _spelled(name))
    ]
    if found:
        raise refusals.violated(found)


def _spelled(name: str) -> str:
    return name[0].lower() + name[1:]


def _check_type(value: Any, kind: type, name: str, what: str) -> None:
    if type(value) is not kind:  # `isinstance` would accept true as a number
        raise refusals.unreadable(f"{name}: it must be {what}")


def _check_whole(value: str, name: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise refusals.unreadable(f"{name}: it must be a text of whole characters") from error


def _too_long(length: int, value: Any, member: str, least: int, most: int) -> Iterator[str]:
    shown = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else value
    if length > most:
        rule = f"Member must have length less than or equal to {most}"
        yield from names.breaks(shown, member, rule)
    if length < least:
        rule = f"Member must have length greater than or equal to {least}"
        yield from names.breaks(shown, member, rule)
