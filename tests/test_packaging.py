"""The published distributions are typed, complete, and sufficient to build from."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("built")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def metadata(built: Path) -> Message:
    """The metadata of the wheel."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        return message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def unpacked(built: Path) -> Path:
    """The unpacked source distribution."""
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as bundle:
        bundle.extractall(built, filter="data")
    return built / archive.name.removesuffix(".tar.gz")


def test_the_core_needs_four_libraries_and_no_more(metadata: Message) -> None:
    core = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = sorted(line.split(">")[0] for line in core)
    assert names == ["aiobotocore", "anyio", "httptools", "tenacity"]


def test_what_only_developers_need_is_no_extra(metadata: Message) -> None:
    assert metadata.get_all("Provides-Extra") == [
        "cli",
        "dask",
        "inputs",
        "local",
        "otel",
        "parquet",
        "report",
        "s3",
        "streams",
        "trio",
        "uvloop",
    ]


def test_the_wheel_holds_every_module_and_its_types(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "asyncinvoke").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == sources
    assert "asyncinvoke/py.typed" in packed


@pytest.mark.parametrize(
    "target", ["demo", "test", "unit", "coverage", "lint", "types", "bench", "docs", "dist"]
)
def test_each_target_finds_what_it_needs_in_the_source_distribution(
    unpacked: Path, target: str
) -> None:
    # Without make's variables, because this test may itself be run by make.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    planned = subprocess.run(
        ["make", "--dry-run", target],
        cwd=unpacked,
        env=environment,
        check=True,
        capture_output=True,
    )
    assert planned.stderr == b""


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/index.md", "tests/test_packaging.py"])
def test_the_source_distribution_holds_the_pages_and_the_tests(unpacked: Path, name: str) -> None:
    assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_readme_on_a_package_index_leads_into_the_repository(metadata: Message) -> None:
    text = metadata.get_payload()
    assert isinstance(text, str)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []
    base = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))["Source"]
    for link in links:
        if link.startswith(base):
            place = link.removeprefix(f"{base}/blob/main/").partition("#")[0]
            assert (ROOT / place).is_file(), link


def test_the_metadata_describes_the_project(metadata: Message) -> None:
    urls = {line.split(", ")[0] for line in metadata.get_all("Project-URL", [])}
    assert urls == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert metadata["Author"] == "The asyncinvoke project"
    classifiers = metadata.get_all("Classifier", [])
    assert "Programming Language :: Python :: 3.14" in classifiers


def test_the_constraints_are_pins_of_what_the_lock_has() -> None:
    locked = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    versions = {(each["name"], each.get("version")) for each in locked}
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [re.split(r" *; *|==", line)[:2] for line in lines if not line.startswith("#")]
    assert {(name, version) for name, version in pins} <= versions
