"""The functions that the servers run; they need only the standard library."""

import json
import os
import pathlib
import time
import uuid
from typing import Any

HOLD_SECONDS = 30.0


def echo(event: Any, context: Any) -> Any:
    """Print a line to the log, and return the event."""
    print(f"echo saw {event}")  # noqa: T201
    return event


def fail(event: Any, context: Any) -> Any:
    """Raise an exception."""
    raise ValueError(f"cannot use {event}")


def record(event: Any, context: Any) -> Any:
    """Create a file for each run, so that a test can count them; return the item."""
    path = pathlib.Path(event["folder"]) / f"{uuid.uuid4()}.json"
    # Created atomically, because the test may read it at any time.
    written = path.with_suffix(".part")
    written.write_text(json.dumps(event["item"]), encoding="utf-8")
    written.rename(path)
    return event["item"]


def hold(event: Any, context: Any) -> None:
    """Signal by a file that it runs, then run until the test creates another file."""
    pathlib.Path(event["started"]).touch()
    give_up = time.monotonic() + HOLD_SECONDS
    while not pathlib.Path(event["release"]).exists() and time.monotonic() < give_up:
        time.sleep(0.02)


def leave(event: Any, context: Any) -> None:
    """End the process in the middle of an invocation."""
    os._exit(event)


def devour(event: Any, context: Any) -> int:
    """Use a number of MB of memory."""
    return len(b"x" * (event << 20))


def nothing(event: Any, context: Any) -> None:
    """Return nothing."""


def tell(event: Any, context: Any) -> Any:
    """Return the attributes of the context."""
    return {
        "arn": context.invoked_function_arn,
        "version": context.function_version,
        "request_id": context.aws_request_id,
        "memory": str(context.memory_limit_in_mb),
        "has_time": 0 < context.get_remaining_time_in_millis() <= 60_000,
        "shop": os.environ.get("SHOP"),
    }


def custom(event: Any, context: Any) -> Any:
    """Return the client context's `custom` part."""
    return context.client_context.custom


def sleep(event: Any, context: Any) -> None:
    """Run longer than any timeout of the tests."""
    time.sleep(HOLD_SECONDS)


def letters(event: Any, context: Any) -> str:
    """Return a number of letters."""
    return "x" * int(event)


def unserializable(event: Any, context: Any) -> Any:
    """Return what JSON cannot hold."""
    return {1}


def trace(event: Any, context: Any) -> str | None:
    """Return the trace header of the invocation."""
    return os.environ.get("_X_AMZN_TRACE_ID")
