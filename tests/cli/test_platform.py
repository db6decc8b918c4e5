"""What the command requires of the platform, and its messages if that is missing."""

import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import anyio
import pytest

from asyncinvoke.cli import open_files
from asyncinvoke.cli.errors import CommandError
from asyncinvoke.cli.local import handlers
from asyncinvoke.local import LocalLambda

from .processes import COMMAND


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def test_the_metadata_says_posix_and_no_other_system() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]
    systems = {each for each in project["classifiers"] if each.startswith("Operating System ::")}
    assert systems == {"Operating System :: POSIX", "Operating System :: MacOS"}


def test_on_windows_it_is_one_clear_line() -> None:
    ended = python("import asyncinvoke.cli, sys; sys.platform = 'win32'; asyncinvoke.cli.main()")
    assert ended.returncode == 2
    assert ended.stderr == (
        "asyncinvoke: the command line needs Linux, macOS or another POSIX system "
        "(on Windows: WSL)\n"
    )


def test_no_module_needs_posix_when_it_is_imported() -> None:
    program = """
import pkgutil, select, signal, sys
import asyncinvoke.cli, asyncinvoke.local, click, rich.live
for module, name in ((select, "PIPE_BUF"), (signal, "SIGTERM"), (signal, "SIGINT")):
    delattr(module, name)
sys.modules["resource"] = None
for module in pkgutil.walk_packages(asyncinvoke.cli.__path__, "asyncinvoke.cli."):
    __import__(module.name)
print("imported")
"""
    ended = python(program)
    assert ended.stdout == "imported\n", ended.stderr


@pytest.mark.parametrize(
    ("platform", "says"),
    [
        ("linux", "which is not installed: pip install 'asyncinvoke[cli,local]'"),
        ("darwin", "which is for Linux only"),
    ],
)
def test_without_awss_runtime_it_says_what_to_do(
    platform: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(CommandError) as caught:
        handlers.check_runtime()
    assert says in str(caught.value)
    assert caught.value.status == 2


def test_without_awss_runtime_it_is_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text("def handler(event, context): ...\n")
    program = (
        "import sys; sys.modules['awslambdaric'] = None;"
        "import importlib.util as u; found = u.find_spec;"
        "u.find_spec = lambda name, *a: None if name == 'awslambdaric' else found(name, *a);"
        "from asyncinvoke.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "local", "handlers.py:handler"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(
        "asyncinvoke: error: functions in files run in AWS's own runtime"
    )
    assert ended.stderr.count("\n") == 1


def limited(soft: int, hard: int, program: str) -> str:
    """Return the output of a program in a process with a limit of open files."""
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import resource; from asyncinvoke.cli import open_files; {program}",
        ],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )
    return ended.stdout.strip()


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    program = "open_files.raise_open_files(); print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    assert limited(60, 300, program) == "(300, 300)"


def test_what_can_be_opened_leaves_room_for_all_else() -> None:
    assert 60 < int(limited(100, 100, "print(open_files.openable())")) < 85
    assert limited(20, 100, "print(open_files.openable())") == "1"


def test_with_an_unlimited_hard_limit_it_takes_what_it_can_get(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def set_limit(kind: int, limits: tuple[int, int]) -> None:
        asked.append(limits[0])
        if limits[0] == resource.RLIM_INFINITY:
            raise ValueError("current limit exceeds maximum limit")

    infinite = (256, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: infinite)
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    open_files.raise_open_files()
    assert asked == [resource.RLIM_INFINITY, 10_240]


def test_where_any_number_of_files_may_be_open_nothing_bounds_the_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: infinite)
    assert open_files.openable() is None
    open_files.check_open_files(processes=100)


@pytest.mark.anyio
async def test_more_concurrency_than_files_is_reported_once_and_loses_nothing(
    endpoint: LocalLambda, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("1\n" * 300)
    command = [*COMMAND, "map", "echo", "in.jsonl", "--concurrency", "500"]
    ended = await anyio.run_process(
        ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *command, "--endpoint-url", endpoint.url],
        cwd=tmp_path,
        check=False,
    )
    assert ended.returncode == 0
    warning, summary = ended.stderr.decode().splitlines()
    assert warning.startswith("--concurrency 500 exceeds the limit on open files")
    assert "300 succeeded, 0 failed" in summary
    assert endpoint.statistics().invocations == 300
