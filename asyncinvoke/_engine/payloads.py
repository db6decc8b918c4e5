"""What the input of a map says of itself before it is read: whether it is one, its keys, its length."""

from collections import UserString
from collections.abc import AsyncIterable, Iterable, Mapping, Sized

from asyncinvoke.errors import InvalidRequestError


def checked(payloads: object) -> AsyncIterable[object] | Iterable[object]:
    """Validate the input of a map.

    Raises:
        InvalidRequestError: The input is not iterable, or is itself a single payload.
    """
    if isinstance(payloads, str | bytes | bytearray | memoryview | Mapping | UserString):
        raise InvalidRequestError(
            f"payloads must be an iterable of payloads, not one {type(payloads).__name__}"
        )
    if isinstance(payloads, AsyncIterable | Iterable):
        return payloads
    raise InvalidRequestError(
        f"payloads must be an iterable or an async iterable, not {type(payloads).__name__}"
    )


def is_keyed(payloads: object, key: object) -> bool:
    """Return whether the items of a map have keys: from its option `key`, or of their own.

    An input that `inputs.read` has opened with `key=` has items with keys of their own.
    """
    return key is not None or getattr(payloads, "has_keys", False) is True


def length_of(payloads: object) -> int | None:
    """Return the number of payloads, if it is known before reading them.

    An object with `__len__` need not have a length: a progress bar around a generator or a loader
    of a stream may raise, and a range may be too long for `len`.
    """
    if not isinstance(payloads, Sized):
        return None
    try:
        return len(payloads)
    except Exception:  # noqa: BLE001  # foreign code may raise anything; the length is optional
        return None
