"""The independent clients: each makes the calls of the matrix and reads the answers."""

import contextlib
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import aiobotocore.session
import anyio
import anyio.to_thread
import boto3
from aiobotocore.config import AioConfig
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from . import readings
from .readings import Reading

REGION = "us-east-1"
REFUSED = 255
"""The exit status of `aws` for a call that the service refuses."""


class Call(Protocol):
    """The part of a case that a client needs."""

    @property
    def operation(self) -> str:
        """The operation, as AWS spells it."""
        ...

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Its arguments, as AWS spells them."""
        ...

    @property
    def members(self) -> Mapping[str, object]:
        """The members of the answer to read, if it is not an invocation."""
        ...


class Boto3:
    """boto3 on urllib3, in worker threads; a context manager that closes its connections."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close every client."""
        for client in self._clients.values():
            client.close()

    async def read(self, url: str, call: Call) -> Reading:
        """Make the call and read the answer."""
        if url not in self._clients:
            once = Config(retries={"total_max_attempts": 1})
            self._clients[url] = boto3.client("lambda", REGION, endpoint_url=url, config=once)
        return await anyio.to_thread.run_sync(self._read, self._clients[url], call)

    @staticmethod
    def _read(client: Any, call: Call) -> Reading:
        try:
            answer = getattr(client, xform_name(call.operation))(**call.arguments)
        except ClientError as error:
            return readings.of_error(error.response)
        if "EventStream" in answer:
            with contextlib.closing(answer["EventStream"]) as events:
                return readings.of_stream(answer, [*events])
        if "Payload" in answer:
            with contextlib.closing(answer["Payload"]) as body:
                return readings.of_invoke(answer, body.read())
        return readings.of_members(answer, call.members)


class Aiobotocore:
    """aiobotocore on aiohttp, with its `AioEventStream`; a context manager like `Boto3`."""

    def __init__(self) -> None:
        self._session = aiobotocore.session.get_session()
        self._stack = contextlib.AsyncExitStack()
        self._clients: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close every client."""
        await self._stack.aclose()

    async def read(self, url: str, call: Call) -> Reading:
        """Make the call and read the answer."""
        if url not in self._clients:
            once = AioConfig(retries={"total_max_attempts": 1})
            made = self._session.create_client("lambda", REGION, endpoint_url=url, config=once)
            self._clients[url] = await self._stack.enter_async_context(made)
        # aiohttp requires a large body to be a file.
        arguments = {
            name: io.BytesIO(value) if isinstance(value, bytes) else value
            for name, value in call.arguments.items()
        }
        try:
            answer = await getattr(self._clients[url], xform_name(call.operation))(**arguments)
        except ClientError as error:
            return readings.of_error(error.response)
        if "EventStream" in answer:
            with contextlib.closing(answer["EventStream"]) as events:
                return readings.of_stream(answer, [event async for event in events])
        if "Payload" in answer:
            async with answer["Payload"] as body:
                return readings.of_invoke(answer, await body.read())
        return readings.of_members(answer, call.members)


class Awscli:
    """The `aws` program, a process for each call.

    It shows neither the HTTP status of an error nor the reason of a throttle.

    Args:
        program: Where it is.
        folder: The folder for its files.
        attempts: The maximum number of attempts.
    """

    hides = frozenset({"status", "reason"})
    """Facts that it does not show for every answer."""

    _ERROR = re.compile(
        r"An error occurred \((\w+)\) when calling the \w+ operation(?: \(reached .*?\))?: (.*)"
    )

    def __init__(self, program: Path, folder: Path, *, attempts: int = 1) -> None:
        self._program = program
        self._folder = folder
        self._attempts = attempts

    async def read(self, url: str, call: Call) -> Reading:
        """Make the call and read the answer."""
        async with anyio.TemporaryDirectory(dir=str(self._folder)) as scratch:
            folder = Path(scratch)
            output = folder / "payload"
            command = [self._program, "lambda", xform_name(call.operation, "-")]
            command += ["--endpoint-url", url, "--region", REGION, "--output", "json"]
            for name, value in call.arguments.items():
                command += [f"--{xform_name(name, '-')}", self._argument(folder, value)]
            if call.operation == "Invoke":
                command.append(output)
            environment = {**os.environ, "AWS_MAX_ATTEMPTS": str(self._attempts)}
            done = await anyio.run_process(command, check=False, env=environment)
            if done.returncode == REFUSED:
                error = self._ERROR.search(done.stderr.decode().strip())
                assert error is not None, done.stderr.decode()
                return {"code": error[1], "message": error[2]}
            assert done.returncode == 0, done.stderr.decode()
            answer = json.loads(done.stdout or b"{}")
            if call.operation == "Invoke":
                return readings.of_invoke(answer, output.read_bytes())
            return readings.of_members(answer, call.members)

    @staticmethod
    def _argument(folder: Path, value: object) -> str:
        if not isinstance(value, bytes):
            return str(value)
        file = folder / "argument"
        file.write_bytes(value)
        return f"fileb://{file}"
