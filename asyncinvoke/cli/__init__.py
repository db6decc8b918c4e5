"""The `asyncinvoke` command; works with the extra `cli`, and without it says so."""

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line on `sys.argv` and exit with its status."""
    if find_spec("click") is None or find_spec("rich") is None:
        sys.stderr.write(
            "asyncinvoke: the command line needs click and rich: pip install 'asyncinvoke[cli]'\n"
        )
        sys.exit(2)
    from asyncinvoke.cli.app import run

    sys.exit(run())
