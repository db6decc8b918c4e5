"""The demo's Lambda function: measures one Python module. Imports nothing of asyncinvoke."""

import ast
import os
import threading
import warnings
from typing import Any

# Old code in the standard library's tests; what it warns of is not the question here.
warnings.simplefilter("ignore")

# Python 3.11 counts the depth of all threads' parsers together, and takes that for a fault of its
# own. In this process the function runs in threads; in AWS's runtime it is alone.
_PARSING = threading.Lock()

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def handler(event: dict[str, str], context: object) -> dict[str, Any]:  # noqa: ARG001
    """Measure the module in `event`: `{"name": ..., "source": ...}`.

    Where the environment names a ledger, this run is written into it, as a charge would be.
    """
    return charged(event, os.environ.get("LEDGER"))


def charged(event: dict[str, str], ledger: str | None) -> dict[str, Any]:
    """Write a run into the ledger, if there is one, and measure."""
    if ledger is not None:
        with open(ledger, "a", encoding="utf-8") as file:
            file.write(f"{event['name']}\n")
    return measure(event["name"], event["source"])


def measure(name: str, source: str) -> dict[str, Any]:
    """Count lines, functions, classes and imports, and find the longest function.

    A module that is no valid Python, such as the standard library keeps for its tests, is a result
    too: `unparsable` is 1.
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
