"""Adds the options of a TypedDict to the docstring of each method that takes them.

An option's docstring is written once, under its key. Python drops it there, so it is read from the
source: `help(Invoker.invoke)` shows every option, though its signature says `**options`.
"""

import ast
import inspect
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def documented(options: Any) -> Callable[[F], F]:
    """Add the options to the end of a method's docstring, as its keyword arguments.

    Args:
        options: The TypedDict whose keys the method takes.
    """

    def add(method: F) -> F:
        if method.__doc__ is not None:
            lines = [_entry(name, text) for name, text in docstrings(options).items()]
            shown = "\n".join(["        Keyword Args:", *lines])
            method.__doc__ = f"{method.__doc__.rstrip()}\n\n{shown}\n        "
        return method

    return add


def docstrings(options: Any) -> dict[str, str]:
    """Return the docstring of each key of a TypedDict, those that it inherits included."""
    # What a TypedDict was made from is not known at run time, only all its keys.
    module = import_module(options.__module__)
    described = {
        key: text
        for name, keys in _of_module(options.__module__).items()
        if hasattr(getattr(module, name, None), "__optional_keys__")
        for key, text in keys.items()
    }
    return {key: text for key, text in described.items() if key in options.__optional_keys__}


@cache
def _of_module(name: str) -> dict[str, dict[str, str]]:
    try:
        tree = ast.parse(inspect.getsource(import_module(name)))
    except OSError:  # run from bytecode alone
        return {}
    return {
        node.name: {
            key.target.id: inspect.cleandoc(text.value.value)
            for key, text in zip(node.body, node.body[1:], strict=False)
            if isinstance(key, ast.AnnAssign)
            and isinstance(key.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        }
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def _entry(name: str, text: str) -> str:
    return f"            {name}: " + " ".join(text.split())
