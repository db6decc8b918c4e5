"""The connections of one route: opened when none is idle, reused last in, first out."""

import time
from collections.abc import Callable

import anyio

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import Answer
from asyncinvoke._transport.http.connection import CONNECTED, Connection, Limits, Opener, uptime
from asyncinvoke._transport.http.errors import TOO_EARLY, NotOursError, WireError, opening_error
from asyncinvoke._transport.http.streamed_answer import StreamedAnswer


class Connections:
    """The connection pool of one route: an origin, and the proxy on the way to it, if any.

    The pool has no size limit of its own: each exchange gets a connection, and the caller limits
    concurrency. The most recently used connection is reused first, so few stay warm and the others
    time out.
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
        """Create an empty pool.

        Args:
            open: Opens a connection.
            most_body: The maximum size of a body that is read as a whole, in bytes.
            read_timeout: The maximum silence after a request was written, in seconds.
            write_timeout: The maximum time without progress while a request is written, in seconds.
            most_idle: How long a connection may be idle before it is closed, in seconds.
            most_age: The maximum age of a connection when it is reused, in seconds.
        """
        self._open = open
        self._limits = Limits(most_body, read_timeout, write_timeout)
        self._most_idle = most_idle
        self._most_age = most_age
        self._idle: dict[Connection, float] = {}  # idle since; longest idle first
        self._connections: set[Connection] = set()
        self._opening: set[anyio.CancelScope] = set()
        self._call_off_sweep: Callable[[], None] | None = None
        self._is_closed = False

    @property
    def open(self) -> int:
        """The number of open connections, including idle ones."""
        return len(self._connections)

    @property
    def opening(self) -> int:
        """The number of connections being opened."""
        return len(self._opening)

    @property
    def idle(self) -> int:
        """The number of idle connections."""
        return len(self._idle)

    def __repr__(self) -> str:
        return f"<Connections open={self.open} idle={self.idle}>"

    async def exchange(self, head: bytes, body: bytes, progress: Progress) -> Answer:
        """Send a request and read the whole answer.

        Args:
            head: The request line and headers, including the empty line.
            body: The body, with the length given in the head.
            progress: Updated as the exchange proceeds; its deadline is enforced.

        Raises:
            WireError: There is no complete answer; `phase` is the phase reached.
            NotOursError: This route cannot be served by our connections; nothing was sent.
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
                head = body = b""  # keeps the request out of this frame's locals
                raise
            self._give_back(connection)
            return answer

    async def stream(self, head: bytes, body: bytes, progress: Progress) -> StreamedAnswer:
        """Send a request and read the head of the answer; the body is read as it arrives.

        Args:
            head: The request line and headers, including the empty line.
            body: The body, with the length given in the head.
            progress: Updated as the exchange proceeds; its deadline covers the whole answer.

        Raises:
            WireError: There is no answer; `phase` is the phase reached.
            NotOursError: This route cannot be served by our connections; nothing was sent.
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
        """Close all connections and fail the exchanges in progress.

        Exchanges in progress, and any begun later, raise a `WireError` with the fault `CLOSED` and
        their true phase.
        """
        connections = list(self._connections)
        self.end()
        for connection in connections:
            await connection.wait_closed()

    def end(self) -> None:
        """Do the same as `aclose`, without waiting until the connections are closed."""
        self._is_closed = True
        if self._call_off_sweep is not None:
            self._call_off_sweep()
        for scope in self._opening:
            scope.cancel()
        self._idle.clear()
        for connection in list(self._connections):
            connection.end(TransportFault.CLOSED, "the connections were closed")

    def _take(self, progress: Progress) -> Connection | None:
        """Return the most recently used connection that is still usable, or `None`."""
        if self._is_closed or time.monotonic() >= progress.deadline:
            raise self._refusal(progress.phase)
        now = uptime()
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
        """Open a connection before the deadline, and before the pool is closed."""
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
            except Exception as error:  # noqa: BLE001  # converted to a WireError
                failure = opening_error(error)
            finally:
                self._opening.discard(scope)
        if failure is not None:
            try:
                raise failure  # raised outside `except`, so it has no context
            finally:
                del failure  # else it and this frame form a cycle that keeps the payload alive
        if connection is None or self._is_closed:
            if connection is not None:
                connection.abort()
            raise self._refusal(Phase.CONNECTING)
        connection.on_end = self._forget
        self._connections.add(connection)
        # An overloaded peer may accept and close at once: the kernel would accept the request, but
        # nobody would read it. With TLS, session tickets come first: the opener looks behind them.
        if connection.tls() is None and not connection.is_quiet():
            connection.abort()
            raise WireError(TransportFault.CONNECT, Phase.CONNECTING, TOO_EARLY)
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
        self._idle[connection] = uptime()
        if self._call_off_sweep is None:
            self._call_off_sweep = connection.call_later(self._most_idle, self._sweep)

    def _drop(self, connection: Connection | None, error: BaseException) -> bool:
        """Close a connection after an error; return whether to retry on another connection.

        That is safe if the connection closed between the liveness check and the first write.
        """
        if isinstance(error, WireError) or not isinstance(error, Exception):
            # Inner frames hold request data; those of an unexpected error are kept for debugging.
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
        """Close connections that were idle too long; reschedule for the next one to expire."""
        self._call_off_sweep = None
        now = uptime()
        while self._idle:
            connection, since = next(iter(self._idle.items()))
            left = since + self._most_idle - now
            if left > 0:
                self._call_off_sweep = connection.call_later(left, self._sweep)
                return
            del self._idle[connection]
            connection.abort()
