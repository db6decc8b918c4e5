"""The virtual environments of the independent programs that the tests talk to.

`make peers` runs this file to create what is missing; the fixtures in `conftest.py` ask it where a
program is. Each program has an environment of its own, because each pins a botocore of its own.
"""

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One independent program in a virtual environment of its own."""

    name: str
    """The distribution's name on PyPI."""
    program: str
    """The command that the distribution installs."""
    environment: Path
    """The folder of the virtual environment."""
    requirements: Path
    """The pinned versions of the distribution and of everything that it needs."""

    @property
    def command(self) -> Path:
        """Where the program is once the environment exists."""
        return self.environment / "bin" / self.program

    @property
    def installed(self) -> bool:
        """Whether the environment is complete and holds the pinned versions."""
        return (
            self.command.exists()
            and self._stamp.exists()
            and self._stamp.read_text() == self.requirements.read_text()
        )

    def install(self) -> None:
        """Make the environment anew.

        Raises:
            subprocess.CalledProcessError: pip failed; it has said why on stderr.
        """
        venv.create(self.environment, clear=True, with_pip=True)
        python = str(self.environment / "bin" / "python")
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", "-r", str(self.requirements)], check=True)
        # Written last, so that an interrupted installation is never taken for a complete one.
        self._stamp.write_text(self.requirements.read_text())

    @property
    def _stamp(self) -> Path:
        return self.environment / "installed.txt"


AWSCLI = Peer(
    name="awscli",
    program="aws",
    environment=CHECKOUT / ".env-clients",
    requirements=HERE / "requirements-awscli.txt",
)
MINISTACK = Peer(
    name="ministack",
    program="ministack",
    environment=CHECKOUT / ".env-ministack",
    requirements=HERE / "requirements-ministack.txt",
)


def main() -> int:
    """Install every peer that is not there yet; the exit status is 1 when one cannot be."""
    for peer in (AWSCLI, MINISTACK):
        if peer.installed:
            print(f"{peer.name}: already installed in {peer.environment.name}")  # noqa: T201
            continue
        print(f"{peer.name}: installing into {peer.environment.name}")  # noqa: T201
        try:
            peer.install()
        except subprocess.CalledProcessError:
            print(f"{peer.name}: pip could not install {peer.requirements.name}", file=sys.stderr)  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
