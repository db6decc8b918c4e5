"""Every kind of answer, read by every independent client as `matrix.py` says."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from . import clients, endpoints, matrix
from .matrix import Case
from .readings import Reading

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def urls() -> AsyncIterator[dict[str, str]]:
    """The endpoints that the cases are for."""
    async with endpoints.opened() as urls:
        yield urls


@pytest.fixture(scope="module")
async def boto3() -> AsyncIterator[clients.Boto3]:
    """The client of boto3."""
    async with clients.Boto3() as client:
        yield client


@pytest.fixture(scope="module")
async def aiobotocore() -> AsyncIterator[clients.Aiobotocore]:
    """The client of aiobotocore."""
    async with clients.Aiobotocore() as client:
        yield client


def cases_for(client: str) -> list[Case]:
    """Return the cases that include a client."""
    return [case for case in matrix.CASES if client not in case.without]


@pytest.mark.parametrize("case", cases_for(matrix.BOTO3), ids=lambda case: case.name)
async def test_boto3_reads(urls: dict[str, str], boto3: clients.Boto3, case: Case) -> None:
    assert await boto3.read(urls[case.endpoint], case) == case.reading


@pytest.mark.parametrize("case", cases_for(matrix.AIOBOTOCORE), ids=lambda case: case.name)
async def test_aiobotocore_reads(
    urls: dict[str, str], aiobotocore: clients.Aiobotocore, case: Case
) -> None:
    assert await aiobotocore.read(urls[case.endpoint], case) == case.reading


async def test_awscli_reads(urls: dict[str, str], aws_command: Path, tmp_path: Path) -> None:
    """In parallel on all cores, because each call is a process that takes long to start."""
    client = clients.Awscli(aws_command, tmp_path)
    cores = anyio.CapacityLimiter(os.cpu_count() or 1)
    read: dict[str, Reading] = {}

    async def run(case: Case) -> None:
        async with cores:
            read[case.name] = await client.read(urls[case.endpoint], case)

    async with anyio.create_task_group() as tasks:
        for case in cases_for(matrix.AWSCLI):
            tasks.start_soon(run, case)

    for case in cases_for(matrix.AWSCLI):
        shown = {
            fact: value
            for fact, value in case.reading.items()
            if fact in read[case.name] or fact not in client.hides
        }
        assert read[case.name] == shown, case.name


def test_the_matrix_is_whole() -> None:
    names = [case.name for case in matrix.CASES]
    assert len(set(names)) == len(names)
    for case in matrix.CASES:
        assert set(case.without) < set(matrix.CLIENTS), case.name
        assert all(case.without.values()), case.name
