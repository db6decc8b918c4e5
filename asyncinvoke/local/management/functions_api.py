"""Functions: create, get, list, update, delete."""

import time
from collections.abc import Mapping
from typing import Any

from asyncinvoke.local import answers, functions
from asyncinvoke.local.deployment import RUNTIME, Deployment
from asyncinvoke.local.functions import FunctionConfig, Source
from asyncinvoke.local.management import describe
from asyncinvoke.local.management.code import CodeStore, Package, source_in
from asyncinvoke.local.management.problems import conflict, invalid
from asyncinvoke.local.management.registry import Registry, Target
from asyncinvoke.local.names import LATEST
from asyncinvoke.local.versions import Versions

_PAGE = 50
"""Functions of one answer (AWS's documentation)."""

_NEW: dict[str, Any] = {
    "Runtime": RUNTIME,
    "Role": "",
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "Environment": {},
}
"""What a function has that says nothing else (AWS's defaults)."""


class FunctionsApi:
    """The operations on functions as a whole.

    Args:
        registry: Where functions are.
        code: Where packages are unpacked.
        region_name: The endpoint's region.
        account_id: The endpoint's account.
        settling_time: Seconds for which a function is Pending, or an update InProgress.
    """

    def __init__(
        self,
        registry: Registry,
        code: CodeStore,
        *,
        region_name: str,
        account_id: str,
        settling_time: float,
    ) -> None:
        self._registry = registry
        self._code = code
        self._where = {"region_name": region_name, "account_id": account_id}
        self._settling_time = settling_time

    def create(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """`CreateFunction`."""
        name = members.get("FunctionName")
        if name in self._registry.functions:
            raise conflict(f"Function already exist: {name}")
        if members.get("PackageType", "Zip") != "Zip":
            raise invalid("PackageType Image: this endpoint takes a ZipFile.")
        package = self._code.unpack((members.get("Code") or {}).get("ZipFile"))
        source = package.source(str(members.get("Handler")))
        config = self._configure(str(name), source, members, package)
        versions = self._registry.register(config, None)
        versions.pending_until = time.monotonic() + self._settling_time
        if members.get("Publish"):
            config = versions.resolve(versions.publish()) or config
        return self._describe(config, versions)

    def get(self, target: Target) -> dict[str, Any]:
        """`GetFunction`."""
        answer: dict[str, Any] = {
            "Configuration": self.get_configuration(target),
            "Code": {"RepositoryType": "S3"},
            "Tags": {},
        }
        reserved = self._registry.reserved(target.versions.name)
        if reserved is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": reserved}
        return answer

    def get_configuration(self, target: Target) -> dict[str, Any]:
        """`GetFunctionConfiguration`."""
        config = target.config
        return self._describe(config, target.versions, qualified=target.qualifier is not None)

    def list(self, query: Mapping[str, str]) -> dict[str, Any]:
        """`ListFunctions`."""
        marker, most = query.get("Marker"), query.get("MaxItems", str(_PAGE))
        if not most.isdecimal() or int(most) == 0:
            raise invalid(f"MaxItems {most}: it must be a whole number from 1.")
        names = sorted(self._registry.functions)
        later = [name for name in names if marker is None or name > marker]
        page = later[: min(int(most), _PAGE)]
        found = [self._registry.functions[name] for name in page]
        answer: dict[str, Any] = {
            "Functions": [self._describe(versions.latest, versions) for versions in found]
        }
        if len(later) > len(page):
            answer["NextMarker"] = page[-1]
        return answer

    def update_code(self, target: Target, members: Mapping[str, Any]) -> dict[str, Any]:
        """`UpdateFunctionCode`."""
        versions = self._changeable(target)
        latest = versions.latest
        package = self._code.unpack(members.get("ZipFile"))
        if members.get("DryRun"):
            return self._describe(latest, versions)
        if not isinstance(latest.handler, Source):
            raise invalid(f"{latest.name} is a callable of this process and has no code to update.")
        source = package.source(latest.handler.handler)
        self._update(self._configure(latest.name, source, {}, package, latest), versions)
        if members.get("Publish"):
            versions.publish()
        return self._describe(versions.latest, versions)

    def update_configuration(self, target: Target, members: Mapping[str, Any]) -> dict[str, Any]:
        """`UpdateFunctionConfiguration`."""
        versions = self._changeable(target)
        latest = versions.latest
        handler = latest.handler
        if "Handler" in members:
            if not isinstance(handler, Source):
                raise invalid(f"{latest.name} is a callable of this process; its handler is fixed.")
            handler = source_in(handler.directory, str(members["Handler"]))
        self._update(self._configure(latest.name, handler, members, None, latest), versions)
        return self._describe(versions.latest, versions)

    def delete(self, target: Target) -> None:
        """`DeleteFunction`."""
        if target.qualifier is None:
            self._registry.remove(target.versions.name)
        elif target.qualifier == LATEST:
            raise invalid("$LATEST version cannot be deleted without deleting the function.")
        else:
            target.versions.remove_version(target.qualifier)

    def _changeable(self, target: Target) -> Versions:
        versions, now = target.versions, time.monotonic()
        if now < versions.pending_until:
            raise conflict(answers.not_active("Pending"))
        if now < versions.updating_until:
            raise conflict(answers.updating(versions.latest.arn))
        return versions

    def _update(self, config: FunctionConfig, versions: Versions) -> None:
        self._registry.update(config)
        versions.updating_until = time.monotonic() + self._settling_time

    def _configure(
        self,
        name: str,
        handler: functions.Handler | Source,
        members: Mapping[str, Any],
        package: Package | None = None,
        latest: FunctionConfig | None = None,
    ) -> FunctionConfig:
        settings = {**(_NEW if latest is None else _settings(latest)), **members}
        if not str(settings["Runtime"]).startswith("python3."):
            raise invalid(f"Runtime {settings['Runtime']}: this endpoint runs Python.")
        was = latest.deployment if latest else Deployment(role="")
        try:
            return functions.check(
                name=name,
                handler=handler,
                timeout=settings["Timeout"],
                memory_size=settings["MemorySize"],
                environment=(settings["Environment"] or {}).get("Variables"),
                events=None if latest is None else latest.events,
                directory=None,
                deployment=Deployment(
                    role=settings["Role"],
                    runtime=settings["Runtime"],
                    description=settings["Description"],
                    code_size=package.size if package else was.code_size,
                    code_sha256=package.sha256 if package else was.code_sha256,
                ),
                **self._where,
            )
        except (ValueError, TypeError, ModuleNotFoundError) as error:
            raise invalid(str(error)) from error

    @staticmethod
    def _describe(
        config: FunctionConfig, versions: Versions, *, qualified: bool = False
    ) -> dict[str, Any]:
        return describe.configuration(
            config, versions, now=time.monotonic(), qualified=qualified or config.version != LATEST
        )


def _settings(config: FunctionConfig) -> dict[str, Any]:
    """Give what a request may change, as requests spell it."""
    return {
        "Runtime": config.deployment.runtime,
        "Role": config.deployment.role,
        "Description": config.deployment.description,
        "Timeout": config.timeout,
        "MemorySize": config.memory_size,
        "Environment": {"Variables": dict(config.environment)},
    }
