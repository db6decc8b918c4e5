"""Access to the internals of an open invoker."""

from typing import Any

from asyncinvoke import Invoker
from asyncinvoke._engine.waits import GuardedTransport


def transport_of(invoker: Invoker) -> Any:
    """Return the transport of an open invoker, without the guard around it."""
    assert invoker._opened is not None
    transport = invoker._opened.transport
    return transport._transport if isinstance(transport, GuardedTransport) else transport
