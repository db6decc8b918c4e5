"""Settings of each function in `asyncinvoke local`: from global options, per-function options, a file.

Settings of one function override those of all, and the command line overrides the file.
"""

import contextlib
import dataclasses
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.values import as_number, as_seconds, as_whole_number

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
    """Seconds before the first and the second retry of a failed Event."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables."""

    def over(self, other: "FunctionSettings") -> "FunctionSettings":
        """Return these settings, completed by those of `other`."""
        given = {
            name: value
            for name in ("timeout", "memory", "reserved", "retry_delays")
            if (value := getattr(self, name)) is not None
        }
        return dataclasses.replace(other, env={**other.env, **self.env}, **given)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFile:
    """The contents of a settings file."""

    region: str | None = None
    """The region that the endpoint reports."""
    account_id: str | None = None
    """The account id that the endpoint reports."""
    port: int | None = None
    """The port."""
    for_all: FunctionSettings = FunctionSettings()
    """The settings of all functions."""
    handlers: Mapping[str, str] = field(default_factory=dict)
    """The handlers that the file gives, by function name."""
    for_one: Mapping[str, FunctionSettings] = field(default_factory=dict)
    """The settings of single functions, by name."""


def read_file(path: str | None) -> SettingsFile:
    """Read a settings file in TOML; without one, return empty settings.

    Raises:
        CommandError: It cannot be read, is not valid TOML, or has an unknown or invalid setting.
    """
    if path is None:
        return SettingsFile()
    try:
        table = tomllib.loads(Path(path).read_text("utf-8-sig"))
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error
    # A TOMLDecodeError, no UTF-8, an integer of thousands of digits, or tables nested too deeply.
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is not valid TOML: {error}") from error
    _check_known(path, table, _IN_FILE)
    functions = table.get("functions", {})
    if not isinstance(functions, dict) or not all(isinstance(v, dict) for v in functions.values()):
        raise CommandError(f"{path}: functions must be tables, such as [functions.resize]")
    folder = Path(path).parent
    handlers, for_one = {}, {}
    for name, settings in functions.items():
        where = f"{path}, function {name}"
        _check_known(where, settings, {"handler", *SETTINGS[:4], "env", "env-file"})
        if "handler" in settings:
            handlers[name] = _text(where, "handler", settings["handler"])
        for_one[name] = _from_table(where, settings, folder)
    port = table.get("port")
    if port is not None and not (type(port) is int and 0 <= port <= 65_535):
        raise CommandError(f"{path}: port={_shown(port)} must be 0 to 65535")
    return SettingsFile(
        region=_optional_text(path, "region", table),
        account_id=_optional_text(path, "account-id", table),
        port=port,
        for_all=_from_table(path, table, folder),
        handlers=handlers,
        for_one=for_one,
    )


def parse_settings(texts: Sequence[str]) -> dict[str, FunctionSettings]:
    """Parse the values of `--set`, each `NAME:SETTING=VALUE`, into settings by function name.

    Raises:
        CommandError: A value has another form, or is out of range.
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
    return {name: _from_table(f"--set {name}", table, Path()) for name, table in tables.items()}


def read_env_file(path: Path) -> dict[str, str]:
    """Read a file of `NAME=VALUE` lines, as shells and Docker do.

    Raises:
        CommandError: The file cannot be read, or a line has another form.
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
        CommandError: A name is not valid in Lambda.
    """
    for name in env:
        if _VARIABLE.fullmatch(name) is None:
            raise CommandError(f"{where}: variable {name!r} must consist of letters, digits and _")


def retry_delays(text: object, where: str = "") -> tuple[float, float]:
    """Parse the retry delays of Events: one number for both, or two separated by a comma.

    Raises:
        CommandError: The value is neither.
    """
    parts = [text, text] if isinstance(text, int | float) else str(text).split(",")
    try:
        first, *rest = (as_number(str(part)) for part in parts)
        second = rest[0] if rest else first
    except (ValueError, TypeError, OverflowError):
        first = second = -1.0
    if len(parts) > 2 or not (0 <= first < float("inf") and 0 <= second < float("inf")):
        option = f"{where}: event-retry-delay" if where else "event-retry-delay"
        raise CommandError(f"{option} {_shown(text)} must be seconds, or two numbers: 60,120")
    return first, second


def _from_table(where: str, values: Mapping[str, Any], folder: Path) -> FunctionSettings:
    """Return the settings in a table; paths in it are relative to `folder`."""
    env: dict[str, str] = {}
    if "env-file" in values:
        env |= read_env_file(folder / _text(where, "env-file", values["env-file"]))
    table = values.get("env", {})
    if not isinstance(table, dict):
        raise CommandError(f"{where}: env must be a table of strings")
    env |= {key: _text(where, f"env.{key}", value) for key, value in table.items()}
    check_variables(where, env)
    delays = values.get("event-retry-delay")
    return FunctionSettings(
        timeout=_seconds(where, "timeout", values),
        memory=_whole_number(where, "memory", values),
        reserved=_whole_number(where, "reserved", values),
        retry_delays=None if delays is None else retry_delays(delays, where),
        env=env,
    )


def _whole_number(where: str, name: str, values: Mapping[str, Any]) -> int | None:
    value = values.get(name)
    if value is None or type(value) is int:
        return value
    with contextlib.suppress(ValueError):
        if isinstance(value, str):
            return as_whole_number(value)
    raise CommandError(f"{where}: {name}={_shown(value)} must be a whole number")


def _seconds(where: str, name: str, values: Mapping[str, Any]) -> float | None:
    value = values.get(name)
    if value is None:
        return None
    with contextlib.suppress(ValueError, OverflowError):
        if isinstance(value, str):
            return as_seconds(value)
        if type(value) in (int, float):
            return float(value)
    raise CommandError(f"{where}: {name}={_shown(value)} must be a duration: 30, 500ms or 5m")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}..."


def _optional_text(where: str, name: str, values: Mapping[str, Any]) -> str | None:
    return _text(where, name, values[name]) if name in values else None


def _text(where: str, name: str, value: object) -> str:
    if not isinstance(value, str):
        raise CommandError(f"{where}: {name}={_shown(value)} must be a string")
    return value


def _check_known(where: str, names: Iterable[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise CommandError(
                f"{where}: {name!r} is not a setting; use one of {', '.join(sorted(known))}"
            )
