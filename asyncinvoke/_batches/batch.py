"""`Batch`: how many items travel in one invocation, and in which shape."""

import hashlib
from dataclasses import KW_ONLY, dataclass, field

from asyncinvoke._batches.custom import CustomFormat
from asyncinvoke._batches.formats import (
    BatchFormat,
    ItemsFormat,
    ListFormat,
    SqsFormat,
    StepFunctionsFormat,
)
from asyncinvoke._batches.shape import Shape, ShapeName
from asyncinvoke._request.numbers import is_whole, whole
from asyncinvoke._request.payload import MAX_SYNC_PAYLOAD, check_plain, encode_json, why_not_json
from asyncinvoke._request.target import show_value
from asyncinvoke.errors import ConfigurationError, InvalidRequestError

SHAPES = ("list", "items", "sqs", "stepfunctions")
"""The names of the built-in shapes."""

_DIGITS = 16
"""The number of hexadecimal digits of the digest of `common`."""

_WITH_COMMON = ("items", "stepfunctions")


@dataclass(frozen=True, slots=True)
class Batch:
    """Sends several items in one invocation, with a single permit, attempt and retry decision.

    A batch is sent when it reaches `items` or `bytes`, or when the input pauses for 50 ms.

    Raises:
        InvalidRequestError: A value is invalid; the message names the value and the rule.
    """

    items: int
    """The maximum number of items."""

    _: KW_ONLY

    bytes: int | None = None
    """The maximum payload size in bytes; by default Lambda's limit, 6,291,456 (1,048,576 for
    events). An item that exceeds it on its own is sent alone."""

    shape: ShapeName | Shape = "list"
    """The format that the function receives and returns: `list`, `items`, `sqs`, `stepfunctions`,
    or an object with `pack` and `unpack`."""

    common: object = field(default=None, repr=False)
    """A value sent with every batch: as `common` in the shape `items`, as `BatchInput` in
    `stepfunctions`, and as the second argument of a custom `pack`. The shapes `list` and `sqs` do
    not support it."""

    def __post_init__(self) -> None:
        for name, number in (("items", self.items), ("bytes", self.bytes)):
            if number is None and name == "bytes":
                continue
            if not is_whole(number, 1):
                raise InvalidRequestError(
                    f"batch {name} {show_value(number)} must be {whole(number, 1)}"
                )
        if self.bytes is not None and self.bytes > MAX_SYNC_PAYLOAD:
            raise InvalidRequestError(
                f"batch bytes {self.bytes} are too many: Lambda takes at most {MAX_SYNC_PAYLOAD}"
            )
        self._check_shape()
        if self.common is not None:
            self._check_common()

    def _check_shape(self) -> None:
        if isinstance(self.shape, str):
            if self.shape not in SHAPES:
                raise InvalidRequestError(
                    f"batch shape {show_value(self.shape)} is not one of {', '.join(SHAPES)}, nor "
                    "an object with pack and unpack"
                )
            return
        for name in ("pack", "unpack"):
            method = getattr(self.shape, name, None)
            if method is None:
                raise InvalidRequestError(
                    f"batch shape {type(self.shape).__name__} must have pack and unpack, or be one "
                    f"of {', '.join(SHAPES)}"
                )
            try:
                check_plain(f"batch shape {name}", method)
            except ConfigurationError as error:
                raise InvalidRequestError(str(error)) from None

    def _check_common(self) -> None:
        if not isinstance(self.shape, str):
            return
        if self.shape not in _WITH_COMMON:
            raise InvalidRequestError(
                f"batch common has no place in the shape {self.shape}: "
                f"{' and '.join(_WITH_COMMON)} have one"
            )
        why = ""
        try:
            encode_json(self.common)
        except Exception as error:  # noqa: BLE001  # a caller's object may raise anything
            why = why_not_json(error)
        if why:
            raise InvalidRequestError(f"batch common cannot be encoded: {why}")


def checked_batch(batch: object) -> Batch | None:
    """Validate the `batch` option; a number is the number of items.

    Raises:
        InvalidRequestError: It is neither a number nor a `Batch`.
    """
    if batch is None or isinstance(batch, Batch):
        return batch
    if isinstance(batch, int) and not isinstance(batch, bool):
        return Batch(batch)
    raise InvalidRequestError(f"batch {show_value(batch)} must be a number of items, or a Batch")


def format_of(batch: Batch) -> BatchFormat:
    """Return the format of a batch's shape."""
    match batch.shape:
        case "list":
            return ListFormat()
        case "items":
            return ItemsFormat(batch.common)
        case "sqs":
            return SqsFormat()
        case "stepfunctions":
            return StepFunctionsFormat(batch.common)
        case _:
            return CustomFormat(batch.shape, batch.common)


def shape_name(batch: Batch) -> str:
    """Return the name of a batch's shape, and a digest of `common`, for the identity of a run.

    Runs whose names differ are different runs, because their functions receive something else. The
    digest is there so that `common`, which may contain a token, is not recorded.
    """
    name = batch.shape if isinstance(batch.shape, str) else type(batch.shape).__qualname__
    if batch.common is None:
        return name
    try:
        encoded = encode_json(batch.common)
    except Exception:  # noqa: BLE001  # a custom shape takes any value
        return name
    return f"{name}, common {hashlib.sha256(encoded).hexdigest()[:_DIGITS]}"
