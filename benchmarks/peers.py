"""Clients that cannot share an environment with asyncinvoke, each in a separate one.

`python -m benchmarks.peers` creates the missing environments. Clients whose Python is not available,
or that are not installed, are left out of the benchmarks.
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
    """A client in a separate virtual environment."""

    name: str
    """The distribution's name on PyPI."""

    python: tuple[int, int]
    """The oldest Python that it runs on."""

    @property
    def interpreter(self) -> Path | None:
        """The interpreter that can import it, if the pinned versions are installed."""
        made = self._environment / "installed.txt"
        if not made.exists() or made.read_text("utf-8") != self._requirements.read_text("utf-8"):
            return None
        return self._environment / "bin" / "python"

    def install(self, python: str) -> None:
        """Recreate the environment.

        Raises:
            subprocess.CalledProcessError: It failed; venv or pip wrote the reason to stderr.
        """
        subprocess.run([python, "-m", "venv", "--clear", str(self._environment)], check=True)
        pip = [str(self._environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        pip += ["--disable-pip-version-check", "--requirement", str(self._requirements)]
        subprocess.run(pip, check=True)
        # Written last, so that an interrupted installation is never taken for a complete one.
        (self._environment / "installed.txt").write_text(
            self._requirements.read_text("utf-8"), encoding="utf-8"
        )

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
    """Return the interpreters of the installed peers, by name."""
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
    """Create every missing environment; report those that cannot be created."""
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
