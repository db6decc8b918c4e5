"""Settings of each function in `asyncinvoke local`: from global options, per-function options, a file.

What is said of one function counts before what is said of all, and the command line before the file.
"""

import dataclasses
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncinvoke.cli.errors import CommandError

SETTINGS = ("timeout", "memory", "reserved", "event-retry-delay", "env.NAME", "env-file")
"""The settings of `--set NAME:SETTING=VALUE`; in a file, the keys of a function."""

_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

_IN_FILE = {"region", "account-id", "port", "functions", *SETTINGS[:4], "env", "env-file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSettings:
    """The settings of one function; None where not given."""

    timeout: float | None = None
    """Seconds that an execution may take."""
    memory: int | None = None
    """MB of memory."""
    reserved: int | None = None
    """Reserved concurrency."""
    retry_delays: tuple[float, float] | None = None
    """Seconds before the second and the third run of an Event that failed."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables."""

    def over(self, other: "FunctionSettings") -> "FunctionSettings":
        """Return these settings, with those of another where not given."""
        said = {
            name: value
            for name in ("timeout", "memory", "reserved", "retry_delays")
            if (value := getattr(self, name)) is not None
        }
        return dataclasses.replace(other, env={**other.env, **self.env}, **said)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeFile:
    """The contents of a settings file."""

    region: str | None = None
    """The region that the endpoint reports."""
    account_id: str | None = None
    """The account id that the endpoint reports."""
    port: int | None = None
    """The port."""
    for_all: FunctionSettings = FunctionSettings()
    """For every function."""
    handlers: Mapping[str, str] = field(default_factory=dict)
    """The handlers of the functions that have one in the file."""
    for_one: Mapping[str, FunctionSettings] = field(default_factory=dict)
    """For single functions."""


def read_file(path: str | None) -> ServeFile:
    """Read a settings file in TOML; without one, return empty settings.

    Raises:
        CommandError: It cannot be read, or says what is not known.
    """
    if path is None:
        return ServeFile()
    try:
        said = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} is not valid TOML: {error}") from error
    _known(path, said, _IN_FILE)
    functions = said.get("functions", {})
    if not isinstance(functions, dict) or not all(isinstance(v, dict) for v in functions.values()):
        raise CommandError(f"{path}: functions must be tables, such as [functions.resize]")
    folder = Path(path).parent
    handlers, for_one = {}, {}
    for name, settings in functions.items():
        where = f"{path}, function {name}"
        _known(where, settings, {"handler", *SETTINGS[:4], "env", "env-file"})
        if "handler" in settings:
            handlers[name] = _text(where, "handler", settings["handler"])
        for_one[name] = _of_table(where, settings, folder)
    port = said.get("port")
    if port is not None and not (type(port) is int and 0 <= port <= 65_535):
        raise CommandError(f"{path}: port={port!r} must be 0 to 65535")
    return ServeFile(
        region=None if "region" not in said else _text(path, "region", said["region"]),
        account_id=None
        if "account-id" not in said
        else _text(path, "account-id", said["account-id"]),
        port=port,
        for_all=_of_table(path, said, folder),
        handlers=handlers,
        for_one=for_one,
    )


def of_options(texts: Sequence[str]) -> dict[str, FunctionSettings]:
    """Read `NAME:SETTING=VALUE`, each as often as it was given.

    Raises:
        CommandError: One is not of that form, or out of range.
    """
    tables: dict[str, dict[str, Any]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        name, colon, setting = target.partition(":")
        if not (equals and colon and name and setting):
            raise CommandError(f"--set {text!r} must be NAME:SETTING=VALUE")
        table = tables.setdefault(name, {})
        if setting.startswith("env."):
            table.setdefault("env", {})[setting.removeprefix("env.")] = value
        elif setting in SETTINGS[:4] or setting == "env-file":
            table[setting] = value
        else:
            raise CommandError(f"--set {text!r}: the settings are {', '.join(SETTINGS)}")
    return {name: _of_table(f"--set {name}", table, Path()) for name, table in tables.items()}


def read_env_file(path: Path) -> dict[str, str]:
    """Read a file of lines `NAME=VALUE`, as shells and Docker read them.

    Raises:
        CommandError: It cannot be read, or a line is no such line.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8 text") from error
    found = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or _VARIABLE.fullmatch(name) is None:
            raise CommandError(
                f"{path}, line {number}: must be NAME=VALUE; a name consists of letters, digits and _"
            )
        if value[:1] in ('"', "'"):
            if len(value) < 2 or value[-1] != value[0]:
                raise CommandError(f"{path}, line {number}: unclosed quote")
            value = value[1:-1]
        found[name] = value
    return found


def check_variables(where: str, env: Iterable[str]) -> None:
    """Check the names of environment variables.

    Raises:
        CommandError: Lambda would not take one.
    """
    for name in env:
        if _VARIABLE.fullmatch(name) is None:
            raise CommandError(f"{where}: variable {name!r} must consist of letters, digits and _")


def retry_delays(text: object) -> tuple[float, float]:
    """Read the delays of a failed Event: one number for both, or two with a comma.

    Raises:
        CommandError: They are none.
    """
    parts = [text, text] if isinstance(text, int | float) else str(text).split(",")
    try:
        first, *rest = (float(part) for part in parts)
        second = rest[0] if rest else first
    except (ValueError, TypeError):
        first = second = -1.0
    if len(parts) > 2 or not (0 <= first < float("inf") and 0 <= second < float("inf")):
        raise CommandError(f"event-retry-delay {text!r} must be seconds, or two numbers: 60,120")
    return first, second


def _of_table(where: str, said: Mapping[str, Any], folder: Path) -> FunctionSettings:
    env: dict[str, str] = {}
    if "env-file" in said:
        env |= read_env_file(folder / _text(where, "env-file", said["env-file"]))
    table = said.get("env", {})
    if not isinstance(table, dict):
        raise CommandError(f"{where}: env must be a table of strings")
    env |= {key: _text(where, f"env.{key}", value) for key, value in table.items()}
    check_variables(where, env)
    delays = said.get("event-retry-delay")
    return FunctionSettings(
        timeout=_number(where, "timeout", said, float),
        memory=_number(where, "memory", said, int),
        reserved=_number(where, "reserved", said, int),
        retry_delays=None if delays is None else retry_delays(delays),
        env=env,
    )


def _number(where: str, name: str, said: Mapping[str, Any], kind: type) -> Any:
    value = said.get(name)
    if value is None:
        return None
    try:
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise ValueError(name)  # noqa: TRY301  # one text for all that is no number
        return kind(value)
    except (ValueError, TypeError):
        what = "a whole number" if kind is int else "a number of seconds"
        raise CommandError(f"{where}: {name}={value!r} must be {what}") from None


def _text(where: str, name: str, value: object) -> str:
    if not isinstance(value, str):
        raise CommandError(f"{where}: {name}={value!r} must be a string")
    return value


def _known(where: str, said: Iterable[str], known: set[str]) -> None:
    for name in said:
        if name not in known:
            raise CommandError(
                f"{where}: {name!r} is not a setting; use one of {', '.join(sorted(known))}"
            )
