"""A map on a cluster of two processes, as a user writes it: what the test of it runs as a script."""

import json
import os
import sys
from typing import Any

from distributed import Client, LocalCluster

import asyncinvoke.dask
from asyncinvoke.runs import open_run


def main(url: str, directory: str, items: int) -> dict[str, Any]:
    local: Any = LocalCluster  # it has no types
    connect: Any = Client
    with (
        local(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        connect(cluster) as client,
    ):
        options: dict[str, Any] = {
            "directory": directory,
            "shards": 4,
            "invoker": {"endpoint_url": url},
            "batch": 5,
            "concurrency": 8,
        }
        with asyncinvoke.dask.map(client, "work", range(items), **options) as run:
            merged = run.result()
            progress = run.progress()
            pids = client.run(os.getpid)
        with open_run(run.path) as recorded:
            hosts = {session.pid for session in recorded.summary().sessions}
        with asyncinvoke.dask.map(client, "work", range(items), **options) as again:
            repeated = again.result()
        try:
            asyncinvoke.dask.map(client, "work", range(items), **{**options, "shards": 5})
        except asyncinvoke.ConfigurationError as error:
            refused = str(error)
    return {
        "items": merged.items,
        "ran_twice": merged.ran_twice,
        "missing": merged.missing,
        "succeeded": progress.succeeded,
        "shards": [progress.ended, progress.shards],
        "on_workers": hosts <= set(pids.values()),
        "repeated": repeated.items,
        "refused": refused,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))  # noqa: T201  # the answer
