"""Every example of these pages runs, as a user would run it, with any warning an error."""

import re
import subprocess
import sys
from pathlib import Path

from .run_page import blocks

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / f"{name}.md" for name in ("telemetry", "typing", "recipes")]


def test_every_example_of_the_pages_runs() -> None:
    # All in one process, because starting one takes as long as all examples.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.telemetry.run_page", *PAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{page.name} {number} ran" for page in PAGES for number in range(len(blocks(page)))
    ]


def test_every_attribute_is_on_the_page() -> None:
    named = re.compile(r"""["`]((?:asyncinvoke|aws|cloud|error|faas|http|rpc)\.[a-z_.]+)["`]""")
    package = ROOT / "asyncinvoke"
    sources = [*package.glob("_telemetry/*.py"), *package.glob("_otel/*.py")]
    given = {name for source in sources for name in named.findall(source.read_text("utf-8"))}
    assert "asyncinvoke.limit.lowered" in given
    page = (ROOT / "docs" / "telemetry.md").read_text("utf-8")
    assert sorted(given - set(named.findall(page))) == []
