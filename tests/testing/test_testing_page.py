"""`docs/testing.md`: every example is run by pytest, as a user would run it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from asyncinvoke.testing import pytest_plugin

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
FILES = {
    path.name: path.read_text("utf-8") for path in (ROOT / "examples" / "testing").glob("*.py")
}


def excerpt_of(block: str) -> str | None:
    """Return the name of the file that a block is an excerpt of; None if it is a file of its own."""
    return next((name for name, text in FILES.items() if block in text), None)


def test_the_page_links_to_the_examples_and_shows_their_tests() -> None:
    assert FILES
    for name in FILES:
        assert f"../examples/testing/{name}" in PAGE
    shown = {excerpt_of(block) for block in BLOCKS} - {None}
    assert shown == {"test_service.py", "test_bulk.py"}, "copy them to docs/testing.md again"


def test_every_example_passes_with_any_warning_an_error(tmp_path: Path) -> None:
    for name in FILES:
        shutil.copy(ROOT / "examples" / "testing" / name, tmp_path)
    for number, block in enumerate(BLOCKS):
        if excerpt_of(block) is None:
            assert "def test_" in block
            (tmp_path / f"test_block_{number}.py").write_text(block, encoding="utf-8")
    # Hypothesis and unused plugins only take time.
    without = ["cacheprovider", "hypothesispytest", "asyncio", "trio"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-W", "error", "--rootdir", tmp_path),
            *(part for name in without for part in ("-p", f"no:{name}")),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= len(re.findall(r"^(?:async )?def test_", PAGE, re.MULTILINE))


def test_every_fixture_of_the_plugin_is_on_the_page() -> None:
    source = Path(str(pytest_plugin.__file__)).read_text("utf-8")
    fixtures = re.findall(r"^@pytest\.fixture.*\n(?:async )?def ([a-z]\w+)", source, re.MULTILINE)
    assert len(fixtures) == 7
    for fixture in fixtures:
        assert f"`{fixture}`" in PAGE
