"""Async, retry-aware invocation of AWS Lambda functions.

The names are those of `_names`, which is imported when one of them is first used: pytest loads this
package at each of its starts, for the plugin in `testing`.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from asyncinvoke._names import *  # noqa: F403  # exactly those of its `__all__`
    from asyncinvoke._names import __all__ as __all__

    __version__: str
else:

    def __getattr__(name):
        if name == "__version__":
            # Reading the metadata costs as much time as all the rest.
            return importlib.import_module("importlib.metadata").version("asyncinvoke")
        names = importlib.import_module("asyncinvoke._names")
        # From now on they are found without this function.
        globals().update({each: getattr(names, each) for each in ("__all__", *names.__all__)})
        if name not in globals():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals()[name]
