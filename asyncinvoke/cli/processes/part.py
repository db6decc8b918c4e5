"""One process of a divided run; it reads its settings from standard input, as a line of JSON."""

import contextlib
import io
import json
import os
import signal
import sys
import threading
from dataclasses import replace
from typing import Any

from asyncinvoke.cli.errors import INTERRUPTED, complain
from asyncinvoke.cli.map.bulk_run import run_bulk
from asyncinvoke.cli.map.settings import Bulk, lasting
from asyncinvoke.cli.streams import STDERR, STDIN


def settings_of(bulk: Bulk) -> dict[str, Any]:
    """Return the settings of a process as a JSON-serializable value."""
    return {
        "note": {**bulk.as_note(), "source_path": lasting(bulk.source)},
        "journal": bulk.journal,
        "output": bulk.output,
        "progress": bulk.progress,
    }


def bulk_of(settings: dict[str, Any]) -> Bulk:
    """Return the settings that a process has received."""
    return replace(
        Bulk.from_note(settings["note"], ""),
        journal=settings["journal"],
        output=settings["output"],
        progress=settings["progress"],
    )


class QuietStderr(io.RawIOBase):
    """Standard error; once its reader is gone, writing to it does nothing and is no error."""

    def writable(self) -> bool:
        """Return `True`."""
        return True

    def write(self, data: Any, /) -> int:
        """Write all of the data."""
        rest = bytes(data)
        with contextlib.suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(STDERR, rest) :]
        return len(data)


def end_with_parent() -> None:
    """Wait until the parent process is gone, and then send SIGTERM to this process.

    The parent keeps standard input open while it lives, and writes nothing more to it. Calls in
    flight finish: a missing parent is no reason to leave them in doubt.
    """
    while os.read(STDIN, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Run this process; return its exit status."""
    try:
        bulk = bulk_of(json.loads(sys.stdin.buffer.readline()))
        sys.stderr = io.TextIOWrapper(
            QuietStderr(), "utf-8", "backslashreplace", write_through=True
        )
        threading.Thread(target=end_with_parent, daemon=True).start()
        return run_bulk(bulk)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # reported in the same way as by any command
        return complain(error)


if __name__ == "__main__":
    sys.exit(main())
