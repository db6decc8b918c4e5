"""An answer whose body is read as it comes."""

from collections.abc import Callable, Mapping

from asyncinvoke._transport.http.answer import Headers
from asyncinvoke._transport.http.connection import Connection


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

    async def receive(self) -> bytes:
        """Return the next piece of the body as it has arrived, or nothing at its end.

        Raises:
            WireError: The answer ended early, or fell silent, or its time was up. What had arrived
                before was returned before.
        """
        if self._connection is None:
            return b""
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
