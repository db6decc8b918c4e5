"""Runs the examples of a page, one after the other: `python -m tests.telemetry.run_page PAGE`.

They find an endpoint on loopback as programs of users find AWS: by the environment. Each runs as a
program of its own would, but for the time that it takes to start one.
"""

import os
import re
import sys
import traceback
from pathlib import Path

from anyio.from_thread import start_blocking_portal

from asyncinvoke.local import LocalLambda

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[str]:
    """Return the examples of a page."""
    return BLOCK.findall(page.read_text())


def run(page: Path) -> int:
    """Run them; return how many have failed."""
    failed = 0
    for number, block in enumerate(blocks(page)):
        try:
            exec(compile(block, f"{page.name}[{number}]", "exec"), {"__name__": "__main__"})
        except BaseException:
            traceback.print_exc()
            failed += 1
        else:
            print(f"{number} ran")
    return failed


def main() -> None:
    """Serve the functions that examples invoke, and run them."""
    local = LocalLambda()
    local.function("resize", lambda event, _: {"url": f"thumbs/{(event or {}).get('key')}"})
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(local):
        os.environ.update(
            AWS_ENDPOINT_URL_LAMBDA=local.url,
            AWS_ACCESS_KEY_ID="test-key",
            AWS_SECRET_ACCESS_KEY="test-secret",
            AWS_DEFAULT_REGION="eu-west-1",
        )
        failed = run(Path(sys.argv[1]))
    sys.exit(failed)


if __name__ == "__main__":
    main()
