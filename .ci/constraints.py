"""Writes constraints.txt from uv.lock: `make lock`; with `--check` it only compares them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILE = ROOT / "constraints.txt"
HEAD = "# Versions that the tests are run with; make uses them, the package does not. From uv.lock: make lock\n"


def main() -> None:
    """Write the file, or exit with an error if it is out of date."""
    uv = Path(sys.executable).with_name("uv")
    words = ["export", "--quiet", "--frozen", "--all-extras", "--all-groups", "--no-hashes"]
    words += ["--no-emit-project", "--no-annotate", "--no-header"]
    done = subprocess.run([uv, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    text = HEAD + done.stdout
    if "--check" not in sys.argv:
        FILE.write_text(text, encoding="utf-8")
    elif FILE.read_text("utf-8") != text:
        sys.exit("constraints.txt is not what uv.lock says: run `make lock`")


if __name__ == "__main__":
    main()
