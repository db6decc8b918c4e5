"""For testing code that invokes functions: a fake of Lambda, and waits that take no time.

The names are imported from `_names` on first use, because pytest imports this package at every start
for its plugin.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from asyncinvoke.testing._names import *  # noqa: F403  # exactly its `__all__`
    from asyncinvoke.testing._names import __all__ as __all__
else:

    def __getattr__(name):  # type checkers read the import above
        names = importlib.import_module("asyncinvoke.testing._names")
        if name != "__all__" and name not in names.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(names, name)
