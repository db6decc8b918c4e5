"""One of the processes of a run: its settings come on standard input, as JSON."""

import json
import sys
from dataclasses import replace
from typing import Any

from asyncinvoke.cli.errors import INTERRUPTED, complain
from asyncinvoke.cli.map.bulk_run import run_bulk
from asyncinvoke.cli.map.settings import Bulk


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


def main() -> int:
    """Run it; give the exit status."""
    try:
        return run_bulk(bulk_of(json.load(sys.stdin)))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # it is said, as any command says it
        return complain(error)


if __name__ == "__main__":
    sys.exit(main())
