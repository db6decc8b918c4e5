"""The addresses of one name on trio: looked up once for all who wait, and tried in turn.

A DNS lookup needs a thread, which cannot be cancelled. `trio.to_thread` has 40 threads for the
whole program, so while a resolver hangs, 40 abandoned lookups would block all other users of the
pool: file I/O, and lookups of names that could be resolved. So each name has at most one lookup
thread at a time, outside that pool.
"""

import contextlib
import copy
import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import anyio
import trio
from anyio.abc import SocketStream

_Found: TypeAlias = Iterable[tuple[Any, ...]]
"""The result of `getaddrinfo`."""

_HEAD_START = 0.25
"""The delay before the next address is tried, in seconds; Happy Eyeballs (RFC 8305)."""


class Name:
    """A host name and port to connect to repeatedly.

    A lookup's result is shared by the tasks that wait for it, and is not cached, so the next
    connection notices a DNS change.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._is_address = _is_address(host)
        self._asking: _Asking | None = None

    async def connect(self) -> SocketStream:
        """Connect to the first address that accepts.

        Raises:
            OSError: The name has no address, or none accepts; the cause holds the error of each.
        """
        found = [self._host] if self._is_address else _in_turn(await self._look_up())
        return await _first(found, self._port)

    async def _look_up(self) -> _Found:
        question = self._host, self._port, 0, socket.SOCK_STREAM
        resolver = trio.socket.set_custom_hostname_resolver(None)  # the only way to read it
        trio.socket.set_custom_hostname_resolver(resolver)
        if resolver is not None:
            return await trio.socket.getaddrinfo(*question)
        asking = self._asking
        if asking is None:
            asking = _Asking(self._forget)
            trio.lowlevel.start_thread_soon(
                lambda: socket.getaddrinfo(*question), asking.deliver, f"name {self._host}"
            )
            self._asking = asking
        await asking.ended.wait()
        if isinstance(asking.result, Exception):
            raise copy.copy(asking.result)  # a copy with its own traceback for each waiting task
        return asking.result

    def _forget(self) -> None:
        self._asking = None


class _Asking:
    """A lookup in progress."""

    def __init__(self, forget: Callable[[], None]) -> None:
        self.ended = trio.Event()
        self.result: _Found | Exception = ()
        self._forget = forget
        self._token = trio.lowlevel.current_trio_token()

    def deliver(self, found: Any) -> None:
        """Pass the result to the event loop; called in the thread."""
        with contextlib.suppress(trio.RunFinishedError):  # then no task is waiting any more
            self._token.run_sync_soon(self._end, found)

    def _end(self, found: Any) -> None:
        try:
            self.result = found.unwrap()
        except Exception as error:  # noqa: BLE001  # raised by the waiting tasks
            self.result = error.with_traceback(None)
        self._forget()
        self.ended.set()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _in_turn(found: _Found) -> list[str]:
    """Return the addresses, first one of each family, as a whole family may be unreachable."""
    first: dict[object, str] = {}
    others: list[str] = []
    for family, _, _, _, (address, _, *scope) in found:
        named = f"{address}%{scope[1]}" if scope and scope[1] else address
        if first.setdefault(family, named) != named:
            others.append(named)
    return [*first.values(), *others]


async def _first(addresses: Iterable[str], port: int) -> SocketStream:
    errors: list[OSError] = []
    streams: list[SocketStream] = []

    async def connect(address: str, ended: anyio.Event) -> None:
        try:
            streams.append(await anyio.connect_tcp(address, port))
        except OSError as error:
            errors.append(error)
        else:
            tasks.cancel_scope.cancel()
        finally:
            ended.set()

    try:
        async with anyio.create_task_group() as tasks:
            for address in addresses:
                ended = anyio.Event()
                tasks.start_soon(connect, address, ended)
                with anyio.move_on_after(_HEAD_START):
                    await ended.wait()
        if not streams:
            one = errors[0] if len(errors) == 1 else ExceptionGroup("each of them", errors)
            raise OSError("All connection attempts failed") from one
        return streams.pop(0)
    finally:
        errors.clear()
        for stream in streams:
            await anyio.aclose_forcefully(stream)
