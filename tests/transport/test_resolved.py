"""What is reported about credentials that were found or not found."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials

from asyncinvoke._transport import process
from asyncinvoke._transport.resolved import credentials, endpoint, proxy
from tests.transport.variants import open_client

pytestmark = pytest.mark.anyio


class Found:
    """Credentials whose source returns a given value."""

    method = "explicit"

    def __init__(self, given: Any) -> None:
        self._given = given

    async def get_frozen_credentials(self) -> Any:
        return self._given


async def reported(given: Any) -> Any:
    session = AioSession()
    session._credentials = Found(given)
    return await credentials(session, timeout=60)


async def test_an_empty_token_means_no_token() -> None:
    assert not (await reported(ReadOnlyCredentials("AKID", "hidden", ""))).is_temporary
    assert not (await reported(ReadOnlyCredentials("AKID", "hidden", None))).is_temporary
    assert (await reported(ReadOnlyCredentials("AKID", "hidden", "token"))).is_temporary


async def test_a_source_without_credentials_is_reported() -> None:
    assert (await reported(None)).flaw == "whatever gives them gave none"


async def test_keys_of_a_file_are_reported_with_their_profile() -> None:
    found = Found(ReadOnlyCredentials("AKID", "hidden", None))
    found.method = "shared-credentials-file"
    session = AioSession(profile="mine")
    session._credentials = found
    assert str((await credentials(session, timeout=60)).source).endswith(", profile 'mine'")


async def test_an_endpoint_that_is_not_a_url_is_reported_with_the_reason() -> None:
    told = endpoint(AioSession(), "junk", None)
    assert told.source == "the arguments"
    assert "must begin with http" in str(told.flaw)


async def test_an_endpoint_of_the_environment_is_reported_with_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = endpoint(AioSession(), None, "https://lambda.eu-west-1.amazonaws.com")
    assert told.source == "AWS, for the region"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hidden@all.example")
    told = endpoint(AioSession(), None, "http://all.example")
    assert (told.value, told.source) == ("http://...@all.example", "AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://one.example")
    told = endpoint(AioSession(), None, "http://one.example")
    assert (told.value, told.source) == ("http://one.example", "AWS_ENDPOINT_URL_LAMBDA")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    told = endpoint(AioSession(), None, "https://lambda.eu-west-1.amazonaws.com")
    assert told.source == "AWS, for the region"


async def test_a_proxy_is_reported_with_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    url, theirs = "http://lambda.example", {"proxies": {"http": "http://user:hidden@proxy:1"}}
    async with open_client(url, "direct", config=theirs) as client:
        told = proxy(client)
    assert (told.value, told.source) == ("http://...@proxy:1", "the client's config (proxies)")
    monkeypatch.setenv("http_proxy", "http://user:hidden@proxy:2")
    async with open_client(url, "direct") as client:
        told = proxy(client)
    assert (told.value, told.source) == ("http://...@proxy:2", "http_proxy")
    monkeypatch.setenv("no_proxy", "lambda.example")
    async with open_client(url, "direct") as client:
        told = proxy(client)
    assert (told.value, told.source) == (None, "http_proxy is set, but no_proxy lets this host out")


@pytest.mark.parametrize(
    ("module", "soft", "hard"),
    [
        (
            SimpleNamespace(RLIMIT_NOFILE=7, RLIM_INFINITY=-1, getrlimit=lambda _: (-1, -1)),
            None,
            None,
        ),
        (SimpleNamespace(RLIMIT_NOFILE=7, RLIM_INFINITY=-1, getrlimit=lambda _: (9, 99)), 9, 99),
        (None, None, None),  # as on Windows
    ],
)
async def test_without_a_limit_of_open_files_it_is_none(
    module: Any, soft: int | None, hard: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "resource", module)
    found = process.open_files()
    assert (None if found is None else found[0]) == soft
    assert process.most_files() == hard
