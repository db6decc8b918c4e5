"""Clients that cannot share an environment with asyncinvoke, each in one of its own.

`python -m benchmarks.peers` makes the environments that are missing. A client whose Python is not
at hand is left out, and so is one that was never installed: the benchmarks go on without it.
"""

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.child import CHECKOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A client in a virtual environment of its own."""

    name: str
    """The distribution's name on PyPI."""

    python: tuple[int, int]
    """The oldest Python that it runs on."""

    @property
    def interpreter(self) -> Path | None:
        """The Python that can import it, if it is installed in the pinned versions."""
        made = self._environment / "installed.txt"
        if not made.exists() or made.read_text() != self._requirements.read_text():
            return None
        return self._environment / "bin" / "python"

    def install(self, python: str) -> None:
        """Make the environment anew.

        Raises:
            subprocess.CalledProcessError: It could not be made; venv or pip has said why on stderr.
        """
        subprocess.run([python, "-m", "venv", "--clear", str(self._environment)], check=True)
        pip = [str(self._environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        pip += ["--disable-pip-version-check", "--requirement", str(self._requirements)]
        subprocess.run(pip, check=True)
        # Written last, so that an interrupted installation is never taken for a complete one.
        (self._environment / "installed.txt").write_text(self._requirements.read_text())

    @property
    def _environment(self) -> Path:
        return CHECKOUT / f".env-bench-{self.name}"

    @property
    def _requirements(self) -> Path:
        return Path(__file__).with_name(f"requirements-{self.name}.txt")


PEERS = (
    # Its newest release wants an older aiobotocore than asyncinvoke does.
    Peer(name="aioboto3", python=(3, 11)),
    Peer(name="aws-sdk-lambda", python=(3, 12)),
)


def installed() -> dict[str, str]:
    """Return the interpreters of the peers that are there, by name."""
    return {peer.name: str(peer.interpreter) for peer in PEERS if peer.interpreter is not None}


def _find_python(oldest: tuple[int, int], wanted: str | None) -> str | None:
    newer = [f"python3.{minor}" for minor in range(oldest[1], oldest[1] + 4)]
    for candidate in filter(None, [wanted, sys.executable, *newer]):
        found = shutil.which(candidate)
        # A name on the path may be a shim for a version that is not there.
        test = f"import sys, venv; sys.exit(sys.version_info < {oldest})"
        if found is None:
            continue
        tested = subprocess.run([found, "-c", test], capture_output=True, check=False)
        if tested.returncode == 0:
            return found
    return None


def main() -> None:
    """Make every environment that is missing; one that cannot be made is reported."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", help="an interpreter to prefer, for one of at least 3.12")
    options = parser.parse_args()
    for peer in PEERS:
        if peer.interpreter is not None:
            print(f"{peer.name}: already installed")
            continue
        python = _find_python(peer.python, options.python)
        if python is None:
            oldest = ".".join(map(str, peer.python))
            print(f"{peer.name}: left out, there is no Python {oldest} or newer")
            continue
        try:
            peer.install(python)
        except subprocess.CalledProcessError:
            sys.exit(f"{peer.name}: it could not be installed")
        print(f"{peer.name}: installed")


if __name__ == "__main__":
    main()
