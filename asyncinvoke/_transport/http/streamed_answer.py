"""An answer whose body is read as it arrives, over a connection that goes back to its pool."""

from collections.abc import Callable, Mapping

from asyncinvoke._transport.http.answer import Headers
from asyncinvoke._transport.http.connection import Connection


class StreamedAnswer:
    """The head of an answer, and its body as it arrives.

    Reading applies backpressure: a slow reader slows the sender down.
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
        """The headers by lower-case name."""
        self._connection: Connection | None = connection
        self._give_back = give_back

    def __repr__(self) -> str:
        return f"<StreamedAnswer {self.status}>"

    async def receive(self) -> list[bytes]:
        """Return the pieces of the body that have arrived, at least one; an empty list at its end.

        Raises:
            WireError: The answer ended early, timed out, or passed its deadline. Everything that
                arrived before is returned before this is raised.
        """
        if self._connection is None:
            return []
        return await self._connection.receive()

    async def finish(self) -> None:
        """Return the connection to the pool after the end of the body, else close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._give_back(connection)

    async def aclose(self) -> None:
        """Close the connection if the body has not ended. Safe to call at any time."""
        if self._connection is not None:
            self._connection.abort()
        await self.finish()
