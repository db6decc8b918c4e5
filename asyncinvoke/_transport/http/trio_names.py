"""The addresses of one name on trio: looked up once for all who wait, and tried in turn.

To look a name up takes a thread, which nobody can end. `trio.to_thread` and whatever is built on it
has forty for the whole program, so that forty calls which have given up, while a resolver hangs,
leave none for anybody: no file is read any more, and no name looked up that could be. So there is one
thread for a name at a time, and none of those forty.
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
"""What `getaddrinfo` gives."""

_HEAD_START = 0.25
"""Seconds that an address is tried alone before the next one is; Happy Eyeballs (RFC 8305)."""


class Name:
    """A name and a port, connected to again and again.

    What a lookup finds is for those who wait for it, and is kept for nobody else: a name that has
    moved is found by the next connection.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._is_address = _is_address(host)
        self._asking: _Asking | None = None

    async def connect(self) -> SocketStream:
        """Connect to the first of its addresses that answers.

        Raises:
            OSError: There is none, or none answers; what each came to is its cause.
        """
        found = [self._host] if self._is_address else _in_turn(await self._look_up())
        return await _first(found, self._port)

    async def _look_up(self) -> _Found:
        question = self._host, self._port, 0, socket.SOCK_STREAM
        resolver = trio.socket.set_custom_hostname_resolver(None)  # there is no other way to ask
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
            raise copy.copy(asking.result)  # each who waits has one of its own, with its own frames
        return asking.result

    def _forget(self) -> None:
        self._asking = None


class _Asking:
    """One lookup that is under way."""

    def __init__(self, forget: Callable[[], None]) -> None:
        self.ended = trio.Event()
        self.result: _Found | Exception = ()
        self._forget = forget
        self._token = trio.lowlevel.current_trio_token()

    def deliver(self, found: Any) -> None:
        """Hand on what the thread has found; called within it."""
        with contextlib.suppress(trio.RunFinishedError):  # then nobody waits any more
            self._token.run_sync_soon(self._end, found)

    def _end(self, found: Any) -> None:
        try:
            self.result = found.unwrap()
        except Exception as error:  # noqa: BLE001  # whoever waits raises it
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
    """Return the addresses, one of each family first: all of one may be out of reach."""
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
