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
    """Where an alias points."""

    version: str
    """The version."""
    description: str = ""
    """Its description."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Other versions, each with the share of invocations that it gets, from 0.0 to 1.0."""
    revision_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Changes whenever it is changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSettings:
    """What was asked of the Event queue through the API; None where nothing was said."""

    maximum_retry_attempts: int | None = None
    """Further runs after a function error."""
    maximum_event_age: int | None = None
    """Seconds after which an Event is given up."""
    destinations: Mapping[str, Any] = field(default_factory=dict)
    """Who was asked to hear how it ended; told back, and not called."""
    last_modified: float = 0.0
    """When it was set, in seconds since the epoch."""


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
        self._published_from: FunctionConfig | None = None
        self._before: FunctionConfig | None = None
        self._pending_until: dict[str, float] = {}
        self._updating_until = 0.0
        self.tags: dict[str, str] = {}
        """Its tags."""
        self.policies: dict[str, dict[str, dict[str, Any]]] = {}
        """Statements about who may invoke it, by qualified ARN and id; nobody is held to them."""
        self.event_settings: dict[str, EventSettings] = {}
        """What was asked of the Event queue, by qualified ARN."""

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

    def pending_until(self, version: str) -> float:
        """Return when a version can run, in seconds of the monotonic clock: `Pending` until then."""
        return self._pending_until.get(version, 0.0)

    def pend(self, version: str, until: float) -> None:
        """Let a version be `Pending` until a time of the monotonic clock."""
        self._pending_until[version] = until

    def updates_until(self, version: str) -> float:
        """Return when a version's update is done; only `$LATEST` has any."""
        return self._updating_until if version == LATEST else 0.0

    def is_settled(self, version: str, now: float) -> bool:
        """Return whether a version is neither pending nor updated, at a time."""
        return now >= max(self.pending_until(version), self.updates_until(version))

    def update(self, config: FunctionConfig, until: float = 0.0) -> None:
        """Change `$LATEST`; what was published stays.

        Args:
            config: What it is to be.
            until: When the change is done; the former one runs until then.
        """
        self._before, self._updating_until = self.latest, until
        self._configs[LATEST] = config

    def in_force(self, qualifier: str | None, now: float) -> FunctionConfig | None:
        """Return what a qualifier means for an invocation at a time; None if there is nothing.

        Args:
            qualifier: A version, an alias, or None for `$LATEST`.
            now: Seconds of the monotonic clock.
        """
        config = self.resolve(qualifier)
        if config is self.latest and self._before is not None and now < self._updating_until:
            return self._before
        return config

    def replaced(self, now: float) -> FunctionConfig | None:
        """Return what `$LATEST` was before its update while that still runs; None without one."""
        return self._before if now < self._updating_until else None

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
            self.latest, version=number, deployment=deployed.renewed()
        )
        renewed = self.latest.deployment.renewed()
        self._configs[LATEST] = dataclasses.replace(self.latest, deployment=renewed)
        self._published_from = self.latest
        return number

    def publish_changes(self, description: str | None = None) -> str:
        """Make a version of `$LATEST` if it has changed since the last one; give its number."""
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
        """Point an alias at a version, and let others have a share of its invocations."""
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
        """Forget an alias; one that is not there is no error, as in AWS."""
        self._aliases.pop(name, None)

    def aliases_of(self, version: str) -> list[str]:
        """Return the names of the aliases that point at a version."""
        return sorted(
            name
            for name, alias in self.aliases.items()
            if version == alias.version or version in alias.weights
        )

    def remove_version(self, number: str) -> None:
        """Forget a published version; one that is not there is no error, as in AWS."""
        if number != LATEST:
            self._configs.pop(number, None)

    def events_of(self, arn: str) -> EventConfig:
        """Return how the queue treats an Event.

        Args:
            arn: The ARN as invoked, with its qualifier.
        """
        asked, config = self.event_settings.get(arn), self.latest.events
        if asked is None:
            return config
        attempts, age = asked.maximum_retry_attempts, asked.maximum_event_age
        return dataclasses.replace(
            config,
            maximum_retry_attempts=config.maximum_retry_attempts if attempts is None else attempts,
            maximum_event_age=config.maximum_event_age if age is None else age,
        )

    def resolve(self, qualifier: str | None, chance: float = 1.0) -> FunctionConfig | None:
        """Return the configuration that a qualifier means; None if there is none.

        Args:
            qualifier: A version, an alias, or None for `$LATEST`.
            chance: From 0.0 to 1.0: below the share of another version an alias means that one.
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
