"""Deployment of functions: create, update the code, update the configuration."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from asyncinvoke.local import checks
from asyncinvoke.local.functions import configuration
from asyncinvoke.local.functions.configuration import Deployment, FunctionConfig, Handler, Source
from asyncinvoke.local.functions.registry import FunctionRegistry
from asyncinvoke.local.functions.versions import Versions
from asyncinvoke.local.management import describe
from asyncinvoke.local.management.attached_api import add_tags, check_tags
from asyncinvoke.local.management.code import CodeStore, Package, source_in
from asyncinvoke.local.management.functions_api import described
from asyncinvoke.local.management.layers_api import LayersApi, check_arns
from asyncinvoke.local.management.packages import Packages
from asyncinvoke.local.management.request import (
    Members,
    NamedFunction,
    function_not_found,
)
from asyncinvoke.local.management.settings import Settings
from asyncinvoke.local.protocol import names, refusals
from asyncinvoke.local.protocol.names import LATEST

_CODE = "function code"


class Deploying:
    """The operations that deploy functions.

    Args:
        registry: The functions.
        code: Unpacks packages.
        packages: The sources of packages.
        layers: The layers that functions may use.
        region_name: The endpoint's region.
        account_id: The endpoint's account.
        settling_time: Seconds for which a function is Pending, or an update InProgress.
    """

    def __init__(
        self,
        registry: FunctionRegistry,
        code: CodeStore,
        packages: Packages,
        layers: LayersApi,
        *,
        region_name: str,
        account_id: str,
        settling_time: float,
    ) -> None:
        self._registry = registry
        self._code = code
        self._packages = packages
        self._layers = layers
        self._where = {"region_name": region_name, "account_id": account_id}
        self._settling_time = settling_time

    async def create(self, members: Members) -> dict[str, Any]:
        """`CreateFunction`."""
        text = members.text("FunctionName")
        if text is None:
            raise refusals.violated(names.missing(functionName=text))
        role = members.text("Role")
        violations = [*names.new_name_violations(text), *names.missing(role=role)]
        parsed = names.parse(text)
        if violations or parsed is None:
            raise refusals.violated(violations)
        checks.one_qualifier(parsed, None, region_name=self._where["region_name"])
        if parsed.account not in (None, self._where["account_id"]):
            raise refusals.wrong_account(text)
        name = parsed.name
        self._check_new(name)
        if members.text("PackageType") not in (None, "Zip"):
            raise refusals.invalid("PackageType Image: this endpoint takes a ZipFile.")
        handler = members.text("Handler")
        if handler is None or members.text("Runtime") is None:
            raise refusals.invalid(
                "Runtime and Handler are mandatory parameters for functions created with "
                "deployment packages."
            )
        settings = Settings().changed(members, name=name)
        tags = members.texts("Tags") or {}
        check_tags(tags)  # before anything is created
        async with self._code.unpacked(
            await self._packages.content(members.members("Code"), _CODE)
        ) as package:
            self._check_new(name)  # it may have been created meanwhile, and a layer deleted
            settings, layers = self._with_layers(settings, members, ())
            source = source_in(package.directory, handler, layers)
            config = self._configure(name, source, settings, package)
            versions = self._registry.register(config, None)
        add_tags(versions, tags)
        until = time.monotonic() + self._settling_time
        versions.pend(LATEST, until)
        if members.flag("Publish"):
            config = self._publish(versions, until)
        # Unlike an update, it returns the ARN without the published version.
        return describe.configuration(config, versions, now=time.monotonic())

    async def update_code(self, function: NamedFunction, members: Members) -> dict[str, Any]:
        """`UpdateFunctionCode`."""
        if not isinstance(self._changeable(function, members).latest.handler, Source):
            raise refusals.invalid(
                f"{function.versions.name} is a callable of this process and has no code to update."
            )
        async with self._code.unpacked(await self._packages.content(members, _CODE)) as package:
            # It may have been changed or deleted meanwhile.
            versions = self._changeable(function, members)
            if self._registry.functions.get(versions.name) is not versions:
                raise function_not_found(versions.latest.arn, None)
            latest = versions.latest
            assert isinstance(latest.handler, Source)  # noqa: S101  # unchanged since the check above
            source = source_in(package.directory, latest.handler.handler, latest.handler.layers)
            requested = Members({"Architectures": members.any("Architectures")})
            settings = Settings.of(latest).changed(requested, name=latest.name)
            config = self._configure(latest.name, source, settings, package, latest)
            if members.flag("DryRun"):
                return described(config, versions)
            until = self._update(config)
        if members.flag("Publish"):
            config = self._publish(versions, until)
        return described(config, versions)

    def update_configuration(self, function: NamedFunction, members: Members) -> dict[str, Any]:
        """`UpdateFunctionConfiguration`."""
        versions = self._changeable(function, members)
        latest = versions.latest
        handler, new_handler = latest.handler, members.text("Handler")
        if new_handler is not None:
            if not isinstance(handler, Source):
                raise refusals.invalid(
                    f"{latest.name} is a callable of this process; its handler is fixed."
                )
            handler = source_in(handler.directory, new_handler, handler.layers)
        settings = Settings.of(latest).changed(members, name=latest.name)
        if isinstance(handler, Source):
            settings, layers = self._with_layers(settings, members, handler.layers)
            handler = dataclasses.replace(handler, layers=layers)
        config = self._configure(latest.name, handler, settings, None, latest)
        self._update(config)
        return described(config, versions)

    def _with_layers(
        self, settings: Settings, members: Members, current: tuple[Path, ...]
    ) -> tuple[Settings, tuple[Path, ...]]:
        arns = members.any("Layers")
        if arns is None:
            return settings, current
        layers, directories = self._layers.resolve(check_arns(arns))
        others = {name: value for name, value in settings.as_requested.items() if name != "Layers"}
        return dataclasses.replace(
            settings, as_requested=others | ({"Layers": layers} if layers else {})
        ), directories

    def _check_new(self, name: str) -> None:
        if name in self._registry.functions:
            raise refusals.conflict(f"Function already exist: {name}")

    def _changeable(self, function: NamedFunction, members: Members) -> Versions:
        function.check_changeable(members.text("RevisionId"), now=time.monotonic())
        return function.versions

    def _update(self, config: FunctionConfig) -> float:
        until = time.monotonic() + self._settling_time
        self._registry.update(config, until)
        return until

    @staticmethod
    def _publish(versions: Versions, until: float) -> FunctionConfig:
        number = versions.publish_changes()
        versions.pend(number, until)
        config = versions.resolve(number)
        assert config is not None  # noqa: S101  # it was just published
        return config

    def _configure(
        self,
        name: str,
        handler: Handler | Source,
        settings: Settings,
        package: Package | None = None,
        latest: FunctionConfig | None = None,
    ) -> FunctionConfig:
        was = latest.deployment if latest else Deployment(role="")
        try:
            return configuration.check(
                name=name,
                handler=handler,
                timeout=settings.timeout,
                memory_size=settings.memory_size,
                environment=settings.environment,
                events=None if latest is None else latest.events,
                deployment=Deployment(
                    role=settings.role,
                    runtime=settings.runtime,
                    description=settings.description,
                    code_size=package.size if package else was.code_size,
                    code_sha256=package.sha256 if package else was.code_sha256,
                    as_requested=settings.as_requested,
                ),
                **self._where,
            )
        except (ValueError, ModuleNotFoundError) as error:
            raise refusals.invalid(str(error)) from error
