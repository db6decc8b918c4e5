"""A command of the demo in a process that ends with the demo, even if that is killed."""

import os
import shutil
import sys
import threading

from asyncinvoke.cli import main
from asyncinvoke.cli.streams import STDIN


def end_with_demo(folder: str) -> None:
    """Wait until the demo is gone; then remove its folder, and end.

    The demo keeps standard input open while it lives, and writes nothing to it. Its endpoint is gone
    with it, for which a run would wait for minutes.
    """
    while os.read(STDIN, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_demo, args=(sys.argv.pop(1),), daemon=True).start()
    main()
