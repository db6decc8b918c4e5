"""Another interpreter, which imports what this one does, in whatever directory it is started."""

import sys

_PROGRAM = (
    "import runpy, sys; sys.path[:] = {path}; del sys.argv[0]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


def command_of(module: str, *words: str) -> list[str]:
    """Return the command that runs a module, as `python -m` does, on the import path of this process.

    `python -m` alone puts the current directory first: a file there, `random.py` perhaps, would be run in
    place of the module of that name.

    Args:
        module: The name of the module.
        words: Its arguments.
    """
    return [sys.executable, "-P", "-c", _PROGRAM.format(path=ascii(sys.path)), module, *words]
