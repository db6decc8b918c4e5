"""Layers: published, listed, deleted, and resolved for the functions that use them."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncinvoke.local.management.code import CodeStore, Package
from asyncinvoke.local.management.packages import Packages
from asyncinvoke.local.management.request import Members
from asyncinvoke.local.protocol import names, refusals

MOST_LAYERS = 5
"""Layers that a function may have (AWS's quota)."""

MAX_ARN = 140
"""Characters of the ARN of a layer's version (AWS's service model)."""

ARN_PATTERN = (
    r"(arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)"
    r"|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)"
)
"""What the ARN of a layer's version must be, in the service's words."""

_ARN = re.compile(ARN_PATTERN)
_ARN_RULE = (
    f"Member must satisfy constraint: [Member must have length less than or equal to {MAX_ARN}, "
    "Member must have length greater than or equal to 1, Member must satisfy regular expression "
    f"pattern: {ARN_PATTERN}, Member must not be null]"
)

_KEPT = ("CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    number: int
    package: Package
    told: Mapping[str, Any]


class LayersApi:
    """The layers of one endpoint.

    Args:
        code: Where packages are unpacked.
        packages: Where packages come from.
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
        name = name.removeprefix(self._prefix)
        content = await self._packages.content(members.members("Content"), "layer content")
        async with self._code.unpacked(content) as package:
            number = self._published[name] = self._published.get(name, 0) + 1
            told = {member: members.any(member) for member in _KEPT if members.any(member)}
            told["Description"] = members.text("Description") or ""
            told["CreatedDate"] = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime())
            version = _Version(number=number, package=package, told=told)
            self._layers.setdefault(name, {})[number] = version
        return self._with_content(name, version)

    def get(self, name: str, number: str) -> dict[str, Any]:
        """`GetLayerVersion`."""
        name = name.removeprefix(self._prefix)
        version = self._layers.get(name, {}).get(int(number) if number.isdecimal() else 0)
        if version is None:
            raise refusals.nothing_there()
        return self._with_content(name, version)

    def delete(self, name: str, number: str) -> None:
        """`DeleteLayerVersion`; one that is not there is no error, as in AWS."""
        versions = self._layers.get(name.removeprefix(self._prefix), {})
        versions.pop(int(number) if number.isdecimal() else 0, None)

    def list_versions(self, name: str) -> dict[str, Any]:
        """`ListLayerVersions`, the newest first."""
        name = name.removeprefix(self._prefix)
        versions = self._layers.get(name, {})
        found = [self._described(name, versions[number]) for number in sorted(versions)[::-1]]
        return {"LayerVersions": found}

    def resolve(self, arns: Sequence[str]) -> tuple[list[dict[str, Any]], tuple[Path, ...]]:
        """Return what is told of the layers of a function, and where they are.

        Raises:
            Refusal: One is not there, or there are too many.
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
        told, folders = [], []
        for arn in arns:
            name, _, number = arn.removeprefix(self._prefix).rpartition(":")
            version = self._layers.get(name, {}).get(int(number) if number.isdecimal() else 0)
            if version is None:
                raise refusals.invalid(f"Layer version {arn} does not exist.")
            told.append({"Arn": arn, "CodeSize": version.package.size})
            folders.append(version.package.directory)
        return told, tuple(folders)

    def list(self, query: Mapping[str, str]) -> dict[str, Any]:
        """`ListLayers`, or `GetLayerVersionByArn`, which has the same path."""
        if query.get("find") == "LayerVersion":
            name, _, number = query.get("Arn", "").removeprefix(self._prefix).rpartition(":")
            return self.get(name, number)
        found = [
            {
                "LayerName": name,
                "LayerArn": self._prefix + name,
                "LatestMatchingVersion": self._described(name, versions[max(versions)]),
            }
            for name, versions in sorted(self._layers.items())
            if versions
        ]
        return {"Layers": found}

    def directories(self) -> set[Path]:
        """Return the directories of all layers."""
        layers = self._layers.values()
        return {version.package.directory for versions in layers for version in versions.values()}

    def _described(self, name: str, version: _Version) -> dict[str, Any]:
        arn = f"{self._prefix}{name}:{version.number}"
        return {"LayerVersionArn": arn, "Version": version.number, **version.told}

    def _with_content(self, name: str, version: _Version) -> dict[str, Any]:
        package = version.package
        content = {"CodeSize": package.size, "CodeSha256": package.sha256}
        described = self._described(name, version)
        return {"LayerArn": self._prefix + name, "Content": content, **described}


def check_arns(value: object) -> list[str]:
    """Return the `Layers` of a request.

    Raises:
        Refusal: They are no list of texts.
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
