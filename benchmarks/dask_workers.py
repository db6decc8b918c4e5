"""A map on a Dask cluster of two workers that share one account's limit, and one that is killed.

A LocalCluster of two processes runs `asyncinvoke.dask.map` against a counting endpoint in a separate
process. The first round measures the time from the first item's start to the last item's end, compared
with what the limit allows, and how evenly the workers shared the limit. In the second round one worker
is killed by SIGKILL halfway: no item may arrive twice, and items that were not recorded must be
reported as in doubt, or not have arrived.
"""

import os
import signal
import tempfile
import time
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.command import Benchmark
from benchmarks.endpoint import Endpoint
from benchmarks.rounds import machine
from benchmarks.tables import table

ACCOUNT = 40
DURATION = 0.5
"""Seconds of a call: so long that a machine which is busy with other things adds little to it."""

SHARDS = 6


def measure(options: Namespace) -> dict[str, Any]:
    """Run both rounds."""
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError:
        raise RuntimeError("needs Dask: pip install 'asyncinvoke[dask]'") from None
    os.environ.update(AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY="not-a-secret")
    rows = []
    for kill in (False, True):
        with (
            tempfile.TemporaryDirectory() as folder,
            Endpoint(duration=DURATION, account=ACCOUNT) as endpoint,
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            rows.append(_round(client, endpoint, Path(folder), options.items, kill=kill))
    return {"machine": machine(), "items": options.items, "rows": rows}


def _round(
    client: Any, endpoint: Endpoint, folder: Path, items: int, *, kill: bool
) -> dict[str, Any]:
    import asyncinvoke.dask
    from asyncinvoke.runs import open_run

    workers = client.run(os.getpid)
    with asyncinvoke.dask.map(
        client,
        "work",
        [{"item": number} for number in range(items)],
        directory=folder / "run",
        shards=SHARDS,
        invoker={"endpoint_url": endpoint.url, "region_name": "us-east-1"},
        concurrency=4 * ACCOUNT,
    ) as run:
        if kill:
            while run.progress().succeeded < items // 4:
                time.sleep(0.05)
            os.kill(next(iter(workers.values())), signal.SIGKILL)
        merged = run.result()
    counts = endpoint.counts()
    with open_run(run.path) as recorded:
        summary = recorded.summary()
        pids = {session.number: session.pid for session in summary.sessions}
        shared: Counter[Any] = Counter()
        began, ended = [], []
        for outcome in recorded.outcomes():
            began.append(outcome.started)
            ended.append(outcome.started + outcome.elapsed)
        for number in range(items):
            item = recorded.item(position=number)
            if item is not None and item.session is not None:
                shared[pids[item.session]] += 1
    if merged.items != items:
        raise RuntimeError(f"{items - merged.items} items are in no journal")
    return {
        "kill": kill,
        "makespan": (max(ended) - min(began)) / (items * DURATION / ACCOUNT),
        "fairness": sum(shared.values()) ** 2
        / (len(shared) * sum(count**2 for count in shared.values())),
        "executions": counts["executions"],
        "repeated": counts["repeated"],
        "throttled": counts["throttled"],
        "succeeded": summary.succeeded,
        "may_have_run": summary.may_have_run,
        "ran_twice": merged.ran_twice,
        "workers": len(shared),
    }


def show(found: dict[str, Any]) -> str:
    """Return the table."""
    headings = [
        "two workers",
        "makespan / ideal",
        "fairness",
        "executed",
        "again",
        "succeeded",
    ]
    headings += ["in doubt", "throttled / success"]
    rows = [
        [
            "one killed" if row["kill"] else "undisturbed",
            f"{row['makespan']:.2f}",
            "" if row["kill"] else f"{row['fairness']:.2f}",
            f"{row['executions']:,}",
            f"{row['repeated']:,}",
            f"{row['succeeded']:,}",
            f"{row['may_have_run']:,}",
            f"{row['throttled'] / max(row['succeeded'], 1):.3f}",
        ]
        for row in found["rows"]
    ]
    return f"{found['machine']}; {found['items']:,} items\n\n{table(headings, rows)}"


BENCHMARK = Benchmark(
    name="dask_workers",
    description=__doc__ or "",
    numbers={"items": (4800, "items of the input")},
    measure=measure,
    show=show,
)

if __name__ == "__main__":
    BENCHMARK.main()
