"""Which published figures are old: in a repository that the test makes."""

import subprocess
from pathlib import Path

from benchmarks.stale import MEASURED, ROOT, SHOWN, ages, show


def git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
    subprocess.run(["git", "-C", folder, *names, *words], check=True, capture_output=True)


def commit(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.read_text() + "more\n" if path.exists() else "some\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", name)


def test_a_figure_is_old_once_the_code_that_it_measures_has_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    commit(tmp_path, "asyncinvoke/local/server.py")
    commit(tmp_path, "benchmarks/results/served.md")
    commit(tmp_path, "benchmarks/results/fanout.md")
    commit(tmp_path, "asyncinvoke/cli/app.py")
    assert [each.changes for each in ages(tmp_path)] == [0, 0]
    commit(tmp_path, "asyncinvoke/local/server.py")
    commit(tmp_path, "asyncinvoke/local/server.py")
    found = {each.name: each.changes for each in ages(tmp_path)}
    assert found == {"fanout": 0, "served": 2}
    assert "served" in show(ages(tmp_path))
    assert "old: 2 commits to its code since" in show(ages(tmp_path))
    commit(tmp_path, "benchmarks/results/served.md")
    assert [each.changes for each in ages(tmp_path)] == [0, 0]


def test_what_it_knows_of_is_there() -> None:
    for place in {place for places in MEASURED.values() for place in places}:
        assert (ROOT / place).exists(), place
    results = {path.stem for path in (ROOT / "benchmarks" / "results").iterdir()}
    for page, names in SHOWN.items():
        assert (ROOT / page).is_file()
        assert set(names) <= results
