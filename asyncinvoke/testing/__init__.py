"""For testing code that invokes functions: a fake of Lambda, and waits that take no time."""

# The names are imported from `_names` on first use, because pytest imports this package at every
# start for its plugin.

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncinvoke.testing._names import *  # noqa: F403  # exactly its `__all__`
    from asyncinvoke.testing._names import __all__ as __all__
else:
    del TYPE_CHECKING

    def __getattr__(name):  # type checkers read the import above
        names = _import_module("asyncinvoke.testing._names")
        if name != "__all__" and name not in names.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(names, name)

    def __dir__():  # for `help`, and for completion in a shell
        names = _import_module("asyncinvoke.testing._names")
        return sorted({*globals(), *names.__all__})
