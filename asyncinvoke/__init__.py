"""Async, retry-aware invocation of AWS Lambda functions."""

# The names are those of `_names`, which is imported when one of them is first used: pytest loads
# this package at each of its starts, for the plugin in `testing`.

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncinvoke._names import *  # noqa: F403  # exactly those of its `__all__`
    from asyncinvoke._names import __all__ as __all__

    __version__: str
else:
    del TYPE_CHECKING

    def __getattr__(name):
        if name == "__version__":
            # Reading the metadata costs as much time as all the rest.
            return _import_module("importlib.metadata").version("asyncinvoke")
        names = _import_module("asyncinvoke._names")
        # From now on they are found without this function.
        globals().update({each: getattr(names, each) for each in ("__all__", *names.__all__)})
        if name not in globals():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals()[name]

    def __dir__():  # for `help`, and for completion in a shell
        names = _import_module("asyncinvoke._names")
        return sorted({*globals(), "__version__", *names.__all__})
