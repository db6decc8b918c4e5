"""Runs MiniStack, an independent Lambda server, for the duration of a block.

Called by the fixtures in `conftest.py`. It listens on loopback only, keeps its files in a given
folder, and leaves no process behind, even if the block fails or the test process is killed.
"""

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

# The shell leads a process group that holds MiniStack and its workers. It waits for the
# end of its standard input, when the test process closes it or dies, and then kills the group by
# SIGKILL, because on SIGTERM MiniStack would first wait for running functions.
GUARD = '"$0" </dev/null & read -r _; kill -KILL $!; wait $!; kill -KILL 0'
START_SECONDS = 60.0


@contextlib.contextmanager
def running(program: Path, folder: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """Start MiniStack with `settings` in its environment; yield its endpoint URL."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    log = folder / "ministack.log"
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "TMPDIR": str(folder),
        "HOME": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        **settings,
    }
    with (
        log.open("wb") as output,
        subprocess.Popen(
            ["/bin/sh", "-c", GUARD, program],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=folder,
            start_new_session=True,
        ) as guard,
    ):
        assert guard.stdin is not None
        # Closed at the end of the block, however it ends; the guard then kills the group.
        with guard.stdin:
            _wait_until_healthy(url, log)
            yield url


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_healthy(url: str, log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(f"{url}/_ministack/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError(f"MiniStack did not start; its log ends:\n{log.read_text('utf-8')[-2000:]}")
