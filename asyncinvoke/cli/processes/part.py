"""One process of a divided run: it reads its settings from standard input, as a line of JSON."""

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
from asyncinvoke.cli.map.settings import Bulk
from asyncinvoke.cli.streams import STDERR, STDIN


def settings_of(bulk: Bulk) -> dict[str, Any]:
    """Return what a process is told, as JSON can hold it."""
    return {
        "note": {**bulk.as_note(), "source_path": bulk.source},
        "journal": bulk.journal,
        "output": bulk.output,
        "progress": bulk.progress,
    }


def bulk_of(settings: dict[str, Any]) -> Bulk:
    """Return the settings that a process was told."""
    return replace(
        Bulk.from_note(settings["note"], ""),
        journal=settings["journal"],
        output=settings["output"],
        progress=settings["progress"],
    )


class Heard(io.RawIOBase):
    """Standard error, as long as somebody hears it; what is said after that is lost, and no error."""

    def writable(self) -> bool:
        """Say that it is written to."""
        return True

    def write(self, data: Any, /) -> int:
        """Write all of it."""
        rest = bytes(data)
        with contextlib.suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(STDERR, rest) :]
        return len(data)


def end_with_parent() -> None:
    """End this process as a SIGTERM does, once the one that started it is gone.

    That one keeps standard input open for as long as it lives, and writes nothing more to it. What
    is in flight ends: progress that nobody hears is no reason to leave it in doubt.
    """
    while os.read(STDIN, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Run it; give the exit status."""
    try:
        bulk = bulk_of(json.loads(sys.stdin.readline()))
        sys.stderr = io.TextIOWrapper(Heard(), "utf-8", "backslashreplace", write_through=True)
        threading.Thread(target=end_with_parent, daemon=True).start()
        return run_bulk(bulk)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # it is said, as any command says it
        return complain(error)


if __name__ == "__main__":
    sys.exit(main())
