"""The functions that the servers run, as they stand; so they need nothing but the standard library."""

import json
import os
import pathlib
import time
import uuid
from typing import Any

HOLD_SECONDS = 30.0


def echo(event: Any, context: Any) -> Any:
    """Answer with the event, having printed a line to the log."""
    print(f"echo saw {event}")  # noqa: T201
    return event


def fail(event: Any, context: Any) -> Any:
    """Fail as a function of a user fails."""
    raise ValueError(f"cannot use {event}")


def record(event: Any, context: Any) -> Any:
    """Leave one file for each time that it runs, so that a test can count; answer with the item."""
    path = pathlib.Path(event["folder"]) / f"{uuid.uuid4()}.json"
    # Whole as soon as it is there: the test may look at any time.
    written = path.with_suffix(".part")
    written.write_text(json.dumps(event["item"]))
    written.rename(path)
    return event["item"]


def hold(event: Any, context: Any) -> None:
    """Say by a file that it runs, then keep its place until the test lets go by another file."""
    pathlib.Path(event["started"]).touch()
    give_up = time.monotonic() + HOLD_SECONDS
    while not pathlib.Path(event["release"]).exists() and time.monotonic() < give_up:
        time.sleep(0.02)


def leave(event: Any, context: Any) -> None:
    """End the process in the middle of an invocation."""
    os._exit(event)


def devour(event: Any, context: Any) -> int:
    """Use so many MB of memory, each byte of them."""
    return len(b"x" * (event << 20))


def nothing(event: Any, context: Any) -> None:
    """Return nothing."""


def tell(event: Any, context: Any) -> Any:
    """Answer with what the context says of the invocation."""
    return {
        "arn": context.invoked_function_arn,
        "version": context.function_version,
        "request_id": context.aws_request_id,
        "memory": str(context.memory_limit_in_mb),
        "has_time": 0 < context.get_remaining_time_in_millis() <= 60_000,
        "shop": os.environ.get("SHOP"),
    }


def custom(event: Any, context: Any) -> Any:
    """Answer with what the client context holds for the function."""
    return context.client_context.custom


def sleep(event: Any, context: Any) -> None:
    """Run longer than any timeout of the tests."""
    time.sleep(HOLD_SECONDS)


def letters(event: Any, context: Any) -> str:
    """Answer with so many letters."""
    return "x" * int(event)


def unserializable(event: Any, context: Any) -> Any:
    """Return what JSON cannot hold."""
    return {1}


def trace(event: Any, context: Any) -> str | None:
    """Answer with the trace that the invocation belongs to."""
    return os.environ.get("_X_AMZN_TRACE_ID")
