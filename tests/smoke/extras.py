"""Installs a wheel with each extra alone, in an environment of its own, and uses what the extra is for.

    python tests/smoke/extras.py dist/asyncinvoke-*.whl

One environment serves all: between two extras it goes back to the core, so that none leans on another.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

CORE = "import asyncinvoke; asyncinvoke.Invoker; asyncinvoke.diagnose"

HANDLER = "def handler(event, context):\n    return event\n"

SERVED = """
import anyio
from asyncinvoke import Invoker
from asyncinvoke.local import LocalLambda

async def echo(event, context):
    return event

async def main():
    async with LocalLambda() as local:
        local.function("echo", ECHO)
        async with Invoker(region_name="us-east-1", endpoint_url=local.url) as invoker:
            assert (await invoker.invoke("echo", [1])).json() == [1]

anyio.run(main, BACKEND)
"""

USES: dict[str, list[tuple[str, ...]]] = {
    "": [("-c", SERVED.replace("ECHO", "echo").replace("BACKEND", ""))],
    "cli": [("-m", "asyncinvoke", "--help"), ("-m", "asyncinvoke", "doctor", "--help")],
    "inputs": [("-c", "import fsspec, zstandard, asyncinvoke.inputs")],
    "otel": [("-c", "from asyncinvoke.otel import OpenTelemetry; OpenTelemetry()")],
    "parquet": [("-c", "import pyarrow.parquet, asyncinvoke.inputs")],
    "s3": [("-c", "import s3fs, asyncinvoke.inputs")],
    "local": [("-c", SERVED.replace("ECHO", '"handlers.py:handler"').replace("BACKEND", ""))],
    "trio": [("-c", SERVED.replace("ECHO", "echo").replace("BACKEND", 'backend="trio"'))],
    "uvloop": [
        (
            "-c",
            SERVED.replace("ECHO", "echo").replace(
                "BACKEND", 'backend_options={"use_uvloop": True}'
            ),
        )
    ],
}
"""What is run with each extra; those that are not listed are imported only."""

MISSING = {"cli": "the command line needs click and rich"}
"""What is said without an extra."""


def main(wheel: Path) -> None:
    """Try each extra that the wheel has."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "handlers.py").write_text(HANDLER)
        venv.create(place / "env", with_pip=True)
        python = place / "env" / "bin" / "python"
        pip: list[object] = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        run(place, *pip, "install", wheel.resolve())
        core = installed(place, python)
        absent = subprocess.run(
            [python, "-m", "asyncinvoke"], cwd=place, capture_output=True, text=True
        )
        if absent.returncode != 2 or MISSING["cli"] not in absent.stderr:
            sys.exit(f"without the extra cli it says: {absent.stderr}")
        for extra in ["", *extras_of(place, python)]:
            if extra:
                run(place, *pip, "install", f"{wheel.resolve()}[{extra}]")
            run(place, python, "-W", "error", "-c", CORE)
            for words in USES.get(extra, []):
                run(place, python, *words)
            run(place, python, "-m", "pip", "check")
            added = installed(place, python) - core
            if added:
                run(place, *pip, "uninstall", "--yes", *sorted(added))
            print(f"{extra or 'no extra'}: works alone", flush=True)


def run(place: Path, *words: object) -> str:
    """Run a command without the settings of the machine; end with what it says if it fails."""
    environment: dict[str, str] | None = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(place),
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "NO_PROXY": "127.0.0.1",
    }
    if "pip" in words:
        environment = None  # it is set up as on this machine
    done = subprocess.run(
        [str(word) for word in words], cwd=place, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def installed(place: Path, python: Path) -> set[str]:
    """Return the names of what is installed."""
    listed = run(place, python, "-m", "pip", "list", "--format", "freeze")
    return {line.partition("==")[0] for line in listed.splitlines()}


def extras_of(place: Path, python: Path) -> list[str]:
    """Return the extras that the installed package has."""
    code = (
        "import importlib.metadata as m;"
        "print(*m.metadata('asyncinvoke').get_all('Provides-Extra') or [], sep='\\n')"
    )
    return run(place, python, "-c", code).split()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
