"""Layers: published, listed, deleted, and resolved for the functions that use them."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncinvoke.local.management.code import CodeStore, Package
from asyncinvoke.local.management.packages import Packages
from asyncinvoke.local.management.request import PAGE, Members, page
from asyncinvoke.local.protocol import names, refusals

MOST_LAYERS = 5
"""The maximum number of layers of a function (AWS's quota)."""

MAX_ARN = 140
"""The maximum length of the ARN of a layer or its version (AWS's service model)."""

ARN_PATTERN = (
    r"(arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)"
    r"|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)"
)
"""The pattern of the ARN of a layer version, from the service's model."""

NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:"
    r"layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+"
)
"""The pattern of the name or the ARN of a layer, from the service's model."""

_ARN = re.compile(ARN_PATTERN)
_NAME = re.compile(NAME_PATTERN, re.ASCII)
_ARN_RULE = (
    f"Member must satisfy constraint: [Member must have length less than or equal to {MAX_ARN}, "
    "Member must have length greater than or equal to 1, Member must satisfy regular expression "
    f"pattern: {ARN_PATTERN}, Member must not be null]"
)

_LARGEST = 10**10 - 1  # for keys that sort the newest version first

_KEPT = ("CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    number: int
    package: Package
    description: Mapping[str, Any]


class LayersApi:
    """The layers of one endpoint.

    Args:
        code: Unpacks packages.
        packages: The sources of packages.
        region_name: The endpoint's region.
        account_id: The endpoint's account.
    """

    def __init__(
        self, code: CodeStore, packages: Packages, *, region_name: str, account_id: str
    ) -> None:
        self._code = code
        self._packages = packages
        self._region_name = region_name
        self._prefix = f"arn:aws:lambda:{region_name}:{account_id}:layer:"
        self._layers: dict[str, dict[int, _Version]] = {}
        self._published: dict[str, int] = {}

    async def publish(self, name: str, members: Members) -> dict[str, Any]:
        """`PublishLayerVersion`."""
        name = self._name(name)
        content = await self._packages.content(members.members("Content"), "layer content")
        async with self._code.unpacked(content) as package:
            number = self._published[name] = self._published.get(name, 0) + 1
            description = {name: members.any(name) for name in _KEPT if members.any(name)}
            description["Description"] = members.text("Description") or ""
            description["CreatedDate"] = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime())
            version = _Version(number=number, package=package, description=description)
            self._layers.setdefault(name, {})[number] = version
        return self._with_content(name, version)

    def get(self, name: str, number: str) -> dict[str, Any]:
        """`GetLayerVersion`."""
        name = self._name(name)
        version = self._layers.get(name, {}).get(_number(number))
        if version is None:
            raise refusals.nothing_there()
        return self._with_content(name, version)

    def delete(self, name: str, number: str) -> None:
        """`DeleteLayerVersion`; an unknown version is not an error, as in AWS."""
        versions = self._layers.get(self._name(name), {})
        versions.pop(_number(number), None)

    def list_versions(self, name: str, query: Mapping[str, str]) -> dict[str, Any]:
        """`ListLayerVersions`, newest first."""
        name = self._name(name)
        found = (
            (f"{_LARGEST - number:010d}", self._described(name, version))
            for number, version in _matching(self._layers.get(name, {}), query).items()
        )
        return page("LayerVersions", found, query, limit=PAGE)

    def resolve(self, arns: Sequence[str]) -> tuple[list[dict[str, Any]], tuple[Path, ...]]:
        """Return the description and the directories of a function's layers.

        Raises:
            Refusal: A layer does not exist, or there are too many.
        """
        if len(arns) > MOST_LAYERS:
            raise refusals.invalid(f"Cannot reference more than {MOST_LAYERS} layers.")
        first: dict[str, str] = {}
        for arn in arns:
            if arn.split(":")[3] != self._region_name:
                raise refusals.invalid(
                    "Layers are not in the same region as the function. Layers are expected to be in "
                    f"region {self._region_name}."
                )
            other = first.setdefault(arn.rpartition(":")[0], arn)
            if other is not arn:
                raise refusals.invalid(
                    "Two different versions of the same layer are not allowed to be referenced in "
                    f"the same function. {other} and {arn} are versions of the same layer."
                )
        described, directories = [], []
        for arn in arns:
            name, _, number = arn.removeprefix(self._prefix).rpartition(":")
            version = self._layers.get(name, {}).get(_number(number))
            if version is None:
                raise refusals.invalid(f"Layer version {arn} does not exist.")
            described.append({"Arn": arn, "CodeSize": version.package.size})
            directories.append(version.package.directory)
        return described, tuple(directories)

    def list(self, query: Mapping[str, str]) -> dict[str, Any]:
        """`ListLayers`, or `GetLayerVersionByArn`, which shares its path."""
        if query.get("find") == "LayerVersion":
            if "Arn" not in query:
                raise refusals.violated(names.missing(arn=None))
            name, _, number = query["Arn"].rpartition(":")
            return self.get(name, number)
        found = (
            (
                name,
                {
                    "LayerName": name,
                    "LayerArn": self._prefix + name,
                    "LatestMatchingVersion": self._described(name, versions[max(versions)]),
                },
            )
            for name, layer in self._layers.items()
            if (versions := _matching(layer, query))
        )
        return page("Layers", found, query, limit=PAGE)

    def directories(self) -> set[Path]:
        """Return the directories of all layers."""
        layers = self._layers.values()
        return {version.package.directory for versions in layers for version in versions.values()}

    def _name(self, text: str) -> str:
        """Return the bare name of a layer, from its name or ARN.

        Raises:
            Refusal: It is neither, or the ARN of another region or account.
        """
        violations = [] if _NAME.fullmatch(text) else names.broken(text, "layerName", NAME_PATTERN)
        if len(text) > MAX_ARN:
            rule = f"Member must have length less than or equal to {MAX_ARN}"
            violations += names.breaks(text, "layerName", rule)
        if violations:
            raise refusals.violated(violations)
        name = text.removeprefix(self._prefix)
        if ":" in name:
            raise refusals.nothing_there()
        return name

    def _described(self, name: str, version: _Version) -> dict[str, Any]:
        arn = f"{self._prefix}{name}:{version.number}"
        return {"LayerVersionArn": arn, "Version": version.number, **version.description}

    def _with_content(self, name: str, version: _Version) -> dict[str, Any]:
        package = version.package
        content = {"CodeSize": package.size, "CodeSha256": package.sha256}
        described = self._described(name, version)
        return {"LayerArn": self._prefix + name, "Content": content, **described}


def _matching(versions: Mapping[int, _Version], query: Mapping[str, str]) -> dict[int, _Version]:
    """Return the versions of a layer that are for the runtime and the architecture of a list."""
    wanted = {
        f"{name}s": query[name]
        for name in ("CompatibleRuntime", "CompatibleArchitecture")
        if name in query
    }
    return {
        number: version
        for number, version in versions.items()
        if all(value in version.description.get(name, ()) for name, value in wanted.items())
    }


def _number(text: str) -> int:
    """Parse the number of a version; return 0, which none has, for anything else."""
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def check_arns(value: object) -> list[str]:
    """Validate the `Layers` of a request.

    Raises:
        Refusal: It is not a list of valid ARNs.
    """
    if not isinstance(value, list) or not all(isinstance(arn, str) for arn in value):
        raise refusals.unreadable("Layers: it must be a list of texts")
    wrong = [text for arn in value if not arn for text in names.missing(layers=None)]
    if wrong:
        raise refusals.violated(wrong)
    if any(len(arn) > MAX_ARN or _ARN.fullmatch(arn) is None for arn in value):
        wrong = names.breaks(f"[{', '.join(value)}]", "layers", _ARN_RULE)
        raise refusals.violated(wrong)
    return value
