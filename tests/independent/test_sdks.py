"""The SDKs for JavaScript and Go read every kind of answer as the matrix says, and set functions up."""

import base64
import io
import os
import subprocess
import zipfile
from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal

from asyncinvoke.local import LocalLambda

from . import endpoints, matrix, sdks
from .matrix import Case


def ready(sdk: sdks.JavaScript | sdks.Go) -> None:
    """Skip the test with a reason if the SDK cannot be installed; otherwise it must be in CI."""
    if reason := sdk.unavailable():
        pytest.skip(f"{sdk.name}: {reason}")
    if not sdk.installed:
        reason = f"{sdk.name} is not installed as pinned: run `make peers`"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """The endpoints that the cases are for."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(endpoints.opened()) as opened,
    ):
        yield opened


def cases_for(client: str) -> list[Case]:
    """Return the cases that include a client."""
    return [case for case in matrix.CASES if client not in case.without]


@pytest.mark.parametrize(
    ("client", "sdk"), [(matrix.JAVASCRIPT, sdks.JavaScript()), (matrix.GO, sdks.Go())]
)
def test_an_sdk_reads_every_kind_of_answer(
    urls: dict[str, str], client: str, sdk: sdks.JavaScript | sdks.Go
) -> None:
    ready(sdk)
    cases = cases_for(client)

    read = sdks.read_all(sdk.command(), [urls[case.endpoint] for case in cases], cases)

    assert {case.name: one for case, one in zip(cases, read, strict=True)} == {
        case.name: case.reading for case in cases
    }


def test_the_sdk_for_javascript_sets_functions_up() -> None:
    sdk = sdks.JavaScript()
    ready(sdk)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("app.py", "def f(event, context):\n    return event\n")
    code = base64.b64encode(held.getvalue()).decode()
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(LocalLambda()) as local,
    ):
        aws = {"AWS_ENDPOINT_URL_LAMBDA": local.url, "AWS_REGION": "us-east-1"}
        done = subprocess.run(
            sdk.command("set_up.cjs"),
            env=os.environ | aws | {"CODE": code},
            capture_output=True,
            text=True,
            timeout=120,
        )

    assert (done.stdout, done.returncode) == ("all well\n", 0), done.stderr
