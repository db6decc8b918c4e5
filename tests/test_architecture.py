"""The architecture as data: which folder may import which."""

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "asyncinvoke"

# From bottom to top. A room imports from its own floor and from those below.
FLOORS = [
    ("_model", "_recent"),
    ("errors",),
    ("_request", "_clock", "_statistics"),
    ("_retries", "_limits", "_transport", "_telemetry", "_batches", "_inputs", "_outputs"),
    ("_engine",),
    ("_journal",),
    ("_invoker", "_opening", "_function", "_diagnosis", "_otel", "_report"),
    ("__init__", "_names", "inputs", "otel", "runs", "typing"),
    ("_dask",),
    ("local", "testing", "cli", "dask", "__main__"),
]

# Rooms that may import less than their floor allows.
SEES_ONLY = {
    "local": {"local", "_model"},
    "cli": {"cli", "local", "inputs", "_inputs", "_outputs", "runs", "_report", "__init__"},
    "__main__": {"cli"},
}

# The rooms of the endpoint; here a room may only import itself and floors strictly below.
FLOORS_OF_LOCAL = [
    ("protocol", "http", "counters", "numbers"),
    ("limits",),
    ("functions", "faults"),
    ("execution",),
    ("events", "checks"),
    ("management",),
    ("edge",),
    ("service_config",),
    ("service", "background", "handle"),
    ("server",),
    ("__init__",),
]

# Files that only make decisions: no I/O, no clock, no event loop, no random numbers.
DECIDES = [
    "asyncinvoke._batches",
    "asyncinvoke._diagnosis.checks",
    "asyncinvoke._diagnosis.endpoint_checks",
    "asyncinvoke._diagnosis.setup_checks",
    "asyncinvoke._engine.batch_ends",
    "asyncinvoke._engine.buffer",
    "asyncinvoke._engine.calls",
    "asyncinvoke._engine.causes",
    "asyncinvoke._engine.history",
    "asyncinvoke._engine.hopeless",
    "asyncinvoke._engine.payloads",
    "asyncinvoke._engine.shard",
    "asyncinvoke._engine.tolerance",
    "asyncinvoke._inputs.beginning",
    "asyncinvoke._inputs.formats",
    "asyncinvoke._inputs.delimited",
    "asyncinvoke._journal.deciding",
    "asyncinvoke._journal.identity",
    "asyncinvoke._journal.in_doubt",
    "asyncinvoke._journal.merged",
    "asyncinvoke._journal.pending",
    "asyncinvoke._journal.recorded",
    "asyncinvoke._journal.restoring",
    "asyncinvoke._journal.rows",
    "asyncinvoke._journal.schema",
    "asyncinvoke._journal.shards",
    "asyncinvoke._journal.values",
    "asyncinvoke._limits.concurrency",
    "asyncinvoke._limits.limit",
    "asyncinvoke._limits.rate",
    "asyncinvoke._model",
    "asyncinvoke._recent",
    "asyncinvoke._report.facts",
    "asyncinvoke._report.standing",
    "asyncinvoke._request",
    "asyncinvoke._retries",
    "asyncinvoke.cli.map.pace",
    "asyncinvoke.local.checks",
    "asyncinvoke.local.counters",
    "asyncinvoke.local.execution.ending",
    "asyncinvoke.local.faults.player",
    "asyncinvoke.local.faults.steps",
    "asyncinvoke.local.http.access",
    "asyncinvoke.local.limits",
    "asyncinvoke.local.management.describe",
    "asyncinvoke.local.management.request",
    "asyncinvoke.local.management.attached_api",
    "asyncinvoke.local.management.returned",
    "asyncinvoke.local.management.settings",
    "asyncinvoke.local.management.shapes",
    "asyncinvoke.local.numbers",
    "asyncinvoke.local.protocol",
]
ACTS = {
    "aiohttp",
    "anyio",
    "asyncio",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "sqlite3",
    "subprocess",
}
ACTS |= {"tempfile", "time", "uuid"}

