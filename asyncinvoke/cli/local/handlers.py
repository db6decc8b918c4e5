"""The handlers to serve: named by the options or a file, and checked to exist and to run.

If the source does not show that a name is bound, the module is imported in a separate process.
"""

import os
import re
import subprocess
import symtable
import sys
import tokenize
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from asyncinvoke.cli.errors import CommandError

_NAMED = re.compile(r"(?:(?P<name>[a-zA-Z0-9-_]+)=)?(?P<handler>.+)", re.DOTALL)


def served(functions: tuple[str, ...]) -> dict[str, str]:
    """Return handlers by name, from `NAME=HANDLER` or `HANDLER`, which uses the function's name.

    Raises:
        CommandError: Two functions have the same name.
    """
    handlers: dict[str, str] = {}
    for text in functions:
        match = _NAMED.fullmatch(text)
        handler = match["handler"] if match else text
        name = match["name"] if match and match["name"] else handler.rpartition(":")[2]
        if name in handlers:
            raise CommandError(f"two functions are named {name}: rename one with NAME={handler}")
        handlers[name] = handler
    return handlers


def handlers_in(handlers: Mapping[str, str], config: str | None) -> dict[str, str]:
    """Return the handlers in a configuration file, with paths relative to the current directory."""
    folder = Path(config or "").parent
    return {
        name: str(folder / handler) if handler.rpartition(":")[0].endswith(".py") else handler
        for name, handler in handlers.items()
    }


def check_handler(handler: str) -> None:
    """Check `file.py:function` or `module:function`, relative to the current directory.

    Raises:
        CommandError: The file or module does not exist, has a syntax error, or does not define the
            function.
    """
    module, separator, function = handler.rpartition(":")
    if not (separator and module and function.isidentifier()):
        raise CommandError(f"{handler!r} must be FILE.py:FUNCTION or MODULE:FUNCTION")
    path = Path(module if module.endswith(".py") else module.replace(".", "/") + ".py")
    if path.is_file():
        _check_binding(path, function)
    elif module.endswith(".py"):
        raise CommandError(f"cannot read {module}: no such file")
    elif not Path(module.replace(".", "/"), "__init__.py").is_file() and not _is_installed(module):
        raise CommandError(f"no module named {module!r}")


def check_runtime() -> None:
    """Check that AWS's own runtime (awslambdaric), which runs handlers from files, is installed.

    Raises:
        CommandError: It is not installed, or not available for this system.
    """
    if find_spec("awslambdaric") is not None:
        return
    what = "functions in files run in AWS's own runtime (awslambdaric), which"
    if sys.platform == "linux":
        raise CommandError(f"{what} is not installed: pip install 'asyncinvoke[cli,local]'")
    raise CommandError(f"{what} is for Linux only: use a container, or a Linux machine")


def _check_binding(path: Path, function: str) -> None:
    try:
        with tokenize.open(path) as file:  # a file may name its encoding, and begin with a BOM
            table = symtable.symtable(file.read(), str(path), "exec")
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error
    except SyntaxError as error:
        where = path if error.lineno is None else f"{path}, line {error.lineno}"
        raise CommandError(f"{where}: syntax error: {error.msg}") from error
    except ValueError as error:
        raise CommandError(f"{path} is not Python source: {error}") from error
    try:
        symbol = table.lookup(function)
    except KeyError:
        bound = False
    else:
        bound = symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    if not bound and not _is_bound_when_imported(path, function):
        raise CommandError(f"{path} has no function {function!r}")


_PROBE = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
try:
    module = importlib.import_module(sys.argv[2])
except BaseException:
    sys.exit(0)  # each invocation will report the error
sys.exit(0 if hasattr(module, sys.argv[3]) else 3)
"""

_IMPORT_TIMEOUT = 30.0
"""Seconds to wait for the import; after that the name is assumed to be bound."""


def _is_bound_when_imported(path: Path, function: str) -> bool:
    """Return whether importing a module binds a name, such as by `import *`."""
    command = [sys.executable, "-c", _PROBE, str(path.parent.resolve()), path.stem, function]
    try:
        ended = subprocess.run(  # noqa: S603  # this interpreter, importing the module to serve
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_IMPORT_TIMEOUT,
            env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
        )
    except subprocess.TimeoutExpired:
        return True
    return ended.returncode != 3


def _is_installed(module: str) -> bool:
    # Only the top level: finding a submodule would import its parent.
    return find_spec(module.partition(".")[0]) is not None
