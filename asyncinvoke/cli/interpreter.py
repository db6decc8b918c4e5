"""The command line of another interpreter that has the import path of this one."""

import os
import sys

_PROGRAM = (
    "import runpy, sys; sys.path[:] = {path}; del sys.argv[0]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


def command_of(module: str, *words: str) -> list[str]:
    """Return the command that runs a module, as `python -m` does, on the import path of this process.

    `python -m` puts the current directory first on the path: a file there, such as `random.py`, would
    replace the module of that name.

    Args:
        module: The name of the module.
        words: Its arguments.
    """
    # The other one may be started in another directory, where a relative path leads elsewhere.
    path = ascii([os.path.abspath(each) for each in sys.path])
    return [sys.executable, "-P", "-c", _PROGRAM.format(path=path), module, *words]
