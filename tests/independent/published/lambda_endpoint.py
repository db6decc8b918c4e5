"""A pytest plugin for moto's and aiobotocore's tests: directs their Lambda clients to the endpoint.

`test_published.py` starts that pytest in the environment of `peers.PUBLISHED`, which contains only
this file of ours. Clients of other services still use moto.
"""

import functools
import json
import os
from pathlib import Path
from typing import Any

import aiobotocore.session
import botocore.session
import moto.server
import pytest

ENDPOINTS: dict[str, str] = json.loads(os.environ["PUBLISHED_ENDPOINTS"])
OUTCOMES = Path(os.environ["PUBLISHED_OUTCOMES"])

outcomes: dict[str, str] = {}


def pytest_configure() -> None:
    """Give each new Lambda client the endpoint of its region."""
    for session in (botocore.session.Session, aiobotocore.session.AioSession):
        session.create_client = _to_endpoint(session.create_client)
    # Its server would listen on every address of the machine.
    server = moto.server.ThreadedMotoServer
    server.__init__ = functools.partialmethod(server.__init__, ip_address="127.0.0.1")


def _to_endpoint(create_client: Any) -> Any:
    @functools.wraps(create_client)
    def create(session: Any, name: str, region_name: str | None = None, **options: Any) -> Any:
        if name == "lambda":
            region = region_name or session.get_config_variable("region")
            options["endpoint_url"] = ENDPOINTS[region]
        return create_client(session, name, region_name=region_name, **options)

    return create


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record the result of each test: that of its worst phase."""
    if report.when == "call" or report.outcome != "passed":
        outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish() -> None:
    """Write the results."""
    OUTCOMES.write_text(json.dumps(outcomes), encoding="utf-8")
