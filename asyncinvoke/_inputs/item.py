"""An item of an input: its position, its key, and the bytes that are sent for it."""

from typing import TYPE_CHECKING, Any, TypeVar

from asyncinvoke._inputs.json_text import NotJsonError, check_json, parse_json
from asyncinvoke._inputs.template import MISSING, PayloadTemplate, Pointer
from asyncinvoke._request.payload import MAX_SYNC_PAYLOAD
from asyncinvoke._request.request import OPTIONS_OF_AN_ITEM, LogTypeName, Request
from asyncinvoke.errors import InvalidRequestError

ItemT = TypeVar("ItemT", bound="Item")


class ItemSpec:
    """How items are created from rows; shared by all items of an input.

    Args:
        key: The pointer to the key in a row, if items have keys.
        template: The template of the payload, if it is not the row itself.
        is_json: Whether rows are known to be valid JSON, because we encoded them.
    """

    def __init__(
        self, key: Pointer | None, template: PayloadTemplate | None, *, is_json: bool
    ) -> None:
        self.key: Pointer | None = key
        self.template: PayloadTemplate | None = template
        self.is_json: bool = is_json


class Item(Request):
    """A row of an input, as yielded by `asyncinvoke.inputs.read`; a map accepts it as a payload.

    An error in a row is raised when its key or payload is accessed, so a map turns it into a failed
    outcome, sends nothing for it, and goes on.
    """

    # Items are created at about a million per second; checking the row, finding the key and filling
    # in the template cost ten times as much. So these are done on access, which happens once, in
    # the worker that sends the item. `Request` is frozen by a `__setattr__` that raises, which
    # would cost as much as everything else: this class is frozen for type checkers only, like the
    # values of `_model`.

    __slots__ = ("_data", "_key", "_spec", "_wrong", "line", "position")

    if not TYPE_CHECKING:  # type checkers see a frozen `Request` without these
        __setattr__ = object.__setattr__
        __delattr__ = object.__delattr__  # else each assignment would look up the parent's
        __eq__ = object.__eq__
        __hash__ = object.__hash__

        # Options that an item never has; as class attributes they cost nothing per item.
        vars().update(dict.fromkeys(OPTIONS_OF_AN_ITEM))

    log_type: LogTypeName | None = None
    has_options: bool = False

    position: int
    """Its index among the items, from 0."""

    line: int | None
    """The line on which the row begins, from 1; `None` if the format has no lines."""

    def __init__(
        self, position: int, line: int | None, data: bytes, wrong: str | None, spec: ItemSpec
    ) -> None:
        self.position = position
        self.line = line
        self._data = data
        self._wrong = wrong
        self._spec = spec
        self._key: str | None = None

    def as_one_of(self, kind: "type[ItemT]") -> "ItemT":
        """Return this item as an instance of a subclass."""
        return kind(self.position, self.line, self._data, self._wrong, self._spec)

    @property
    def payload(self) -> bytes:
        """The payload, in bytes.

        Raises:
            InvalidRequestError: The row is invalid; the message has its line, and quotes no data.
        """
        spec, wrong = self._spec, self._wrong
        if wrong is None:
            data = self._data
            template = spec.template
            try:
                if template is not None:
                    data = template.fill(parse_json(data))
                elif not spec.is_json and self._key is None:  # with a key, it was already parsed
                    check_json(data)
            except (NotJsonError, InvalidRequestError) as error:
                wrong = str(error)
            except RecursionError:
                wrong = "not JSON: nested too deeply"
            else:
                if len(data) <= MAX_SYNC_PAYLOAD:
                    return data
                wrong = too_many(len(data))
            self._wrong = wrong
        raise self._error(wrong)

    @property
    def key(self) -> str | None:
        """The key of the item: the string or number at the key's pointer, or `None` without one.

        Raises:
            InvalidRequestError: The value at the pointer is missing, or not a string or number.
        """
        pointer = self._spec.key
        if pointer is None or self._key is not None:
            return self._key
        wrong = self._wrong
        if wrong is None:
            try:
                found: Any = pointer.of(parse_json(self._data))
            except NotJsonError as error:
                wrong = str(error)
            else:
                if isinstance(found, str) and found:
                    self._key = str(found)
                    return self._key
                wrong = f"the key {pointer.text} is " + (
                    "not there" if found is MISSING else "not a text or a number, or is empty"
                )
            self._wrong = wrong
        raise self._error(wrong)

    @property
    def where(self) -> str:
        """Its location in the input, for messages."""
        return f"item {self.position}" if self.line is None else f"line {self.line}"

    def __repr__(self) -> str:
        return f"<Item position={self.position} line={self.line}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.position, self.line, self._data, self._wrong, self._spec)

    def _error(self, wrong: str) -> InvalidRequestError:
        return InvalidRequestError(f"{self.where}: {wrong}")


def too_many(size: int) -> str:
    """Return the message for a payload that is too large."""
    return f"{size:,} bytes are too many: Lambda takes at most {MAX_SYNC_PAYLOAD:,}"
