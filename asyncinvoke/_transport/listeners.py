"""Whether somebody listens to the SDK's requests who is not the SDK."""

import logging
from typing import Any

from asyncinvoke._transport.arguments import INVOKE, STREAM

_logger = logging.getLogger("asyncinvoke")

# Every event that can see or change an Invoke request or its answer.
_EVENTS = (
    "provide-client-params",
    "before-parameter-build",
    "before-endpoint-resolution",
    "before-call",
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "response-received",
    "before-parse",
    "needs-retry",
    "after-call",
    "after-call-error",
)


class Listeners:
    """The event handlers of a client that are not the SDK's own.

    Args:
        emitter: The client's emitter of events.

    Raises:
        AttributeError: A private name of botocore that this relies on is missing.
    """

    def __init__(self, emitter: Any) -> None:
        self._emitter = emitter._emitter  # noqa: SLF001
        self._seen: object = None
        self._are_there = False
        self.are_there()

    def are_there(self) -> bool:
        """Look whether there are any now."""
        # botocore replaces this cache whenever a handler is registered or removed.
        if self._emitter._lookup_cache is not self._seen:  # noqa: SLF001
            self._seen = self._emitter._lookup_cache  # noqa: SLF001
            foreign = self._first()
            if foreign is not None and not self._are_there:
                _logger.info(
                    "a handler of %s listens to %s: requests go through aiobotocore's own invoke, "
                    "at about four times the CPU of the direct transport",
                    *foreign,
                )
            self._are_there = foreign is not None
        return self._are_there

    def _first(self) -> tuple[str, str] | None:
        for event in _EVENTS:
            handlers = [
                handler
                for operation in (INVOKE, STREAM)
                for handler in self._emitter._handlers.prefix_search(  # noqa: SLF001
                    f"{event}.lambda.{operation}"
                )
            ]
            for handler in handlers:
                module = getattr(getattr(handler, "__func__", handler), "__module__", None) or ""
                if module.split(".")[0] not in ("botocore", "aiobotocore", "asyncinvoke"):
                    return module or repr(handler), event
        return None
