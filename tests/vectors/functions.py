"""Handlers that produce the recorded answers, as callables and in AWS's runtime."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any


def echo(event: Any, context: Any) -> Any:
    return event


def nothing(event: Any, context: Any) -> None:
    assert event == {}


def tells(event: Any, context: Any) -> list[str]:
    return [context.aws_request_id, context.invoked_function_arn]


def speaks(event: Any, context: Any) -> None:
    sys.stdout.write("printed\n")
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger().info("logged")


def floods(event: Any, context: Any) -> None:
    sys.stdout.write("ä" * 4096)


def raises(event: Any, context: Any) -> None:
    raise Exception("no good")


def sleeps(event: Any, context: Any) -> None:
    time.sleep(event or 0.5)


def exits(event: Any, context: Any) -> None:
    sys.exit(event or None)


def leaves(event: Any, context: Any) -> None:
    os._exit(event or 0)


def is_killed(event: Any, context: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def gives_a_set(event: Any, context: Any) -> set[int]:
    return {1}


def says_too_much(event: Any, context: Any) -> str:
    return "x" * (6_291_556 - 1)


def writes(event: Any, context: Any) -> Iterator[str]:
    yield "one"
    yield "two"


def writes_and_raises(event: Any, context: Any) -> Iterator[str]:
    yield "one"
    raise Exception("no good")
