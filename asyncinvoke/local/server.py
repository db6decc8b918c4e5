"""`LocalLambda`: the endpoint as users hold it. Wires the parts together; decides nothing."""

import functools
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from asyncinvoke.local import functions
from asyncinvoke.local.functions import Handler, LocalFunction
from asyncinvoke.local.listener import HOST
from asyncinvoke.local.loops import Home, current_home
from asyncinvoke.local.service import Service
from asyncinvoke.local.statistics import LocalStatistics


class LocalLambda:
    """An embedded Lambda endpoint that runs real handlers, on loopback only.

    It speaks the service's wire protocol to any AWS SDK; point the SDK's endpoint URL at `url`.
    It checks no signature. Enter it once, on asyncio or trio; it serves on asyncio's loop, on trio
    from a thread. On leaving the block it stops accepting, cancels what runs, drops queued Events
    and ends its worker processes.

    Args:
        account_concurrency: Executions that may run at once (AWS's default quota is 1,000).
        port: The TCP port; 0 takes a free one.
        region_name: The region it says it is in.
        account_id: The account it says it is, twelve digits.

    Raises:
        ValueError: For a limit, port, region or account id out of range.
    """

    def __init__(
        self,
        *,
        account_concurrency: int = 1000,
        port: int = 0,
        region_name: str = "us-east-1",
        account_id: str = "123456789012",
    ) -> None:
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65_535:
            raise ValueError(f"port={port!r} must be a whole number from 0 to 65535")
        if not (len(account_id) == 12 and account_id.isascii() and account_id.isdigit()):
            raise ValueError(f"account_id={account_id!r} must be twelve digits")
        if not region_name:
            raise ValueError("region_name must not be empty")
        self._port = port
        self._region_name = region_name
        self._account_id = account_id
        self._service = Service(
            account_concurrency=account_concurrency,
            region_name=region_name,
            account_id=account_id,
        )
        self._home: Home | None = None
        self._entered = False

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, once the block is entered."""
        if not self._entered:
            raise RuntimeError("LocalLambda has no url before its block is entered")
        return f"http://{HOST}:{self._port}"

    @property
    def account_concurrency(self) -> int:
        """Executions that may run at once; may be set while the endpoint runs.

        Raises:
            ValueError: On setting it below what functions have reserved.
        """
        return self._service.admission.account_concurrency

    @account_concurrency.setter
    def account_concurrency(self, limit: int) -> None:
        self._service.set_account_concurrency(limit)

    def function(
        self,
        name: str,
        handler: Handler | str,
        *,
        reserved_concurrency: int | None = None,
        timeout: float = 3,
        memory_size: int = 128,
        environment: Mapping[str, str] | None = None,
        directory: str | Path | None = None,
    ) -> LocalFunction:
        """Register a function, before the block is entered or inside it.

        Args:
            name: 1 to 64 letters, digits, hyphens or underscores.
            handler: A callable `handler(event, context)` that runs in this process, async on the
                endpoint's loop, sync in a thread. Or `"module:function"` or
                `"path/to/file.py:function"`, which runs in AWS's own runtime in worker processes
                (needs the extra `local`).
            reserved_concurrency: Executions that it may run at once, set apart from the account's;
                None shares the account's; 0 throttles every call.
            timeout: Seconds for one execution, up to 900 (AWS's default is 3). An async handler is
                cancelled, a worker process killed, a thread abandoned.
            memory_size: MB that the context names (AWS's default is 128). Not enforced.
            environment: Environment variables for worker processes.
            directory: Where worker processes import the module from; default is the current one.

        Raises:
            ValueError: If a value is out of range, the name is taken, or there is no such file.
            ModuleNotFoundError: If the handler needs AWS's runtime and that is not installed.
        """
        config = functions.check(
            name=name,
            handler=handler,
            timeout=timeout,
            memory_size=memory_size,
            environment=environment,
            directory=directory,
            region_name=self._region_name,
            account_id=self._account_id,
        )
        service = self._service
        service.register(config, reserved_concurrency)
        return LocalFunction(
            config,
            get_reserved=functools.partial(service.admission.reserved, name),
            set_reserved=functools.partial(service.set_reserved_concurrency, name),
        )

    def statistics(self) -> LocalStatistics:
        """Give a frozen snapshot of what has arrived and run so far; also after the block."""
        return self._service.statistics()

    async def __aenter__(self) -> Self:
        """Start to listen.

        Raises:
            OSError: If the port is in use.
            RuntimeError: If it was entered before.
        """
        if self._entered:
            raise RuntimeError("a LocalLambda can be entered once; make a new one")
        home = current_home()
        self._port = await home.start(functools.partial(self._service.serve, self._port))
        self._entered = True
        self._home = home
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End everything that the endpoint started, and wait for it."""
        home = self._home
        if home is not None:
            with anyio.CancelScope(shield=True):
                self._service.stop()
                self._home = None
                await home.join()

    def __repr__(self) -> str:
        state = self.url if self._home else "closed" if self._entered else "not started"
        return f"<LocalLambda {state} account_concurrency={self.account_concurrency}>"
