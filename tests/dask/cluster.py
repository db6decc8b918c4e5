"""The example of `docs/scaling.md` on a cluster of two processes: what the test of it runs."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster

import asyncinvoke.dask
from asyncinvoke.runs import open_run

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
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
        try:
            asyncinvoke.dask.map(client, "f", [], directory=directory, shards=5)
        except asyncinvoke.ConfigurationError as error:
            refused = str(error)
    return {
        "items": merged.items,
        "ran_twice": merged.ran_twice,
        "missing": merged.missing,
        "succeeded": run.progress().succeeded,
        "on_workers": pids <= workers,
        "refused": refused,
    }


if __name__ == "__main__":
    found = main(Path(sys.argv[1]))
    print(json.dumps(found))  # noqa: T201  # the answer
