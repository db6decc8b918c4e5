"""Interpreters started by the command import the same modules as this one."""

import subprocess
import sys
from pathlib import Path

import pytest

from asyncinvoke.cli.interpreter import command_of


@pytest.mark.parametrize("entry", ["", 'it\'s "here"'])
def test_a_module_is_found_from_another_directory_by_a_relative_import_path(
    entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / entry
    folder.mkdir(exist_ok=True)
    (folder / "shown.py").write_text("import sys; print(__name__, sys.argv[1:])")
    other = tmp_path / "other"
    other.mkdir()
    (other / "shown.py").write_text("print('another module')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry, *sys.path])
    command = command_of("shown", "a b", "-c")
    ended = subprocess.run(command, cwd=other, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("__main__ ['a b', '-c']\n", "")
