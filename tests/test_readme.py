"""The README and its pages: every example runs, and every table is correct."""

import importlib
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import anyio
import pytest

import asyncinvoke
from asyncinvoke import inputs
from asyncinvoke.local import LocalLambda
from tests.doubles.fault_endpoint import FaultEndpoint

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
WHOLE, *OTHERS = EXAMPLES
TESTS = [example for example in OTHERS if "def test_" in example]
PARTS = [example for example in OTHERS if example not in TESTS]


def environment(url: str) -> dict[str, str]:
    return {
        **os.environ,
        "AWS_ENDPOINT_URL_LAMBDA": url,
        "AWS_DEFAULT_REGION": "eu-west-1",
    }


async def run_script(code: str, url: str, folder: Path) -> str:
    script = folder / "example.py"
    script.write_text(code, encoding="utf-8")
    done = await anyio.run_process(
        [sys.executable, str(script)], env=environment(url), cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return done.stdout.decode()


@pytest.mark.anyio
async def test_the_first_example_is_short_and_runs_against_the_local_endpoint(
    tmp_path: Path,
) -> None:
    async def resize(event: dict[str, str], context: object) -> dict[str, str]:
        return {"resized": event["key"]}

    assert len([line for line in WHOLE.splitlines() if line.strip()]) <= 15
    async with LocalLambda(region_name="eu-west-1", account_concurrency=50) as local:
        local.function("resize", resize)
        printed = await run_script(WHOLE, local.url, tmp_path)
        again = await run_script(WHOLE, local.url, tmp_path)
        # The single call is made again; recorded items are not sent again, and their outcomes are
        # yielded.
        assert local.statistics().invocations == 1002
    assert sorted(again.splitlines()) == sorted(printed.splitlines())
    lines = printed.splitlines()
    assert lines[0] == str({"resized": "cat.jpg"})
    assert sorted(lines[1:]) == sorted(str({"resized": f"{n}.jpg"}) for n in range(1000))


@pytest.mark.anyio
@pytest.mark.parametrize("part", PARTS, ids=range(len(PARTS)))
async def test_every_other_example_runs(part: str, anyio_backend: str, tmp_path: Path) -> None:
    code = (
        "import anyio\nimport asyncinvoke\n\n\nasync def main() -> None:\n"
        + textwrap.indent(part, "    ")
        + f"\n\nanyio.run(main, backend={anyio_backend!r})\n"
    )
    async with FaultEndpoint() as endpoint:
        await run_script(code, endpoint.url, tmp_path)


def test_the_example_of_a_test_passes(tmp_path: Path) -> None:
    (example,) = TESTS
    (tmp_path / "test_example.py").write_text(example, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:asyncio", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_every_example_passes_a_users_own_strict_type_checker(tmp_path: Path) -> None:
    code = WHOLE.replace("asyncio.run(main())", "")
    for number, part in enumerate(OTHERS):
        code += f"\n\nasync def part{number}() -> None:\n{textwrap.indent(part, '    ')}"
    (tmp_path / "examples.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "examples.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_error_of_the_tree_is_in_the_table_of_errors() -> None:
    def leaves(error: type[Exception]) -> set[str]:
        below = error.__subclasses__()
        return {error.__name__} if not below else set().union(*map(leaves, below))

    # Load them explicitly, so that the test does not depend on earlier imports.
    importlib.import_module("asyncinvoke.inputs")
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    named = set(re.findall(r"^\| `(\w+Error)` \|", page, re.MULTILINE))
    public = {name for name in (*asyncinvoke.__all__, *inputs.__all__) if name.endswith("Error")}
    # Some are internal to the command line, which prints them in one line.
    assert leaves(asyncinvoke.AsyncInvokeError) & public <= named <= public


def test_the_page_on_retries_names_every_reason_for_giving_up() -> None:
    page = (ROOT / "docs" / "retries.md").read_text("utf-8")
    named = set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", page, re.MULTILINE))
    assert {gave_up.value for gave_up in asyncinvoke.GaveUp} <= named


def test_the_two_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for command in ("make demo", "make test"):
        assert command in README
        assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE)


def test_the_examples_on_limits_build_what_they_say() -> None:
    page = (ROOT / "docs" / "limits.md").read_text("utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert examples
    for example in examples:
        exec(example, {name: getattr(asyncinvoke, name) for name in asyncinvoke.__all__})
