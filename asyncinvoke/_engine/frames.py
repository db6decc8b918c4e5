"""What the tracebacks of errors may show: frames of this package and of the SDK hold payloads."""

from types import TracebackType

from asyncinvoke.errors import AsyncInvokeError, InvalidRequestError

_PACKAGE = __name__.partition(".")[0]


def forget_frames(error: BaseException) -> None:
    """Drop the traceback of a cancellation or an interrupt.

    The caller's own `TimeoutError` may be raised from it, as `asyncio.timeout` does. Where we were
    waiting is irrelevant then, but the frames there, including the SDK's, hold payloads and keys.
    """
    if not isinstance(error, Exception):
        error.__traceback__ = None


def hide_frames(error: BaseException) -> None:
    """Remove the frames of this package from the traceback of a refusal or an interrupt.

    The user may press Ctrl-C anywhere, and a codec, a key function or an input may raise
    `SystemExit`. Our frames on the way hold the payload. Frames of other code stay: they show where
    the interrupt was raised, and what they hold is not ours. The traceback of any other `Exception`
    is left alone; its frames must not hold a payload in the first place.
    """
    if isinstance(error, Exception) and not isinstance(error, AsyncInvokeError):
        return
    frames: list[TracebackType] = []
    each = error.__traceback__
    while each is not None:
        if not _is_ours(each):
            frames.append(each)
        each = each.tb_next
    shown: TracebackType | None = None
    for frame in reversed(frames):
        frame.tb_next = shown
        shown = frame
    error.__traceback__ = shown


def _is_ours(frame: TracebackType) -> bool:
    module: str = frame.tb_frame.f_globals.get("__name__", "")
    return module.partition(".")[0] == _PACKAGE


def without_frames(error: AsyncInvokeError) -> AsyncInvokeError:
    """Strip an error, and its causes, of their tracebacks.

    The error was not raised to the caller, so its traceback is of no use, but its frames and those
    of its causes hold the payload. An exception raised while encoding an item or determining its
    key may also quote it, so such causes are dropped.
    """
    if isinstance(error, InvalidRequestError):
        error.__cause__ = error.__context__ = None
    seen = set()
    errors: list[BaseException | None] = [error]
    while errors:
        each = errors.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            errors += (each.__cause__, each.__context__)
            errors += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
    return error
