"""The table of what is red names tests that there are."""

import ast
from pathlib import Path

import pytest

from .conftest import EXPECTED_RED

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", EXPECTED_RED)
def test_each_entry_names_a_test_and_a_promise(name: str) -> None:
    module, _, rest = name.partition("::")
    function = rest.partition("[")[0]
    tree = ast.parse((HERE / f"{module}.py").read_text())
    assert function in {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    issue, _, promise = EXPECTED_RED[name].partition(":")[0].partition(".")
    assert issue.isdecimal()
    assert promise.isdecimal()
