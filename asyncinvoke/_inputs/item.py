"""An item of an input: its position, its key, and the bytes that are sent for it."""

from typing import TYPE_CHECKING, Any, TypeVar

from asyncinvoke._inputs.json_text import NotJsonError, check_json, parse_json
from asyncinvoke._inputs.template import MISSING, Pointer, Template
from asyncinvoke._request.payload import MAX_SYNC_PAYLOAD
from asyncinvoke._request.request import LogTypeName, Request
from asyncinvoke.errors import InvalidRequestError

ItemT = TypeVar("ItemT", bound="Item")


class Making:
    """How the items of an input are made of its rows; one for all of them.

    Args:
        key: Where in a row its key is, if it has one.
        template: What the payload is made with, if it is not the row itself.
        is_json: Whether rows are JSON because we have written them ourselves.
    """

    __slots__ = ("is_json", "key", "template")

    def __init__(self, key: Pointer | None, template: Template | None, *, is_json: bool) -> None:
        self.key: Pointer | None = key
        self.template: Template | None = template
        self.is_json: bool = is_json


class Item(Request):
    """A row of an input, as `asyncinvoke.inputs.read` gives them; a map takes it as it is.

    What is wrong with a row shows when its key or its payload is asked for, so that a map makes it
    a failed outcome, sends nothing for it, and goes on.
    """

    # Items are made a million a second, whoever uses them; checking, naming and filling in cost
    # ten times as much. So these happen when they are asked for, which is once, by the worker that
    # sends the item. `Request` is frozen by a `__setattr__` that raises and would cost as much as
    # all the rest: this class is frozen for type checkers only, as the values of `_model` are.

    __slots__ = ("_data", "_key", "_making", "_wrong", "line", "position")

    if not TYPE_CHECKING:  # they see a frozen `Request` that has none of these
        __setattr__ = object.__setattr__
        __delattr__ = object.__delattr__  # or each assignment would look for the parent's
        __eq__ = object.__eq__
        __hash__ = object.__hash__

        # What an item of an input never has. Class attributes cost nothing for each of them.
        function_name = None
        qualifier = None
        invocation_type = None
        client_context = None
        tenant_id = None
        durable_execution_name = None
        timeout = None
        idempotent = None

    log_type: LogTypeName | None = None
    has_options: bool = False

    position: int
    """Its place among the items, from 0."""

    line: int | None
    """The line of the input that it begins on, from 1; `None` where there are no lines."""

    def __init__(
        self, position: int, line: int | None, data: bytes, wrong: str | None, making: Making
    ) -> None:
        self.position = position
        self.line = line
        self._data = data
        self._wrong = wrong
        self._making = making
        self._key: str | None = None

    def as_one_of(self, kind: "type[ItemT]") -> "ItemT":
        """Return the same item as one of a class derived from this."""
        return kind(self.position, self.line, self._data, self._wrong, self._making)

    @property
    def payload(self) -> bytes:
        """The bytes that are sent.

        Raises:
            InvalidRequestError: The row is wrong; the message names its line, and quotes nothing.
        """
        making, wrong = self._making, self._wrong
        if wrong is None:
            data = self._data
            template = making.template
            try:
                if template is not None:
                    data = template.fill(parse_json(data))
                elif not making.is_json and self._key is None:  # what has a key has been parsed
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
        """What names it: the text or the number that the key's pointer leads to, if there is one.

        Raises:
            InvalidRequestError: There is a pointer, and it leads to nothing of that kind.
        """
        pointer = self._making.key
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
        """Where it stands, in words."""
        return f"item {self.position}" if self.line is None else f"line {self.line}"

    def __repr__(self) -> str:
        return f"<Item position={self.position} line={self.line}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.position, self.line, self._data, self._wrong, self._making)

    def _error(self, wrong: str) -> InvalidRequestError:
        return InvalidRequestError(f"{self.where}: {wrong}")


def too_many(size: int) -> str:
    """Say that a payload is too large."""
    return f"{size:,} bytes are too many: Lambda takes at most {MAX_SYNC_PAYLOAD:,}"
