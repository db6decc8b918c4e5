"""What an invoker reports about an exchange that is cut, at every byte, with and without TLS.

A proxy forwards a number of bytes of the request, or of the response, and closes by FIN or RST. The
endpoint's counts decide which reports are correct: `not_sent` never for a request that arrived whole,
anything else never for one that cannot have been written, `rejected` never without a response. The
table counts the reports, the wrong ones among them, and exchanges that took longer than 10 s.
"""

import os
import ssl
import tempfile
import warnings
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import anyio

from benchmarks.command import Benchmark
from benchmarks.rounds import machine
from benchmarks.tables import table
from tests.attack.cutting import ANSWERS, Exchange, open_cutter, plain_cuts, tls_cuts
from tests.doubles.certificates import Authority
from tests.doubles.cutting_proxy import Cut

LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
PATIENCE = 10.0
SAID = ("not_sent", "unknown", "rejected", "response")


def measure(options: Namespace) -> dict[str, Any]:
    """Cut exchanges on every loop and transport, with both answers."""
    # A process for each: where a socket is closed twice, it is not that of the next one.
    with ProcessPoolExecutor(
        options.processes, mp_context=get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        futures = {
            (loop, transport, answer, wire): pool.submit(
                cut_all, loop, transport, answer, wire, options.step
            )
            for loop in LOOPS
            for transport in ("direct", "client")
            for answer in ANSWERS
            for wire in ("plain", "TLS")
        }
        rows = [
            {
                "loop": loop,
                "transport": transport,
                "answer": answer,
                "wire": wire,
                **future.result(),
            }
            for (loop, transport, answer, wire), future in futures.items()
        ]
    return {"machine": machine(), "step": options.step, "rows": rows}


def cut_all(loop: str, transport: str, answer: str, wire: str, step: int) -> dict[str, Any]:
    """Cut at every `step` bytes; count the reports, and list the wrong ones."""
    os.environ.update(
        AWS_ACCESS_KEY_ID="none",
        AWS_SECRET_ACCESS_KEY="none",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_CONFIG_FILE=os.devnull,
        no_proxy="127.0.0.1",
    )
    backend, backend_options = LOOPS[loop]
    with tempfile.TemporaryDirectory() as directory, warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always", ResourceWarning)
        context = None
        if wire == "TLS":
            authority = Authority(Path(directory))
            os.environ["AWS_CA_BUNDLE"] = str(authority.bundle)
            context = authority.issue("server").server_context()
        found: dict[str, Any] = anyio.run(
            _cut_all,
            transport,
            answer,
            context,
            step,
            backend=backend,
            backend_options=backend_options,
        )
    return {**found, "left": sum(issubclass(each.category, ResourceWarning) for each in left)}


async def _cut_all(
    transport: str, answer: str, tls: ssl.SSLContext | None, step: int
) -> dict[str, Any]:
    said: Counter[str] = Counter()
    contradictions: list[str] = []
    hung: list[str] = []
    async with open_cutter(answer, transport=transport, tls=tls) as cutter:
        for cut in _cuts(cutter.exchange, tls, step):
            with anyio.move_on_after(PATIENCE) as scope:
                found = await cutter.cut(cut)
                said[found.delivery] += 1
                contradictions += found.contradictions()
            if scope.cancelled_caught:
                hung.append(str(cut))
    return {
        "cuts": said.total() + len(hung),
        "said": dict(said),
        "wrong": contradictions,
        "hung": hung,
    }


def _cuts(exchange: Exchange, tls: ssl.SSLContext | None, step: int) -> Iterator[Cut]:
    if tls is None:
        yield from plain_cuts(exchange, step)
    else:
        # Every byte of a record would be thousands of handshakes that all end alike.
        yield from tls_cuts(exchange, max(64 // step, 1))


def show(found: dict[str, Any]) -> str:
    """Return the table, and the wrong reports."""
    rows = [
        [
            ", ".join(row[name] for name in ("loop", "transport", "wire", "answer")),
            f"{row['cuts']:,}",
            *(f"{row['said'].get(word, 0):,}" for word in SAID),
            str(len(row["wrong"])),
            str(len(row["hung"])),
            str(row["left"]),
        ]
        for row in found["rows"]
    ]
    heads = ["loop, transport, wire, answer", "cuts", *SAID, "untrue", "hung", "left open"]
    examples = [
        f"- {row['loop']}, {row['transport']}, {row['wire']}: {what}"
        for row in found["rows"]
        for what in [*row["wrong"][:3], *(f"hung: {cut}" for cut in row["hung"][:3])]
    ]
    return "\n\n".join(
        [
            table(heads, rows),
            *(["\n".join(examples)] if examples else []),
            f"A cut at every byte. {found['machine']}."
            if found["step"] == 1
            else f"A cut at every {found['step']} bytes. {found['machine']}.",
        ]
    )


BENCHMARK = Benchmark(
    name="cut_everywhere",
    description=__doc__,
    numbers={
        "step": (1, "cut at every so many bytes of a plain exchange"),
        "processes": (2, "how many to run at once"),
    },
    measure=measure,
    show=show,
)

if __name__ == "__main__":
    BENCHMARK.main()
