"""The public surface: complete, sorted, documented, and cheap to import."""

import copy
import dataclasses
import importlib
import importlib.metadata
import inspect
import pickle
import pydoc
import subprocess
import sys
import typing as annotations
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import asyncinvoke
from asyncinvoke import typing
from asyncinvoke._engine import options as listed
from asyncinvoke._inputs.item import ItemSpec
from asyncinvoke._inputs.template import PayloadTemplate, Pointer
from asyncinvoke.inputs import Item

MODULES = ["dask", "errors", "inputs", "local", "otel", "runs", "testing", "typing"]
"""The public modules, each of which lists its names."""

HEAVY = ["aiobotocore", "aiohttp", "botocore", "click", "rich", "trio", "uvloop", "httpx2"]


def test_the_public_names_are_sorted_and_exist() -> None:
    assert asyncinvoke.__all__ == sorted(asyncinvoke.__all__)
    for name in asyncinvoke.__all__:
        assert getattr(asyncinvoke, name) is not None


def test_nothing_public_is_left_out_of_all() -> None:
    public = {
        name
        for name, value in vars(asyncinvoke).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(asyncinvoke.__all__)


def test_every_public_class_and_method_has_a_docstring() -> None:
    for name in asyncinvoke.__all__:
        thing = getattr(asyncinvoke, name)
        if not inspect.isclass(thing):
            continue  # an alias has a docstring only in the source
        assert inspect.getdoc(thing), name
        for member, value in vars(thing).items():
            if not member.startswith("_") and callable(value):
                assert inspect.getdoc(value), f"{name}.{member}"


def test_the_version_is_that_of_the_distribution() -> None:
    assert asyncinvoke.__version__ == importlib.metadata.version("asyncinvoke")


def test_where_only_bytecode_is_installed_options_have_no_texts_and_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_source(_: object) -> str:
        raise OSError("could not get source code")

    def method() -> None:
        """Do it."""

    monkeypatch.setattr(inspect, "getsource", no_source)
    listed._of_module.cache_clear()
    try:
        assert listed.docstrings(listed.InvokeOptions) == {}
        assert (listed.documented(listed.InvokeOptions)(method).__doc__ or "").startswith("Do it.")
        method.__doc__ = None  # python -OO
        assert listed.documented(listed.InvokeOptions)(method).__doc__ is None
    finally:
        listed._of_module.cache_clear()


def test_importing_the_core_loads_neither_aws_nor_any_extra() -> None:
    code = f"import sys, asyncinvoke; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_help_of_each_method_shows_every_option_that_it_takes() -> None:
    for method, options in (
        ("invoke", typing.InvokeOptions),
        ("send_event", typing.EventOptions),
        ("dry_run", typing.EventOptions),
        ("stream", typing.StreamOptions),
        ("map", typing.MapOptions),
        ("function", typing.InvokeOptions),
    ):
        shown = inspect.getdoc(getattr(asyncinvoke.Invoker, method)) or ""
        keys: frozenset[str] = options.__optional_keys__
        assert keys
        assert {key for key in keys if f"\n    {key}: " not in shown} == set(), method


@pytest.mark.parametrize("name", MODULES)
def test_each_public_module_lists_its_names(name: str) -> None:
    module = importlib.import_module(f"asyncinvoke.{name}")
    assert module.__all__ == sorted(module.__all__)
    assert all(hasattr(module, each) for each in module.__all__)


def test_all_exceptions_are_names_of_errors() -> None:
    raised = {name for name in asyncinvoke.__all__ if name.endswith("Error")}
    assert {*asyncinvoke.errors.__all__} == raised | {"GaveUp"}


def test_the_public_names_are_imported_when_one_of_them_is_used() -> None:
    code = (
        "import sys, asyncinvoke; before = 'asyncinvoke._names' in sys.modules;"
        "from asyncinvoke import Invoker; print(before, 'asyncinvoke._names' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("module", ["asyncinvoke", "asyncinvoke.testing"])
def test_a_shell_completes_the_public_names_before_one_is_used(module: str) -> None:
    code = (
        f"import {module} as m; shown = dir(m);"
        "print({*m.__all__} <= {*shown}, [n for n in ('importlib', 'typing') if n in shown])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["True", "[]\n"]


def test_help_on_the_module_for_tests_shows_its_names() -> None:
    code = "import pydoc, asyncinvoke.testing; print(pydoc.render_doc(asyncinvoke.testing))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "class InstantClock" in pydoc.plain(done.stdout)


def public() -> dict[str, Any]:
    """All that is public, by its name: classes, functions, values."""
    modules: list[ModuleType] = [asyncinvoke]
    modules += [importlib.import_module(f"asyncinvoke.{name}") for name in MODULES]
    return {f"{m.__name__}.{name}": getattr(m, name) for m in modules for name in m.__all__}


def functions_of(thing: object) -> Iterator[Any]:
    """A function itself; the methods of a class, with the functions behind its properties."""
    members = vars(thing).values() if inspect.isclass(thing) else [thing]
    for member in members:
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", function)  # of a class, or static
        if inspect.isfunction(function):
            yield function


def test_the_annotations_of_all_that_is_public_can_be_evaluated() -> None:
    """With every extra installed; what is not installed may be `Any`."""
    wrong = []
    for name, thing in public().items():
        for each in (*([thing] if inspect.isclass(thing) else []), *functions_of(thing)):
            try:
                annotations.get_type_hints(each)
            except NameError as error:
                wrong.append(f"{name}: {each.__qualname__}: {error}")
    assert wrong == []


def slotted() -> dict[str, Any]:
    """One value of each public dataclass, whatever its fields, and an item of an input."""
    values: dict[str, Any] = {}
    for name, thing in public().items():
        if inspect.isclass(thing) and dataclasses.is_dataclass(thing) and thing is not Item:
            values[name] = made = object.__new__(thing)
            for number, field in enumerate(dataclasses.fields(thing)):
                object.__setattr__(made, field.name, f"value {number}")
    spec = ItemSpec(Pointer("/id"), PayloadTemplate('{"all": "{}"}'), is_json=False)
    values["asyncinvoke.inputs.Item"] = Item(3, 7, b'{"id": "a"}', None, spec)
    return values


def test_every_public_value_is_pickled_by_each_protocol_and_copied() -> None:
    for name, value in slotted().items():
        fields = [each.name for each in dataclasses.fields(value)]
        # A codec may be a lambda, so a response travels without it.
        kept = [each for each in fields if (type(value), each) != (asyncinvoke.Response, "decode")]
        protocols = range(pickle.HIGHEST_PROTOCOL + 1)
        copies = [pickle.loads(pickle.dumps(value, protocol)) for protocol in protocols]
        for each in (*copies, copy.copy(value), copy.deepcopy(value)):
            assert type(each) is type(value), name
            assert [getattr(each, field) for field in kept] == [
                getattr(value, field) for field in kept
            ], name
