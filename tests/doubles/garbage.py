"""What only the garbage collector has, of what was made within a block: looked at without the rest."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def only_what_is_new() -> Iterator[None]:
    """Keep the collector from running by itself, and from what is there already.

    A whole collection walks every object of every module that is imported, which takes a good part
    of a second after some hundred tests. What is frozen is
    left out, garbage or not.
    """
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def found_by_the_collector() -> list[object]:
    """Return what would be freed by the collector now, and nothing else would free."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return gc.garbage.copy()
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
