"""Installs a wheel with each extra alone, in a separate environment, and uses the extra.

    .env-dist/bin/python tests/smoke/extras.py dist/asyncinvoke-*.whl

One environment is used for all: between two extras it is reset to the core, so that none depends on
another.
"""

import os
import subprocess
import sys
import tempfile
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

READ = """
import anyio
from asyncinvoke.inputs import read
MAKE

async def main():
    assert [item.payload async for item in read("SOURCE")] == [b'{"id":"a"}']

anyio.run(main)
"""

PACK = "import pathlib, zstandard; pathlib.Path('in.csv.zst').write_bytes(zstandard.compress(b'id\\na\\n'))"
STORE = "import pyarrow, pyarrow.parquet as pq; pq.write_table(pyarrow.table({'id': ['a']}), 'in.parquet')"

CHECKSUMS = """
from isal import isal_zlib
from asyncinvoke._transport.event_stream import crc32
assert crc32 is isal_zlib.crc32
"""

USES: dict[str, list[tuple[str, ...]]] = {
    "": [("-c", SERVED.replace("ECHO", "echo").replace("BACKEND", ""))],
    "cli": [("-m", "asyncinvoke", "--help"), ("-m", "asyncinvoke", "doctor", "--help")],
    "local": [("-c", SERVED.replace("ECHO", '"handlers.py:handler"').replace("BACKEND", ""))],
    "dask": [("-c", "import distributed, asyncinvoke.dask")],
    "otel": [("-c", "import asyncinvoke.otel; asyncinvoke.otel.OpenTelemetry()")],
    "trio": [("-c", SERVED.replace("ECHO", "echo").replace("BACKEND", 'backend="trio"'))],
    "inputs": [("-c", READ.replace("MAKE", PACK).replace("SOURCE", "in.csv.zst"))],
    "parquet": [("-c", READ.replace("MAKE", STORE).replace("SOURCE", "in.parquet"))],
    "s3": [("-c", "import s3fs; s3fs.S3FileSystem(anon=True).call_s3")],
    "report": [("-c", "from asyncinvoke._report.page import check_installed; check_installed()")],
    "streams": [("-c", CHECKSUMS)],
    "uvloop": [
        (
            "-c",
            SERVED.replace("ECHO", "echo").replace(
                "BACKEND", 'backend_options={"use_uvloop": True}'
            ),
        )
    ],
}
"""The programs to run with each extra; extras that are not listed are only imported."""

MISSING = {"cli": "the command line needs click and rich"}
"""The message without an extra."""


def main(wheel: Path) -> None:
    """Test each extra of the wheel."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "handlers.py").write_text(HANDLER, encoding="utf-8")
        uv(place, "venv", "--quiet", "--python", sys.executable, place / "env")
        python = place / "env" / "bin" / "python"
        uv(place, "pip", "install", "--quiet", wheel.resolve())
        core = installed(place)
        absent = subprocess.run(
            [python, "-m", "asyncinvoke"], cwd=place, capture_output=True, text=True
        )
        if absent.returncode != 2 or MISSING["cli"] not in absent.stderr:
            sys.exit(f"without the extra cli it says: {absent.stderr}")
        for extra in ["", *extras_of(place, python)]:
            if extra:
                uv(place, "pip", "install", "--quiet", f"{wheel.resolve()}[{extra}]")
            run(place, python, "-W", "error", "-c", CORE)
            for words in USES.get(extra, []):
                run(place, python, *words)
            uv(place, "pip", "check", "--quiet")
            added = installed(place) - core
            if added:
                uv(place, "pip", "uninstall", "--quiet", *sorted(added))
            print(f"{extra or 'no extra'}: works alone", flush=True)


def uv(place: Path, *words: object) -> str:
    """Run uv, which is installed beside this Python, on the environment."""
    program = Path(sys.executable).with_name("uv")
    environment = {**os.environ, "VIRTUAL_ENV": str(place / "env")}
    return finished(place, environment, program, *words)


def run(place: Path, *words: object) -> str:
    """Run a command without the settings of the machine."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(place),
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "NO_PROXY": "127.0.0.1",
    }
    return finished(place, environment, *words)


def finished(place: Path, environment: dict[str, str], *words: object) -> str:
    """Run a command to its end; exit with its output if it fails."""
    done = subprocess.run(
        [str(word) for word in words], cwd=place, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def installed(place: Path) -> set[str]:
    """Return the names of the installed packages."""
    listed = uv(place, "pip", "list", "--format", "freeze")
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
