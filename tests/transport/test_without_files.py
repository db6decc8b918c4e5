"""A process without free descriptors reports that nothing was sent, wherever one was needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.counting_server import Act, CountingServer
from tests.doubles.messages import Received, complete_frame, echo_answer, stream_answer
from tests.transport.variants import VARIANTS
from tests.transport.without_files import LOOPS, PLACES

CHECKOUT = Path(__file__).parents[2]


def answer(request: Received) -> bytes:
    streams = "response-streaming" in request.target
    return stream_answer(complete_frame()) if streams else echo_answer(request)


@pytest.mark.parametrize("loop", LOOPS)
def test_without_a_file_nothing_is_sent_and_afterwards_it_is(loop: str) -> None:
    with CountingServer(default=Act(sent=answer)) as server:
        ended = subprocess.run(
            [sys.executable, "-m", "tests.transport.without_files", loop, str(server.port)],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
        told = json.loads(ended.stdout)
        # A name is reached once more, by the previous call.
        assert server.whole == len(VARIANTS) * (len(PLACES) + 1)
    assert [(variant, place) for variant, place, *_ in told] == [
        (w, p) for w in VARIANTS for p in PLACES
    ]
    for variant, place, fault, phase, then in told:
        assert fault == "TooManyOpenFiles", (variant, place)
        assert phase in ("CREDENTIALS", "CONNECTING"), (variant, place)
        assert then, (variant, place)
