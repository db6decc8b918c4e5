"""The example of `docs/scaling.md` on a cluster of two processes, run by its test."""

import json
import os
import re
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster

import asyncinvoke.dask
from asyncinvoke._dask import working
from asyncinvoke.inputs import read
from asyncinvoke.runs import open_run

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"^```python\n(from distributed.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def main(folder: Path) -> dict[str, Any]:
    local: Any = LocalCluster  # it has no types
    connect: Any = Client
    source, directory = folder / "in.jsonl", folder / "run"
    with (
        local(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        connect(cluster) as client,
    ):
        example = EXAMPLE.replace("tcp://scheduler:8786", cluster.scheduler_address)
        example = example.replace("s3://bucket/photos.jsonl", str(source))
        names: dict[str, Any] = {}
        exec(example.replace("/shared/photos", str(directory)), names)
        names["client"].close()
        merged, run = names["merged"], names["run"]
        with open_run(run.path) as recorded:
            pids = {session.pid for session in recorded.summary().sessions}
        workers = set(client.run(os.getpid).values())
        refused = {
            "other shards": error_of(client, [], directory, shards=5),
            "a file": error_of(client, [], source),
            "no source": error_of(client, str(folder / "none.jsonl"), folder / "a"),
            "no list": error_of(client, 5, folder / "b"),
            "no batch": error_of(client, source, folder / "c", batch=0),
            "no concurrency": error_of(client, source, folder / "d", concurrency=0),
            "text": error_of(client, source, folder / "e", concurrency="5"),
            "no invoker": error_of(client, source, folder / "f", invoker=5),
        }
        with asyncinvoke.dask.map(
            client, "f", range(9), directory=folder / "g", key=lambda number: number
        ) as keyed:
            items = keyed.result().items
            with open_run(keyed.path) as recorded:
                unrecorded = recorded.summary().notes["unrecorded"]
            unnamed = [items, keyed.progress().unrecorded, unrecorded]
        (folder / "ids.jsonl").write_text('{"id": "a"}\n{"id": "a"}\n{"id": "b"}\n{}\n')
        own = partial(read, folder / "ids.jsonl", key="/id")
        with asyncinvoke.dask.map(client, "f", own, directory=folder / "i", shards=2) as keyed:
            unnamed += [keyed.result().items, keyed.progress().unrecorded]
        lock = threading.Lock()
        refused |= {
            "a generator": error_of(client, (number for number in [1]), folder / "j"),
            "a lock": error_of(client, [], folder / "k", key=lambda _: str(lock)),
            "a hook with a lock": error_of(client, [], folder / "l", invoker={"hooks": [lock]}),
            "a cluster": error_of(cluster, [], folder / "m"),
        }
        homes = client.run(lambda: len(working._threads)).values()
        unsubmitted = [sum(homes), [each.name for each in (folder / "j").iterdir()]]
        read_only = error_of(client, [], Path("/proc"))
    refused["closed"] = error_of(client, [], folder / "h")
    return {
        "items": merged.items,
        "ran_twice": merged.ran_twice,
        "missing": merged.missing,
        "succeeded": run.progress().succeeded,
        "on_workers": pids <= workers,
        "refused": refused,
        "unnamed": unnamed,
        "unsubmitted": unsubmitted,
        "read_only": read_only,
    }


def error_of(client: Any, source: Any, directory: Path, **options: Any) -> str:
    """Return the error of an invalid map."""
    try:
        with asyncinvoke.dask.map(client, "f", source, directory=directory, **options) as run:
            run.result()
    except asyncinvoke.AsyncInvokeError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


if __name__ == "__main__":
    found = main(Path(sys.argv[1]))
    print(json.dumps(found))  # noqa: T201  # the answer
