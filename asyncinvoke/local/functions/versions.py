"""The versions and aliases of one function, what a qualifier means, and whether it can run yet."""

import dataclasses
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from asyncinvoke.local.functions.configuration import FunctionConfig
from asyncinvoke.local.protocol.names import LATEST

_ALIAS = re.compile(r"(?![0-9]+$)[a-zA-Z0-9-_]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """Where an alias points."""

    version: str
    """The version."""
    description: str = ""
    """Its description."""
    revision_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Changes whenever it is changed."""


class Versions:
    """What was published of one function. Users change it from any thread; requests read it.

    Args:
        latest: The configuration of `$LATEST`.
    """

    def __init__(self, latest: FunctionConfig) -> None:
        self.name: str = latest.name
        self._configs = {LATEST: latest}
        self._aliases: dict[str, Alias] = {}
        self._published = 0
        self.pending_until: float = 0.0
        """When it can run, in seconds of the monotonic clock: it is `Pending` until then."""
        self.updating_until: float = 0.0
        """When its last update is done; until then it cannot be changed."""

    @property
    def latest(self) -> FunctionConfig:
        """The configuration of `$LATEST`."""
        return self._configs[LATEST]

    @property
    def published(self) -> tuple[FunctionConfig, ...]:
        """`$LATEST` and every version, in the order in which they were published."""
        return tuple(self._configs.values())

    @property
    def aliases(self) -> Mapping[str, Alias]:
        """Every alias, by name."""
        return MappingProxyType(dict(self._aliases))

    def updates_until(self, version: str) -> float:
        """Return when a version's update is done; only `$LATEST` has any."""
        return self.updating_until if version == LATEST else 0.0

    def update(self, config: FunctionConfig) -> None:
        """Change `$LATEST`; what was published stays."""
        self._configs[LATEST] = config

    def publish(self, description: str | None = None) -> str:
        """Make a version of `$LATEST`; give its number.

        Args:
            description: What is said about the version; None says what `$LATEST` says.
        """
        self._published += 1
        number = str(self._published)
        deployed = self.latest.deployment
        if description is not None:
            deployed = dataclasses.replace(deployed, description=description)
        self._configs[number] = dataclasses.replace(
            self.latest, version=number, deployment=deployed
        )
        return number

    def publish_changes(self, description: str | None = None) -> str:
        """Make a version of `$LATEST` if it has changed since the last one; give its number."""
        last = self._configs.get(str(self._published))
        if last is not None:
            described = dataclasses.replace(
                last.deployment, description=self.latest.deployment.description
            )
            if dataclasses.replace(last, version=LATEST, deployment=described) == self.latest:
                return last.version
        return self.publish(description)

    def set_alias(self, name: str, version: str, description: str = "") -> None:
        """Point an alias at a version."""
        if not isinstance(name, str) or _ALIAS.fullmatch(name) is None:
            raise ValueError(
                f"alias {name!r} must be 1 to 128 letters, digits, hyphens or _, and no number"
            )
        if version not in self._configs:
            raise ValueError(f"version={version!r} of {self.name} was never published")
        self._aliases[name] = Alias(version=version, description=description)

    def remove_alias(self, name: str) -> None:
        """Forget an alias; one that is not there is no error, as in AWS."""
        self._aliases.pop(name, None)

    def aliases_of(self, version: str) -> list[str]:
        """Return the names of the aliases that point at a version."""
        return sorted(name for name, alias in self.aliases.items() if alias.version == version)

    def remove_version(self, number: str) -> None:
        """Forget a published version; one that is not there is no error, as in AWS."""
        if number != LATEST:
            self._configs.pop(number, None)

    def resolve(self, qualifier: str | None) -> FunctionConfig | None:
        """Return the configuration that a qualifier means; None if there is none."""
        if qualifier is None:
            return self.latest
        alias = self._aliases.get(qualifier)
        return self._configs.get(qualifier if alias is None else alias.version)
