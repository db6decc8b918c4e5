"""What is installed: typed, complete, and with nothing but its own package."""

import subprocess
import sys
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_core_needs_three_libraries_and_no_more() -> None:
    core = [line for line in requires("asyncinvoke") or [] if "extra ==" not in line]
    assert sorted(line.split(">")[0] for line in core) == ["aiobotocore", "anyio", "tenacity"]


@pytest.mark.timeout(300)
def test_the_wheel_holds_every_module_and_its_types(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "asyncinvoke").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == sources
    assert "asyncinvoke/py.typed" in packed
