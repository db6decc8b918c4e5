"""The `asyncinvoke` command; without the extra `cli` it says how to install it."""

import signal
import sys
from importlib.util import find_spec

from asyncinvoke.cli.terminated import raised_signals


def main() -> None:
    """Run the command line on `sys.argv` and exit with its status."""
    if sys.platform == "win32":
        _refuse("the command line needs Linux, macOS or another POSIX system (on Windows: WSL)")
    if find_spec("click") is None or find_spec("rich") is None:
        _refuse("the command line needs click and rich: pip install 'asyncinvoke[cli]'")
    try:
        # From here on every SIGTERM ends in status 143, also while the command is imported.
        with raised_signals():
            from asyncinvoke.cli.app import run

            status = run()
    except KeyboardInterrupt:  # during the imports
        status = 130
    # Nothing is left to be done: one more Ctrl-C ends the process, and shows no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status)


def _refuse(why: str) -> None:
    sys.stderr.write(f"asyncinvoke: {why}\n")
    sys.exit(2)
