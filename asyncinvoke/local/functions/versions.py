"""The versions and aliases of one function, qualifier resolution, and readiness."""

import dataclasses
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from asyncinvoke.local.functions.configuration import FunctionConfig
from asyncinvoke.local.functions.event_config import EventConfig
from asyncinvoke.local.protocol.names import LATEST

_ALIAS = re.compile(r"(?![0-9]+$)[a-zA-Z0-9-_]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """An alias: the version that it points to, and its weights."""

    version: str
    """The version."""
    description: str = ""
    """Its description."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """The share of invocations of each other version, from 0.0 to 1.0."""
    revision_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """New with each change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSettings:
    """The Event settings of a function that were set through the API; None where not set."""

    maximum_retry_attempts: int | None = None
    """Retries after a function error."""
    maximum_event_age: int | None = None
    """Seconds after which an Event is dropped."""
    destinations: Mapping[str, Any] = field(default_factory=dict)
    """The destinations; they are returned, but not called."""
    last_modified: float = 0.0
    """The time of the last change, in seconds since the epoch."""


class Versions:
    """The versions and aliases of one function. Any thread may change them.

    Args:
        latest: The configuration of `$LATEST`.
    """

    def __init__(self, latest: FunctionConfig) -> None:
        self.name: str = latest.name
        self._configs = {LATEST: latest}
        self._aliases: dict[str, Alias] = {}
        self._published = 0
        self._published_from: FunctionConfig | None = None
        self._before: FunctionConfig | None = None
        self._pending_until: dict[str, float] = {}
        self._updating_until = 0.0
        self.tags: dict[str, str] = {}
        """The tags of the function."""
        self.policies: dict[str, dict[str, dict[str, Any]]] = {}
        """Policy statements, by qualifier and statement id; they are not enforced."""
        self.event_settings: dict[str, EventSettings] = {}
        """Event settings made through the API, by qualified ARN."""

    @property
    def latest(self) -> FunctionConfig:
        """The configuration of `$LATEST`."""
        return self._configs[LATEST]

    @property
    def published(self) -> tuple[FunctionConfig, ...]:
        """`$LATEST` and all versions, in order of publication."""
        return tuple(self._configs.values())

    @property
    def aliases(self) -> Mapping[str, Alias]:
        """All aliases, by name."""
        return MappingProxyType(dict(self._aliases))

    def pending_until(self, version: str) -> float:
        """Return the time until which a version is `Pending`, in seconds of the monotonic clock."""
        return self._pending_until.get(version, 0.0)

    def pend(self, version: str, until: float) -> None:
        """Make a version `Pending` until a time of the monotonic clock."""
        self._pending_until[version] = until

    def updates_until(self, version: str) -> float:
        """Return the time at which a version's update is complete; only `$LATEST` can be updated."""
        return self._updating_until if version == LATEST else 0.0

    def is_settled(self, version: str, now: float) -> bool:
        """Return whether a version is neither pending nor being updated at a time."""
        return now >= max(self.pending_until(version), self.updates_until(version))

    def update(self, config: FunctionConfig, until: float = 0.0) -> None:
        """Replace the configuration of `$LATEST`; published versions do not change.

        Args:
            config: The new configuration.
            until: The time at which the update is complete; the previous one runs until then.
        """
        self._before, self._updating_until = self.latest, until
        self._configs[LATEST] = config

    def in_force(self, qualifier: str | None, now: float) -> FunctionConfig | None:
        """Return the configuration that an invocation runs at a time; None if there is none.

        Args:
            qualifier: A version, an alias, or None for `$LATEST`.
            now: The time in seconds of the monotonic clock.
        """
        config = self.resolve(qualifier)
        if config is self.latest and self._before is not None and now < self._updating_until:
            return self._before
        return config

    def replaced(self, now: float) -> FunctionConfig | None:
        """Return the previous configuration of `$LATEST` during an update; None otherwise."""
        return self._before if now < self._updating_until else None

    def publish(self, description: str | None = None) -> str:
        """Publish `$LATEST` as a new version; return its number.

        Args:
            description: The description of the version; None copies that of `$LATEST`.
        """
        self._published += 1
        number = str(self._published)
        deployed = self.latest.deployment
        if description is not None:
            deployed = dataclasses.replace(deployed, description=description)
        self._configs[number] = dataclasses.replace(
            self.latest, version=number, deployment=deployed.renewed()
        )
        renewed = self.latest.deployment.renewed()
        self._configs[LATEST] = dataclasses.replace(self.latest, deployment=renewed)
        self._published_from = self.latest
        return number

    def publish_changes(self, description: str | None = None) -> str:
        """Publish `$LATEST` if it has changed since the last version; return the version's number."""
        last = str(self._published)
        if last in self._configs and self._published_from == self.latest:
            return last
        return self.publish(description)

    def set_alias(
        self,
        name: str,
        version: str,
        description: str = "",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Create or move an alias.

        Raises:
            ValueError: The name is invalid, or the version does not exist.
        """
        if not isinstance(name, str) or _ALIAS.fullmatch(name) is None:
            raise ValueError(
                f"alias {name!r} must be 1 to 128 letters, digits, hyphens or _, and no number"
            )
        if version not in self._configs:
            raise ValueError(f"version={version!r} of {self.name} was never published")
        self._aliases[name] = Alias(
            version=version, description=description, weights=dict(weights or {})
        )

    def remove_alias(self, name: str) -> None:
        """Remove an alias; an unknown one is not an error, as in AWS."""
        self._aliases.pop(name, None)

    def aliases_of(self, version: str) -> list[str]:
        """Return the names of the aliases that point to a version or give it a share."""
        return sorted(
            name
            for name, alias in self.aliases.items()
            if version == alias.version or version in alias.weights
        )

    def remove_version(self, number: str) -> None:
        """Remove a published version; an unknown one is not an error, as in AWS."""
        if number != LATEST:
            self._configs.pop(number, None)

    def events_of(self, arn: str) -> EventConfig:
        """Return the Event configuration of an invocation.

        Args:
            arn: The qualified ARN that was invoked.
        """
        settings, config = self.event_settings.get(arn), self.latest.events
        if settings is None:
            return config
        attempts, age = settings.maximum_retry_attempts, settings.maximum_event_age
        return dataclasses.replace(
            config,
            maximum_retry_attempts=config.maximum_retry_attempts if attempts is None else attempts,
            maximum_event_age=config.maximum_event_age if age is None else age,
        )

    def resolve(self, qualifier: str | None, chance: float = 1.0) -> FunctionConfig | None:
        """Return the configuration that a qualifier refers to; None if there is none.

        Args:
            qualifier: A version, an alias, or None for `$LATEST`.
            chance: A random number from 0.0 to 1.0, which selects a version by an alias's weights.
        """
        if qualifier is None:
            return self.latest
        alias = self._aliases.get(qualifier)
        if alias is None:
            return self._configs.get(qualifier)
        for version, share in alias.weights.items():
            if chance < share:
                return self._configs.get(version)
            chance -= share
        return self._configs.get(alias.version)
