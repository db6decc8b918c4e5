"""The connections of one route: opened when none is idle, reused last in, first out."""

import time
from collections.abc import Callable, Mapping

import anyio

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import Answer, Headers
from asyncinvoke._transport.http.connection import CONNECTED, Connection, Limits, Opener
from asyncinvoke._transport.http.errors import NotOursError, WireError, opening_error


class StreamedAnswer:
    """The head of an answer, and its body as it comes.

    What is not received is not read from the socket for long: a slow reader slows its sender.
    """

    def __init__(
        self,
        status: int,
        headers: Headers,
        connection: Connection,
        give_back: Callable[[Connection], None],
    ) -> None:
        self.status = status
        """The HTTP status."""
        self.headers: Mapping[str, str] = headers
        """The headers by name in lower case."""
        self._connection: Connection | None = connection
        self._give_back = give_back

    def __repr__(self) -> str:
        return f"<StreamedAnswer {self.status}>"

    async def receive(self) -> list[bytes]:
        """Return the pieces of the body that have arrived, at least one, or none at its end.

        Raises:
            WireError: The answer ended early, or fell silent, or its time was up. What had arrived
                before was returned before.
        """
        if self._connection is None:
            return []
        return await self._connection.receive()

    async def finish(self) -> None:
        """After the end: give the connection back. Before it: close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._give_back(connection)

    async def aclose(self) -> None:
        """Before the end: close the connection. Safe to call at any time."""
        if self._connection is not None:
            self._connection.abort()
        await self.finish()


class Connections:
    """The connections of one route, that is of one origin and the way there.

    How many there may be is up to whoever calls: each exchange has one to itself. The connection
    used last is used next, so that few stay warm and the others close.
    """

    def __init__(
        self,
        open: Opener,  # noqa: A002  # what it does
        *,
        most_body: int,
        read_timeout: float = 960.0,
        write_timeout: float = 120.0,
        most_idle: float = 12.0,
        most_age: float = 300.0,
    ) -> None:
        """Begin without a connection.

        Args:
            open: Opens a connection.
            most_body: Longest body of a whole answer that is read, in bytes.
            read_timeout: Longest silence after a request was written, in seconds.
            write_timeout: Longest time without a byte of a request being taken, in seconds.
            most_idle: How long a connection may be idle before it is closed, in seconds.
            most_age: How old a connection may be when it is used again, in seconds.
        """
        self._open = open
        self._limits = Limits(most_body, read_timeout, write_timeout)
        self._most_idle = most_idle
        self._most_age = most_age
        self._idle: dict[Connection, float] = {}  # since when; the longest idle first
        self._connections: set[Connection] = set()
        self._opening: set[anyio.CancelScope] = set()
        self._call_off_sweep: Callable[[], None] | None = None
        self._is_closed = False

    @property
    def open(self) -> int:
        """How many connections are open, idle ones included."""
        return len(self._connections)

    @property
    def idle(self) -> int:
        """How many connections are open and wait for a use."""
        return len(self._idle)

    def __repr__(self) -> str:
        return f"<Connections open={self.open} idle={self.idle}>"

    async def exchange(self, head: bytes, body: bytes, progress: Progress) -> Answer:
        """Send a request and read the whole answer.

        Args:
            head: The request line and the headers, with the empty line.
            body: As many bytes as the head says.
            progress: Moved on as the exchange goes; its deadline is kept.

        Raises:
            WireError: There is no answer; `phase` says how far the exchange came.
            NotOursError: Connections of this route are not to be had here, and nothing was sent.
        """
        while True:
            connection = None
            try:
                connection = self._take(progress) or await self._open_one(progress)
                progress.phase = CONNECTED
                answer = await connection.exchange(head, body, progress, self._limits)
            except BaseException as error:
                if self._drop(connection, error):
                    continue
                head = body = b""  # whoever shows this frame shows no request
                raise
            self._give_back(connection)
            return answer

    async def stream(self, head: bytes, body: bytes, progress: Progress) -> StreamedAnswer:
        """Send a request and read the head of the answer; its body is read as it comes.

        Args:
            head: The request line and the headers, with the empty line.
            body: As many bytes as the head says.
            progress: Moved on as the exchange goes; its deadline holds for the whole answer.

        Raises:
            WireError: There is no answer; `phase` says how far the exchange came.
            NotOursError: Connections of this route are not to be had here, and nothing was sent.
        """
        while True:
            connection = None
            try:
                connection = self._take(progress) or await self._open_one(progress)
                progress.phase = CONNECTED
                start = await connection.begin_stream(head, body, progress, self._limits)
            except BaseException as error:
                if self._drop(connection, error):
                    continue
                head = body = b""
                raise
            return StreamedAnswer(*start, connection, self._give_back)

    async def aclose(self) -> None:
        """Close all connections and end what is under way, with its phase as it was.

        Exchanges under way, and those begun later, raise a `WireError` with the fault `CLOSED`.
        """
        connections = list(self._connections)
        self.end()
        for connection in connections:
            await connection.wait_closed()

    def end(self) -> None:
        """The same without waiting until nothing is left of them."""
        self._is_closed = True
        if self._call_off_sweep is not None:
            self._call_off_sweep()
        for scope in self._opening:
            scope.cancel()
        self._idle.clear()
        for connection in list(self._connections):
            connection.end(TransportFault.CLOSED, "the connections were closed")

    def _take(self, progress: Progress) -> Connection | None:
        """Return the connection that was used last and is still good, or none."""
        now = time.monotonic()
        if self._is_closed or now >= progress.deadline:
            raise self._refusal(progress.phase)
        while self._idle:
            connection, since = self._idle.popitem()
            if (
                now < since + self._most_idle
                and now < connection.born + self._most_age
                and connection.is_quiet()
            ):
                return connection
            connection.abort()
        return None

    async def _open_one(self, progress: Progress) -> Connection:
        """Open a connection in the time there is, and not beyond the life of these connections."""
        progress.phase = Phase.CONNECTING
        connection: Connection | None = None
        failure: WireError | None = None
        time_left = progress.deadline - time.monotonic()
        with anyio.CancelScope(deadline=anyio.current_time() + time_left) as scope:
            self._opening.add(scope)
            try:
                connection = await self._open(progress)
            except (WireError, NotOursError):
                raise
            except Exception as error:  # noqa: BLE001  # whatever it is, it becomes one of ours
                failure = opening_error(error)
            finally:
                self._opening.discard(scope)
        if failure is not None:
            try:
                raise failure  # out here it drags no context along
            finally:
                del failure  # or it and this frame would keep each other, and a caller's payload
        if connection is None or self._is_closed:
            if connection is not None:
                connection.abort()
            raise self._refusal(Phase.CONNECTING)
        connection.on_end = self._forget
        self._connections.add(connection)
        # A peer that is full accepts, and hangs up: what is written then reaches nobody, but the
        # kernel takes it. Under TLS there is always something to read, since tickets follow.
        if connection.tls() is None and not connection.is_quiet():
            connection.abort()
            message = "the peer was gone, or spoke, too early"
            raise WireError(TransportFault.CONNECT, Phase.CONNECTING, message)
        return connection

    def _refusal(self, phase: Phase) -> WireError:
        if self._is_closed:
            return WireError(TransportFault.CLOSED, phase, "the connections were closed")
        return WireError(TransportFault.INTERRUPTED, phase, "its time was up")

    def _give_back(self, connection: Connection) -> None:
        if not connection.reusable or self._is_closed:
            connection.abort()
            return
        connection.reused = True
        self._idle[connection] = time.monotonic()
        if self._call_off_sweep is None:
            self._call_off_sweep = connection.call_later(self._most_idle, self._sweep)

    def _drop(self, connection: Connection | None, error: BaseException) -> bool:
        """Close a connection after an error, and return whether another may silently take over.

        That is so where a connection ended between the look at it and the first write.
        """
        if isinstance(error, WireError) or not isinstance(error, Exception):
            # Frames further in hold what was sent; of an error that nobody knows they are needed.
            error.__traceback__ = None
        if not isinstance(error, Exception):
            error.__context__ = None
        if connection is None:
            return False
        connection.abort()
        return (
            connection.reused
            and isinstance(error, WireError)
            and error.phase is CONNECTED
            and error.fault is TransportFault.CONNECTION_LOST
        )

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._idle.pop(connection, None)

    def _sweep(self) -> None:
        """Close what was idle for too long, and come back when the next one will have been."""
        self._call_off_sweep = None
        now = time.monotonic()
        while self._idle:
            connection, since = next(iter(self._idle.items()))
            left = since + self._most_idle - now
            if left > 0:
                self._call_off_sweep = connection.call_later(left, self._sweep)
                return
            del self._idle[connection]
            connection.abort()
