"""Finds objects created in a block that only the garbage collector would free."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def only_what_is_new() -> Iterator[None]:
    """Disable automatic collection, and exclude existing objects.

    A whole collection walks every object of every module that is imported, which takes a good part
    of a second after some hundred tests. Frozen objects are excluded, garbage or not.
    """
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def found_by_the_collector() -> list[object]:
    """Return the objects that only the collector would free."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return gc.garbage.copy()
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