# Foreign libraries, each with the rooms that may import it.
FOREIGN = {
    "distributed": {"dask"},  # for an annotation: workers run what they are given
    "aiobotocore": {"_transport", "testing"},
    "aiohttp": {"_transport", "local"},
    "anyio": {
        "_clock",
        "_dask",
        "_transport",
        "_limits",
        "_engine",
        "_journal",
        "_inputs",
        "local",
        "testing",
        "cli",
    },
    "asyncio": {"_transport", "local"},
    "botocore": {"_transport"},
    "click": {"cli"},
    "cloudpickle": {"_dask"},  # Dask's pickler
    "httptools": {"_transport"},
    "fsspec": {"_inputs"},
    "isal": {"_transport"},
    "jinja2": {"_report"},
    "markupsafe": {"_report"},
    "matplotlib": {"_report"},
    "pyarrow": {"_inputs", "_outputs"},
    "opentelemetry": {"_otel", "otel"},
    "pytest": {"testing"},
    "sqlite3": {"_journal"},
    "pytest_asyncio": {"testing"},
    "rich": {"cli"},
    "tenacity": {"_retries"},
    "trio": {"_transport"},
    "typing_extensions": {"_model", "_request", "_function"},  # imported for type checkers only
    "yarl": {"_transport"},
    "zstandard": {"_inputs", "_outputs"},
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imports_of(path: Path) -> Iterator[str]:
    """Return all imported modules, also those inside functions and those for type checkers only."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            for alias in node.names:
                submodule = PACKAGE.parent.joinpath(*node.module.split("."), f"{alias.name}.py")
                yield f"{node.module}.{alias.name}" if submodule.exists() else node.module


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_only_from_its_own_floor_and_below(path: Path) -> None:
    room = room_of(name_of(path))
    for imported in imports_of(path):
        if imported.split(".")[0] != "asyncinvoke":
            continue
        other = room_of(imported)
        assert floor_of(other) <= floor_of(room), f"{room} must not import {imported}"
        if room in SEES_ONLY:
            assert other in SEES_ONLY[room], f"{room} must not import {imported}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "local").rglob("*.py")), ids=name_of)
def test_a_room_of_the_endpoint_imports_only_itself_and_what_is_below(path: Path) -> None:
    floors = {room: number for number, rooms in enumerate(FLOORS_OF_LOCAL) for room in rooms}
    room = (*name_of(path).split("."), "__init__")[2]
    for imported in imports_of(path):
        if imported.startswith("asyncinvoke.local."):
            other = imported.split(".")[2]
            below = floors[other] < floors[room]
            assert other == room or below, f"local's {room} must not import {imported}"


def test_the_endpoint_knows_nothing_of_the_client_but_the_throttle_reasons() -> None:
    for path in sorted((PACKAGE / "local").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("asyncinvoke._"):
                names = [alias.name for alias in node.names]
                assert names == ["ThrottleReason"], f"{path.name} imports {names}"


@pytest.mark.parametrize("prefix", DECIDES)
def test_what_decides_does_not_act(prefix: str) -> None:
    decides = [path for path in modules() if f"{name_of(path)}.".startswith(f"{prefix}.")]
    assert decides, f"{prefix} is not there"
    for path in decides:
        acts = {imported.split(".")[0] for imported in imports_of(path)} & ACTS
        assert not acts, f"{name_of(path)} must not import {acts}"


def test_a_file_that_claims_to_do_no_io_does_none() -> None:
    for path in modules():
        message = str(ast.get_docstring(ast.parse(path.read_text("utf-8")))).splitlines()[0]
        claims = any(
            claim in message for claim in ("on values", "no I/O", "no clock", "pure function")
        )
        if claims and room_of(name_of(path)) != "cli":  # formats text with `time.strftime`
            held = any(f"{name_of(path)}.".startswith(f"{prefix}.") for prefix in DECIDES)
            assert held, f"{name_of(path)} is not in DECIDES: {message}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_foreign_library_stays_in_its_room(path: Path) -> None:
    room = room_of(name_of(path))
    for imported in imports_of(path):
        library = imported.split(".")[0]
        if library in FOREIGN:
            assert room in FOREIGN[library], f"{room} must not import {library}"
        else:
            known = library == "asyncinvoke" or library in sys.stdlib_module_names
            assert known, f"{library} is in no room of the table"


def test_every_room_that_may_know_a_library_uses_it() -> None:
    used: dict[str, set[str]] = {}
    for path in modules():
        for imported in imports_of(path):
            used.setdefault(imported.split(".")[0], set()).add(room_of(name_of(path)))
    assert {library: used.get(library, set()) for library in FOREIGN} == FOREIGN


def graph_of(node_of: Callable[[str], str]) -> dict[str, set[str]]:
    """Return the imports within the package, by module or by room."""
    graph: dict[str, set[str]] = {}
    for path in modules():
        node = node_of(name_of(path))
        imported = {each for each in imports_of(path) if each.startswith("asyncinvoke.")}
        graph.setdefault(node, set()).update(map(node_of, imported))
    return graph


def check_has_no_circle(graph: dict[str, set[str]]) -> None:
    done: set[str] = set()

    def visit(node: str, trail: tuple[str, ...]) -> None:
        assert node not in trail, " -> ".join((*trail, node))
        if node not in done:
            for imported in graph.get(node, ()):
                visit(imported, (*trail, node))
            done.add(node)

    for node in graph:
        visit(node, ())


def test_no_imports_run_in_a_circle() -> None:
    check_has_no_circle(graph_of(lambda module: module))


def test_no_rooms_import_each_other_in_a_circle_on_one_floor_either() -> None:
    graph = graph_of(room_of)
    check_has_no_circle({room: imported - {room} for room, imported in graph.items()})


def test_every_module_begins_with_a_line_that_is_a_sentence() -> None:
    for path in modules():
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        assert docstring, f"{path.name} has no docstring"
        assert docstring.splitlines()[0].endswith((".", ":")), f"{path.name}: {docstring!r}"


def test_the_floors_name_every_room_once_and_none_that_is_not_there() -> None:
    rooms = {room_of(name_of(path)) for path in modules()}
    assert sorted(room for floor in FLOORS for room in floor) == sorted(rooms)


def test_no_file_name_is_in_three_rooms_of_the_core() -> None:
    rooms: dict[str, set[str]] = {}
    for path in modules():
        room = room_of(name_of(path))
        if path.stem != "__init__" and room not in FLOORS[-1]:
            rooms.setdefault(path.stem, set()).add(room)
    assert not {name: found for name, found in rooms.items() if len(found) > 2}


def test_no_test_imports_from_the_benchmarks_but_those_of_them() -> None:
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        if path.name in ("test_benchmarks.py", "test_stale.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            named += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.split(".")[0] == "benchmarks" for name in named), path
