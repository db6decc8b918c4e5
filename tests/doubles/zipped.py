"""The package in a zip file, from which Python imports it where the file is on its path."""

import zipfile
from pathlib import Path

import asyncinvoke


def zipped(folder: Path) -> Path:
    """Write the package into a zip file in a folder."""
    package = Path(next(iter(asyncinvoke.__path__)))
    path = folder / "package.zip"
    with zipfile.ZipFile(path, "w") as file:
        for each in package.rglob("*"):
            if each.is_file() and each.suffix != ".pyc":
                file.write(each, each.relative_to(package.parent))
    return path
