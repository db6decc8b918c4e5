"""A process that answers each line of JSON with a line of JSON, for use by benchmarks."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHECKOUT = Path(__file__).resolve().parents[1]

# What the clients find, whoever runs the benchmark.
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    # A proxy of the machine could not reach an endpoint on loopback.
    "no_proxy": "127.0.0.1",
}


class Child:
    """A module of this package, running in a separate process until the block ends.

    Args:
        module: The name of the module.
        arguments: Its command-line arguments.
        python: The interpreter to use.
        environment: Additional environment variables.
        checkout: The directory whose packages it imports.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        checkout: Path = CHECKOUT,
    ) -> None:
        self._checkout = checkout
        self._command = [python, "-m", f"benchmarks.{module}", *arguments]
        self._environment = {**_ENVIRONMENT, **(environment or {})}

    def __enter__(self) -> Self:
        inherited = {name: value for name, value in os.environ.items() if name[:4] != "AWS_"}
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self._checkout,
            env={**inherited, **self._environment},
            text=True,
            bufsize=1,
        )
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def ask(self, **question: object) -> dict[str, Any]:
        """Write a question and wait for its answer.

        Raises:
            RuntimeError: The process failed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it may have said why and ended
            self._process.stdin.write(json.dumps(question) + "\n")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._command[1:])} ended before it answered")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer
