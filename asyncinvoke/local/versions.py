"""The versions and aliases of one function, and what a qualifier means."""

import dataclasses
import re

from asyncinvoke.local.functions import FunctionConfig
from asyncinvoke.local.names import LATEST

_ALIAS = re.compile(r"(?![0-9]+$)[a-zA-Z0-9-_]{1,128}")


class Versions:
    """What was published of one function. Users change it from any thread; requests read it.

    Args:
        latest: The configuration of `$LATEST`.
    """

    def __init__(self, latest: FunctionConfig) -> None:
        self.latest = latest
        self._configs = {LATEST: latest}
        self._aliases: dict[str, str] = {}

    def publish(self) -> str:
        """Make a version of `$LATEST`; give its number."""
        number = str(len(self._configs))
        self._configs[number] = dataclasses.replace(self.latest, version=number)
        return number

    def set_alias(self, name: str, version: str) -> None:
        """Point an alias at a version."""
        if not isinstance(name, str) or _ALIAS.fullmatch(name) is None:
            raise ValueError(
                f"alias {name!r} must be 1 to 128 letters, digits, hyphens or _, and no number"
            )
        if version not in self._configs:
            raise ValueError(f"version={version!r} of {self.latest.name} was never published")
        self._aliases[name] = version

    def resolve(self, qualifier: str | None) -> FunctionConfig | None:
        """Give the configuration that a qualifier means; None if there is none."""
        if qualifier is None:
            return self.latest
        return self._configs.get(self._aliases.get(qualifier, qualifier))
