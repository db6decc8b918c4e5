"""An invoker that cannot be built, or used, like this says so in one line."""

from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from asyncinvoke import AsyncInvokeError, ConfigurationError, FixedLimit, Invoker, RetryPolicy

SESSION = AioSession()
NOWHERE = "http://127.0.0.1:9"


async def refusal(**options: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        async with Invoker(**options):
            pass
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, AsyncInvokeError)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.anyio
async def test_without_credentials_it_says_where_to_put_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "no AWS credentials were found" in await refusal(endpoint_url=NOWHERE)


@pytest.mark.anyio
async def test_half_of_the_credentials_are_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "redential" in await refusal(endpoint_url=NOWHERE)


@pytest.mark.anyio
async def test_without_a_region_it_says_how_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "no region" in await refusal(session=AioSession())


@pytest.mark.anyio
async def test_a_profile_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "nobody" in await refusal(session=AioSession(), endpoint_url=NOWHERE)


@pytest.mark.anyio
async def test_an_endpoint_that_is_no_url_is_named() -> None:
    assert "not a url" in await refusal(session=SESSION, endpoint_url="not a url")


@pytest.mark.parametrize(
    "retries",
    [{"max_attempts": 2}, {"total_max_attempts": 3}, {"total_max_attempts": 2, "mode": "legacy"}],
)
@pytest.mark.anyio
async def test_retries_in_the_configuration_are_refused(retries: dict[str, Any]) -> None:
    config = AioConfig(retries=retries)
    assert "retry=RetryPolicy()" in await refusal(session=SESSION, config=config)


@pytest.mark.parametrize(
    "retries", [{"max_attempts": 0}, {"total_max_attempts": 1}, {"mode": "standard"}]
)
@pytest.mark.anyio
async def test_a_configuration_without_retries_is_taken(retries: dict[str, Any]) -> None:
    config = AioConfig(retries=retries, read_timeout=7)
    async with Invoker(session=SESSION, endpoint_url=NOWHERE, config=config):
        pass


class Client:
    """As much of a client as is looked at before it is used."""

    def __init__(self, service: str, **options: Any) -> None:
        self.meta: Any = type("Meta", (), {})()
        self.meta.service_model = type("Model", (), {"service_name": service})()
        self.meta.config = AioConfig(**options)

    async def invoke(self, **parameters: Any) -> Any:
        raise AssertionError


OFF = {"total_max_attempts": 1}


def test_a_client_with_retries_of_its_own_is_refused() -> None:
    for options in ({}, {"retries": {"total_max_attempts": 3}}, {"retries": {"mode": "standard"}}):
        with pytest.raises(ConfigurationError, match=r"retries=\{'total_max_attempts': 1\}"):
            Invoker(Client("lambda", **options))


def test_a_client_of_another_service_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'s3', not for 'lambda'"):
        Invoker(Client("s3", retries=OFF))


def test_what_is_no_client_is_refused() -> None:
    things: list[Any] = ["client", SESSION, object()]
    for thing in things:
        with pytest.raises(ConfigurationError, match="must be an open aiobotocore client"):
            Invoker(thing)


@pytest.mark.parametrize(
    "options",
    [{"session": SESSION}, {"region_name": "eu-west-1"}, {"endpoint_url": NOWHERE}, {"config": 1}],
)
def test_what_has_no_effect_on_a_given_client_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(options))} has no effect"):
        Invoker(Client("lambda", retries=OFF), **options)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "10", None, True])
def test_a_limit_is_a_whole_number_from_one(limit: Any) -> None:
    for given in (lambda: Invoker(limit=limit), lambda: FixedLimit(limit)):
        with pytest.raises(ConfigurationError, match=r"limit .* must be a whole number from 1"):
            given()


@pytest.mark.parametrize("retry", [3, "standard", RetryPolicy.standard, RetryPolicy])
def test_a_policy_must_be_one(retry: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"retry .* must be a RetryPolicy"):
        Invoker(retry=retry)


@pytest.mark.anyio
async def test_an_invoker_that_is_not_open_cannot_be_used() -> None:
    invoker = Invoker(session=SESSION, endpoint_url=NOWHERE)
    with pytest.raises(ConfigurationError, match="the invoker is not open"):
        await invoker.invoke("resize")
    with pytest.raises(ConfigurationError, match="the invoker is not open"):
        invoker.map("resize", [])
    async with invoker:
        assert repr(invoker).startswith("<Invoker open")
    assert repr(invoker).startswith("<Invoker closed")
    with pytest.raises(ConfigurationError, match="the invoker is not open"):
        await invoker.invoke("resize")


@pytest.mark.anyio
async def test_an_invoker_is_opened_once_at_a_time() -> None:
    invoker = Invoker(session=SESSION, endpoint_url=NOWHERE)
    async with invoker:
        with pytest.raises(ConfigurationError, match="open already"):
            await invoker.__aenter__()
