"""A low limit of open files is treated as a limit: it costs no item and no attempt."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.counting_server import Act, CountingServer
from tests.doubles.messages import Received, echo_answer

CHECKOUT = Path(__file__).parents[2]
FILES = 256
ITEMS = 1000


def slowly(request: Received) -> bytes:
    time.sleep(0.02)  # so that many are in flight
    return echo_answer(request)


def mapped(server: CountingServer, backend: str, transport: str, used_later: int) -> dict[str, Any]:
    task = {
        "url": server.url,
        "backend": backend,
        "transport": transport,
        "files": FILES,
        "used_later": used_later,
        "items": ITEMS,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tests.attack.few_files", json.dumps(task)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize(
    ("backend", "transport", "used_later"),
    [
        pytest.param("asyncio", "direct", 0, id="asyncio-direct-at first"),
        pytest.param("asyncio", "client", 200, id="asyncio-client-later"),
        pytest.param("trio", "direct", 200, id="trio-direct-later"),
    ],
)
def test_few_open_files_cost_a_map_no_item_and_no_attempt(
    backend: str, transport: str, used_later: int
) -> None:
    with CountingServer(default=Act(sent=slowly)) as server:
        found = mapped(server, backend, transport, used_later)
    assert found["ends"] == {"ok": ITEMS}
    assert found["attempts"] == ITEMS
    assert server.bodies() == {b"%d" % number: 1 for number in range(ITEMS)}
    if used_later:
        assert "process" in found["scopes"]
    else:
        assert sum(str(FILES) in line and "file" in line for line in found["lines"]) == 1
