"""AWS's SDKs for JavaScript and Go: their installation, and how they read many calls.

Neither comes with Python: if `unavailable` names something that a machine lacks, the tests are
skipped for that reason. One process makes all calls of a test, because starting it takes long.
"""

import base64
import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import readings
from .readings import Reading

if TYPE_CHECKING:
    from .clients import Call

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]

NODE = 20
"""The oldest supported version of Node.js."""

GOCODE = Path("/usr/share/gocode")
"""The folder of the sources of Go libraries from Debian's packages."""

DEBIAN = "golang-go golang-github-aws-aws-sdk-go-v2-dev"
"""Debian's packages of the compiler and the SDK."""

_BYTES = ("Payload", "InvokeArgs")


class JavaScript:
    """`@aws-sdk/client-lambda`, as npm installs it from the lock file."""

    name = "the SDK for JavaScript"
    folder = CHECKOUT / ".env-javascript"

    def unavailable(self) -> str | None:
        """Return what this machine lacks for it, or None."""
        if shutil.which("npm") is None or (version := _version_of_node()) is None:
            return "there is no Node.js with npm here"
        return None if version >= NODE else f"it needs Node.js {NODE}; here is {version}"

    @property
    def installed(self) -> bool:
        """Whether it is installed as the lock file pins it."""
        stamp = self.folder / "installed.txt"
        return stamp.exists() and stamp.read_bytes() == self._lock.read_bytes()

    def install(self) -> None:
        """Reinstall it.

        Raises:
            subprocess.CalledProcessError: npm failed, and wrote the reason to stderr.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "javascript" / name, self.folder)
        _run(
            "npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", cwd=self.folder
        )
        shutil.copy(self._lock, self.folder / "installed.txt")

    def command(self, script: str = "calls.cjs") -> list[str]:
        """Return the command that runs a script with it."""
        return ["node", str(HERE / "javascript" / script), str(self.folder)]

    @property
    def _lock(self) -> Path:
        return HERE / "javascript" / "package-lock.json"


class Go:
    """`aws-sdk-go-v2`, as Debian packages it, without the module proxy."""

    name = "the SDK for Go"
    folder = CHECKOUT / ".env-go"

    def unavailable(self) -> str | None:
        """Return what this machine lacks for it, or None."""
        if shutil.which("go") is None:
            return f"there is no Go here (on Debian: apt-get install {DEBIAN})"
        if not (GOCODE / "src/github.com/aws/aws-sdk-go-v2/service/lambda").is_dir():
            return f"its sources are not in {GOCODE} (on Debian: apt-get install {DEBIAN})"
        return None

    @property
    def installed(self) -> bool:
        """Whether the program is built from the current source."""
        stamp = self.folder / "built.txt"
        return stamp.exists() and stamp.read_bytes() == self._source.read_bytes()

    def install(self) -> None:
        """Build the program.

        Raises:
            subprocess.CalledProcessError: The compiler failed, and wrote the reason to stderr.
        """
        self.folder.mkdir(exist_ok=True)
        cache = self.folder / "cache"
        settings = {"GO111MODULE": "off", "GOPATH": str(GOCODE), "GOCACHE": str(cache)}
        settings |= {"GOFLAGS": "", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        _run("go", "build", "-o", *self.command(), str(self._source), settings=settings)
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copy(self._source, self.folder / "built.txt")

    def command(self) -> list[str]:
        """Return the command that makes calls with it."""
        return [str(self.folder / "calls")]

    @property
    def _source(self) -> Path:
        return HERE / "golang" / "calls.go"


def read_all(command: Sequence[str], urls: Sequence[str], calls: Sequence["Call"]) -> list[Reading]:
    """Make calls in sequence, each to its URL, in one process; read the answers."""
    asked = [
        {
            "url": url,
            "operation": call.operation,
            "arguments": {
                name: _encoded(value) if name in _BYTES else value
                for name, value in call.arguments.items()
            },
        }
        for url, call in zip(urls, calls, strict=True)
    ]
    done = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answered = json.loads(done.stdout)
    return [_reading(call, said) for call, said in zip(calls, answered, strict=True)]


def _reading(call: "Call", said: dict[str, Any]) -> Reading:
    if "error" in said:
        return {fact: value for fact, value in said["error"].items() if value is not None}
    answer = {name: value for name, value in said["answer"].items() if value is not None}
    if call.operation == "Invoke":
        return readings.of_invoke(answer, base64.b64decode(answer.get("Payload", "")))
    if "EventStream" in answer:
        for event in answer["EventStream"]:
            if "PayloadChunk" in event:
                piece = event["PayloadChunk"]
                piece["Payload"] = base64.b64decode(piece["Payload"])
        return readings.of_stream(answer, answer["EventStream"])
    return readings.of_members(answer, call.members)


def _encoded(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


@functools.cache
def _version_of_node() -> int | None:
    if shutil.which("node") is None:
        return None
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.", said)
    return int(found[1]) if found else None


def _run(*command: str, cwd: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
    subprocess.run(command, cwd=cwd, env=os.environ | dict(settings or {}), check=True)
