"""The environments of the independent programs that the tests use.

`python -m tests.independent.peers` (`make peers`) creates what is missing; the fixtures in
`conftest.py` ask it where a program is. Each program has a separate environment, because each pins
another botocore.
"""

import subprocess
import sys
import tarfile
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

from .sdks import Go, JavaScript

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An independent program in a separate virtual environment."""

    name: str
    """The name in messages: usually the distribution's name on PyPI."""
    program: str
    """The command that the distribution installs."""
    environment: Path
    """The folder of the virtual environment."""
    requirements: Path
    """The pinned versions of the distribution and its dependencies."""
    sources: Path | None = None
    """The pinned source distributions whose tests are run."""
    with_us: bool = False
    """Whether to install this package from the checkout."""

    @property
    def command(self) -> Path:
        """The path of the program in the environment."""
        return self.environment / "bin" / self.program

    @property
    def tests(self) -> Path:
        """The folder with the tests of the source distributions, by name and version."""
        return self.environment / "tests"

    @property
    def installed(self) -> bool:
        """Whether the environment is complete and holds the pinned versions."""
        return (
            self.command.exists()
            and self._stamp.exists()
            and self._stamp.read_text("utf-8") == self._pins
        )

    def install(self) -> None:
        """Recreate the environment.

        Raises:
            subprocess.CalledProcessError: pip failed, and wrote the reason to stderr.
        """
        venv.create(self.environment, clear=True, with_pip=True)
        python = str(self.environment / "bin" / "python")
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", "-r", str(self.requirements)], check=True)
        if self.sources is not None:
            with tempfile.TemporaryDirectory() as folder:
                download = ["download", "--quiet", "--no-deps", "--no-binary", ":all:"]
                download += ["--require-hashes", "-r", str(self.sources), "--dest", folder]
                subprocess.run([*pip, *download], check=True)
                for archive in Path(folder).iterdir():
                    _unpack_tests(archive, self.tests)
        if self.with_us:
            subprocess.run(
                [*pip, "install", "--quiet", "--no-deps", "--editable", str(CHECKOUT)], check=True
            )
        # Written last, so that an interrupted installation is never taken for a complete one.
        self._stamp.write_text(self._pins, encoding="utf-8")

    @property
    def _pins(self) -> str:
        sources = self.sources.read_text("utf-8") if self.sources else ""
        return self.requirements.read_text("utf-8") + sources

    @property
    def _stamp(self) -> Path:
        return self.environment / "installed.txt"


def _unpack_tests(archive: Path, folder: Path) -> None:
    """Unpack the tests and their settings only: the code under test is what is installed."""
    with tarfile.open(archive) as bundle:
        wanted = [
            member
            for member in bundle.getmembers()
            if member.name.split("/")[1:2] in (["tests"], ["pyproject.toml"])
        ]
        bundle.extractall(folder, wanted, filter="data")


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
PUBLISHED = Peer(
    name="published tests",
    program="pytest",
    environment=CHECKOUT / ".env-published",
    requirements=HERE / "requirements-published.txt",
    sources=HERE / "sources-published.txt",
)
# All in one environment, because each is only imported by its script, and they agree on a botocore.
TRACERS = Peer(
    name="tracers",
    program="python",
    environment=CHECKOUT / ".env-tracers",
    requirements=HERE / "requirements-tracers.txt",
    with_us=True,
)


def main() -> int:
    """Install every missing peer; the exit status is 1 if one cannot be installed."""
    for peer in (AWSCLI, MINISTACK, PUBLISHED, TRACERS):
        if peer.installed:
            print(f"{peer.name}: already installed in {peer.environment.name}")  # noqa: T201
            continue
        print(f"{peer.name}: installing into {peer.environment.name}")  # noqa: T201
        try:
            peer.install()
        except subprocess.CalledProcessError:
            print(f"{peer.name}: pip could not install {peer.requirements.name}", file=sys.stderr)  # noqa: T201
            return 1
    for sdk in (JavaScript(), Go()):
        if reason := sdk.unavailable():
            print(f"{sdk.name}: left out, as {reason}")  # noqa: T201
            continue
        if sdk.installed:
            print(f"{sdk.name}: already in {sdk.folder.name}")  # noqa: T201
            continue
        print(f"{sdk.name}: installing into {sdk.folder.name}")  # noqa: T201
        try:
            sdk.install()
        except subprocess.CalledProcessError as error:
            print(f"{sdk.name}: {error.cmd[0]} could not install it", file=sys.stderr)  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
