"""What a journal reports about a run that is killed again and again, by SIGKILL, and about torn logs.

A map of 10,000 items over HTTP is killed at a random request and resumed, as many times as requested;
on both loops, with and without keys, ordered or not, with lists and streams. The endpoint counts the
items that it has seen. For each kill, the table counts the items reported as in doubt, how many of
those the endpoint had seen, and, at the end, items that were seen twice, or never without being
reported. After that, the log of a journal is cut at random, or ended by zeros or garbage, and must still
be a whole prefix of what was committed.
"""

import os
import random
import shutil
import sqlite3
import tempfile
from argparse import Namespace
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.command import Benchmark
from benchmarks.rounds import machine
from benchmarks.tables import table
from tests.journal import killing, mapper
from tests.journal.killing import Mapper
from tests.journal.torn import prefix_of, torn_log

ITEMS = 10_000
KINDS = (
    {"backend": "asyncio", "keyed": False, "ordered": False, "streamed": True},
    {"backend": "trio", "keyed": True, "ordered": False, "streamed": False},
    {"backend": "asyncio", "keyed": True, "ordered": True, "streamed": True},
    {"backend": "trio", "keyed": False, "ordered": True, "streamed": False},
)
TAILS = (b"", b"\0" * 20_000, b"\xa5" * 20_000)


def measure(options: Namespace) -> dict[str, Any]:
    """Measure kills and torn logs."""
    os.environ.update(killing.AWS)
    with tempfile.TemporaryDirectory() as folder, Mapper() as process:
        rows = [
            _killed(process, Path(folder) / f"{number}.run", kind, options.kills // len(KINDS))
            for number, kind in enumerate(KINDS)
        ]
        torn = _torn(Path(folder) / "torn.run", options.tails)
    return {"machine": machine(), "rows": rows, "torn": torn}


def _killed(process: Mapper, journal: Path, kind: dict[str, Any], kills: int) -> dict[str, Any]:
    chance = random.Random(str(kind))
    doubtful: set[int] = set()
    missed = never_seen = 0
    with killing.endpoint() as endpoint:
        for number in range(kills):
            left_over = ITEMS - len(set(endpoint.seen) | doubtful)
            endpoint.arm(chance.randint(1, max(1, 2 * left_over // (kills - number + 1))))
            endpoint.aim(
                process.start(url=endpoint.server.url, journal=str(journal), items=ITEMS, **kind)
            )
            if process.ended() != 9:
                raise RuntimeError("a run has ended before it was killed")
            endpoint.settled()
            left = killing.inspect_journal(journal)
            in_doubt = set(endpoint.seen) - left.recorded - doubtful
            missed += len(in_doubt - left.unknown)
            never_seen += len(left.unknown - in_doubt - doubtful)
            doubtful |= left.unknown
        options = {name: kind[name] for name in ("keyed", "ordered", "streamed")}
        outcomes = mapper.run(kind["backend"], endpoint.server.url, str(journal), ITEMS, **options)
        seen = Counter(endpoint.seen)
    lost = {outcome.index for outcome in outcomes if mapper.code(outcome) == "ProcessLost"}
    return {
        **kind,
        "kills": kills,
        "items": ITEMS,
        "requests": seen.total(),
        "twice": sum(count > 1 for count in seen.values()),
        "lost": len(set(range(ITEMS)) - set(seen) - doubtful),
        "named": len(doubtful),
        "missed": missed,
        "never_seen": never_seen,
        "told": lost == doubtful and len(outcomes) == ITEMS,
    }


def _torn(journal: Path, tails: int) -> dict[str, int]:
    chance = random.Random(tails)
    with killing.endpoint() as endpoint:
        mapper.run("asyncio", endpoint.server.url, str(journal), 200)
    whole = 0
    log = torn_log(journal)
    for number in range(tails):
        copy = journal.with_name(f"torn-{number}.run")
        shutil.copy(journal, copy)
        cut = log[: chance.randrange(len(log) + 1)] + TAILS[number % len(TAILS)]
        Path(f"{copy}-wal").write_bytes(cut)
        whole += prefix_of(copy)
        with closing(sqlite3.connect(copy)):
            pass
        for each in copy.parent.glob(f"{copy.name}*"):
            each.unlink()
    return {"tails": tails, "whole": whole}


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    head = [
        "loop",
        "kills",
        "items",
        "requests",
        "twice",
        "lost",
        "in doubt",
        "not named",
        "named, not seen",
    ]
    rows = [
        [
            f"{row['backend']}{', by key' * row['keyed']}{', in order' * row['ordered']}"
            + ", a stream" * row["streamed"],
            *(f"{row[name]:,}" for name in ("kills", "items", "requests", "twice", "lost")),
            *(f"{row[name]:,}" for name in ("named", "missed", "never_seen")),
        ]
        for row in found["rows"]
    ]
    torn = found["torn"]
    told = "all" if all(row["told"] for row in found["rows"]) else "**not all**"
    return (
        f"{table(head, rows)}\n\nOf what was in doubt {told} had its outcome in the end. "
        f"{torn['whole']} of {torn['tails']} torn journals were whole prefixes. {found['machine']}."
    )


BENCHMARK = Benchmark(
    name="kills",
    description=__doc__,
    numbers={"kills": (100, "kills, over four kinds of runs"), "tails": (300, "torn ends")},
    measure=measure,
    show=show,
)

if __name__ == "__main__":
    BENCHMARK.main()
