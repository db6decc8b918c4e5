"""The demo's Lambda function: measures one Python module. Imports nothing of asyncinvoke."""

import ast
import os
import threading
import warnings
from typing import Any

# Warnings about old code in the standard library's tests do not matter here.
warnings.simplefilter("ignore")

# Python 3.11 adds up the parser's recursion depth over all threads and raises if it is too large.
# In this process the function runs in threads; in AWS's runtime it has a process to itself.
_PARSING = threading.Lock()

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def handler(event: dict[str, str], context: object) -> dict[str, Any]:  # noqa: ARG001
    """Measure the module in `event`: `{"name": ..., "source": ...}`.

    If the environment variable LEDGER is set, the run is appended to that file, as a charge would be.
    """
    return charged(event, os.environ.get("LEDGER"))


def charged(event: dict[str, str], ledger: str | None) -> dict[str, Any]:
    """Append the run to the ledger, if there is one, and measure."""
    if ledger is not None:
        with open(ledger, "a", encoding="utf-8") as file:
            file.write(f"{event['name']}\n")
    return measure(event["name"], event["source"])


def measure(name: str, source: str) -> dict[str, Any]:
    """Count lines, functions, classes and imports, and find the longest function.

    For a module that is not valid Python, such as some test fixtures of the standard library,
    `unparsable` is 1.
    """
    measures: dict[str, Any] = {
        "name": name,
        "lines": len(source.splitlines()),
        "functions": 0,
        "classes": 0,
        "imports": 0,
        "unparsable": 0,
        "longest": None,
    }
    try:
        with _PARSING:
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        measures["unparsable"] = 1
        return measures
    longest = 0
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS):
            measures["functions"] += 1
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > longest:
                longest = length
                measures["longest"] = {"name": f"{name}.{node.name}", "lines": length}
        elif isinstance(node, ast.ClassDef):
            measures["classes"] += 1
        elif isinstance(node, ast.Import | ast.ImportFrom):
            measures["imports"] += 1
    return measures
