"""Which changes of files are changes of a handler's code."""

import os
import py_compile
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from asyncinvoke.local.execution.pool import Imports
from asyncinvoke.local.functions.configuration import Source

FILES = {
    "app.py": "import plain, json\nfrom package import part\nfrom package.inner import thing\n",
    "plain.py": "from later import *\n",
    "later.py": "",
    "package/__init__.py": "",
    "package/part.py": "from . import beside\nfrom .inner import thing\n",
    "package/beside.py": "import package.part\n",
    "package/inner/__init__.py": "from ..deep import x\n",
    "package/deep.py": "",
    "other.py": "",
    "package/other.py": "",
}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Source(directory=tmp_path, handler="app.f", file=tmp_path / "app.py")


def touch(path: Path) -> None:
    changed = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(changed, changed))


@pytest.mark.parametrize("name", FILES)
def test_a_change_of_what_is_imported_is_one_and_no_other(source: Source, name: str) -> None:
    imports = Imports(source)
    before = imports.stamp()
    assert imports.stamp() == before
    touch(source.directory / name)
    assert (imports.stamp() != before) == ("other" not in name)


def test_an_import_that_is_new_is_seen_and_one_that_is_broken_forgiven(source: Source) -> None:
    imports = Imports(source)
    before = imports.stamp()
    assert source.file is not None
    source.file.write_text("import other\n(")
    touch(source.file)
    broken = imports.stamp()
    assert broken != before
    source.file.write_text("import other\n")
    touch(source.file)
    touch(source.file)
    fixed = imports.stamp()
    assert fixed != broken
    touch(source.directory / "other.py")
    assert imports.stamp() != fixed
    source.file.unlink()
    assert imports.stamp() == 0


def test_a_change_in_the_same_second_and_size_is_not_hidden_by_bytecode(source: Source) -> None:
    plain, second = source.directory / "plain.py", 1_700_000_000
    imports = Imports(source)
    for word, fraction in (("old", 1), ("new", 2)):
        plain.write_text(f"WORD = {word!r}", encoding="utf-8")
        os.utime(plain, ns=(second * 10**9 + fraction,) * 2)
        imports.stamp()
        found: dict[str, str] = {}
        code = SourceFileLoader("plain", str(plain)).get_code("plain")
        assert code is not None
        exec(code, found)
        py_compile.compile(str(plain), doraise=True)  # as an import does
        assert found["WORD"] == word
