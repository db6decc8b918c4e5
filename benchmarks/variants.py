"""The conditions of a measurement: loop, TLS, credentials, in flight and so on; no I/O.

Clients in other environments import this module, so it imports nothing that they might lack.
"""

import argparse
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

LOOPS = ("asyncio", "uvloop", "trio")
CREDENTIALS = ("static", "refreshable")
LARGE = 10_000
"""The size in bytes from which payloads count by their sum, not by their number."""

_MOST_BYTES = 50_000_000
_LARGE_IN_FLIGHT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The conditions for a client. The defaults are those of the small table."""

    in_flight: int = 32
    """How many invocations are under way at once, each over a connection of its own."""

    loop: str = "asyncio"
    """One of `LOOPS`."""

    tls: bool = False
    """Whether the endpoint is behind TLS."""

    credentials: str = "static"
    """`refreshable` for credentials as a role gives them, with their end an hour away."""

    timeout: bool = False
    """Whether each call of asyncinvoke has a `timeout`, which never passes."""

    function_ms: int = 0
    """After how many milliseconds the endpoint answers."""

    payload: int = 16
    """The size of each payload, in bytes; at least 16."""

    @property
    def label(self) -> str:
        """A short description of the variant."""
        said = [self.loop, "TLS" if self.tls else "plain"]
        if self.payload >= LARGE:
            said.append(f"{self.payload:,} bytes")
        if self.credentials != "static":
            said.append(f"{self.credentials} credentials")
        if self.timeout:
            said.append("a timeout on each call")
        said.append(f"{self.in_flight:,} in flight")
        if self.function_ms:
            said.append(f"function of {self.function_ms} ms")
        return ", ".join(said)

    def without(self) -> Self:
        """Return the variant with static credentials and without a timeout."""
        return replace(self, credentials="static", timeout=False)

    def invocations(self, count: int) -> int:
        """Return the number of invocations in a round if `count` are requested."""
        if self.payload >= LARGE:
            count = min(count, _MOST_BYTES // self.payload)
        return max(count, self.in_flight)

    def to_json(self) -> str:
        """Return it as JSON, for the command line of another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse the result of `to_json`."""
        return cls(**json.loads(text))


def add_options(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add an option for each of the named fields of a variant; by default for all."""
    group = parser.add_argument_group("variants")
    for name, settings in _OPTIONS.items():
        if not names or name in names:
            flag = f"--{name.replace('_', '-')}"
            group.add_argument(flag, dest=name, default=None, **settings)


def chosen(options: argparse.Namespace, default: Variant | None = None) -> Variant | None:
    """Return the variant selected on the command line, or `None`."""
    given = {
        field.name: value
        for field in fields(Variant)
        if (value := getattr(options, field.name, None)) is not None
    }
    if not given:
        return default
    variant = replace(default or Variant(), **given)
    if variant.payload >= LARGE and "in_flight" not in given:
        return replace(variant, in_flight=_LARGE_IN_FLIGHT)
    return variant


def _size(text: str) -> int:
    if not text.isdecimal() or int(text) < 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes from 16")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


_OPTIONS: dict[str, dict[str, Any]] = {
    "in_flight": {"type": _count, "metavar": "N", "help": "invocations under way at once"},
    "loop": {"choices": LOOPS, "help": "the event loop of the clients"},
    "tls": {"action": "store_true", "help": "put the endpoint behind TLS"},
    "credentials": {"choices": CREDENTIALS, "help": "`refreshable`: as a role gives them"},
    "timeout": {"action": "store_true", "help": "give each call of asyncinvoke a timeout"},
    "function_ms": {"type": _count, "metavar": "MS", "help": "answer after so many milliseconds"},
    "payload": {"type": _size, "metavar": "BYTES", "help": "the size of a payload"},
}
