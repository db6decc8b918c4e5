"""What is told of credentials that are there, and of those that are not."""

from typing import Any

import pytest
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials

from asyncinvoke._transport.resolved import credentials

pytestmark = pytest.mark.anyio


class Found:
    """Credentials of a source that gives this."""

    method = "explicit"

    def __init__(self, given: Any) -> None:
        self._given = given

    async def get_frozen_credentials(self) -> Any:
        return self._given


async def told_of(given: Any) -> Any:
    session = AioSession()
    session._credentials = Found(given)
    return await credentials(session, timeout=60)


async def test_an_empty_token_is_none() -> None:
    assert not (await told_of(ReadOnlyCredentials("AKID", "hidden", ""))).is_temporary
    assert not (await told_of(ReadOnlyCredentials("AKID", "hidden", None))).is_temporary
    assert (await told_of(ReadOnlyCredentials("AKID", "hidden", "token"))).is_temporary


async def test_a_source_that_gives_none_is_said_to() -> None:
    assert (await told_of(None)).flaw == "whatever gives them gave none"
