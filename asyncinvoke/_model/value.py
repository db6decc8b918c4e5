"""Values that are made for each call: frozen for whoever reads the code, cheap for who runs it."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(cls: type[_T]) -> type[_T]:
    """Make a slotted dataclass that type checkers hold frozen.

    One that is frozen at run time too takes seven times as long to make, since each field is then
    set through `object.__setattr__` (nine fields: 960 ns against 131 to 364). Every invocation makes
    three of these values, so here the type checker is trusted to keep them unchanged. Use it for
    nothing else.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
