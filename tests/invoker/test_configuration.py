"""An invoker that is configured or used wrongly gives an error of one line."""

import copy
import os
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.config import Config
from botocore.credentials import Credentials

from asyncinvoke import AsyncInvokeError, ConfigurationError, FixedLimit, Invoker, RetryPolicy
from tests.attack.secrets import SECRET, leaks_of

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
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    said = await refusal(session=AioSession())
    assert said.startswith("no region is known: set AWS_DEFAULT_REGION (botocore does not read")


@pytest.mark.anyio
async def test_a_profile_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "nobody" in await refusal(session=AioSession(), endpoint_url=NOWHERE)


def as_in_the_environment(text: str) -> str:
    """Return a text as Python finds it in the environment, in which it is UTF-8, whatever the locale."""
    return os.fsdecode(text.encode())


@pytest.mark.parametrize(
    ("url", "flaw"),
    [
        ("not a url", "has a space in it"),
        ("http://proxy.example/a b", "has a space in it; in a URL that is %20"),
        ("http://lambda\n", "has a control character"),
        ("lambda.example", "must begin with http:// or https://"),
        ("ftp://lambda.example", "must begin with http:// or https://"),
        ("https://", "names no host"),
        ("http://127.0.0.1:99999", "is not a URL: Port out of range"),
        ("http://127.0.0.1:http", "is not a URL: Port could not be cast"),
        ("http://127.0.0.1:0", "has port 0"),
        ("http://[::1", "is not a URL: Invalid IPv6 URL"),
        ("http://lambda..example", "names a host that there cannot be"),
        ("http://0177.1", "names a host that there cannot be"),
        ("http://lambda.example/\u00fc", "has a character that is not ASCII"),
        ("http://lambda.example/#a", "has a fragment"),
    ],
)
@pytest.mark.anyio
async def test_an_endpoint_that_is_not_a_url_is_named(
    url: str, flaw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await refusal(session=SESSION, endpoint_url=url)
    assert f"endpoint_url {url!r} {flaw}" in message
    url = as_in_the_environment(url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", url)
    assert f"AWS_ENDPOINT_URL_LAMBDA {url!r} {flaw}" in await refusal(session=SESSION)


@pytest.mark.anyio
@pytest.mark.parametrize("setting", ["endpoint_url", "AWS_ENDPOINT_URL_LAMBDA", "proxies", "proxy"])
@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{SECRET}@lambda.example:99999",
        f"http://me:{SECRET}/x@lambda.example",
        f"http://me:x/{SECRET}@lambda.example",
        f"http://me:x#{SECRET}@lambda.example",
        f"http://me:{SECRET}\n@lambda.example",
        f"http://me:{SECRET}\u2100@lambda.example",
        f"http://[{SECRET}@lambda.example",
        f"me:{SECRET}@lambda.example:x",
    ],
)
async def test_no_url_shows_its_password_when_it_is_refused(
    url: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"endpoint_url": url if setting == "endpoint_url" else NOWHERE}
    if setting == "proxies":
        options["config"] = AioConfig(proxies={"http": url})
    elif setting == "proxy":
        monkeypatch.setenv("http_proxy", as_in_the_environment(url))
        options["endpoint_url"] = "http://lambda.example"
    elif setting != "endpoint_url":
        monkeypatch.setenv(setting, as_in_the_environment(url))
        del options["endpoint_url"]
    with pytest.raises(ConfigurationError, match=r"lambda\.example") as raised:
        async with Invoker(session=SESSION, **options):
            pass
    assert not leaks_of(raised.value)


def files(folder: Path) -> dict[str, str]:
    junk = folder / "junk.pem"
    junk.write_text("-----BEGIN CERTIFICATE-----\njunk\n")
    return {
        "missing": str(folder / "missing.pem"),
        "directory": str(folder),
        "junk": str(junk),
    }


@pytest.mark.parametrize(
    ("file", "flaw"),
    [("missing", "does not exist"), ("directory", "is a directory"), ("junk", "cannot be used")],
)
@pytest.mark.anyio
async def test_a_certificate_file_that_cannot_be_read_is_named_on_opening(
    file: str, flaw: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = files(tmp_path)[file]
    proxies: dict[str, Any] = {"proxies": {"https": "https://proxy"}}
    for setting, name in (
        ({"client_cert": path}, "client certificate"),
        ({"client_cert": (path, path)}, "client certificate"),
        ({**proxies, "proxies_config": {"proxy_ca_bundle": path}}, "proxy_ca_bundle"),
    ):
        message = await refusal(config=AioConfig(**setting), session=SESSION)
        assert message.startswith(f"{name} {path!r} {flaw}")
    if file != "junk":  # the certificate exists, and its key does not
        for setting, name in (
            ({"client_cert": (__file__, path)}, "client certificate"),
            (
                {**proxies, "proxies_config": {"proxy_client_cert": (__file__, path)}},
                "proxy_client_cert",
            ),
        ):
            message = await refusal(config=AioConfig(**setting), session=SESSION)
            assert message == f"{name} {path!r} {flaw}"
    monkeypatch.setenv("AWS_CA_BUNDLE", path)
    message = await refusal(session=AioSession())
    assert "AWS_CA_BUNDLE" in message
    assert f"{path!r} {flaw}" in message


@pytest.mark.anyio
async def test_a_certificate_file_of_a_callers_own_client_is_named_on_opening(
    anyio_backend: str, tmp_path: Path
) -> None:
    if anyio_backend == "trio":
        return  # there the client reads it when it is created
    path = files(tmp_path)["missing"]
    config = AioConfig(retries=OFF, client_cert=path)
    async with SESSION.create_client("lambda", region_name="eu-west-1", config=config) as client:
        assert f"client certificate {path!r} does not exist" in await refusal(client=client)


@pytest.mark.anyio
async def test_an_unknown_signature_version_is_named() -> None:
    config = AioConfig(signature_version="v9")
    assert "signature_version 'v9'" in await refusal(session=SESSION, config=config)


@pytest.mark.parametrize(
    ("name", "value", "flaw"),
    [
        ("ACCESS_KEY_ID", "hid\nden", "a line break"),
        ("SECRET_ACCESS_KEY", "hidden ", "a space"),
        ("SESSION_TOKEN", "hid\tden", "a control character"),
    ],
)
@pytest.mark.anyio
async def test_a_key_that_no_header_can_carry_is_named_and_not_shown(
    name: str, value: str, flaw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AWS_{name}", value)
    message = await refusal(session=AioSession(), endpoint_url=NOWHERE)
    assert f"(AWS_{name})" in message
    assert flaw in message
    assert "hid" not in message


def printed(more: str) -> str:
    """Return a credential process that prints credentials with one more field."""
    keys = '"Version": 1, "AccessKeyId": "hidden", "SecretAccessKey": "hidden"'
    return f"echo '{{{keys}, {more}}}'"


@pytest.mark.parametrize(
    ("process", "message"),
    [
        ("/no/such/process hidden", "credential_process: there is no '/no/such/process'"),
        ("/ hidden", "credential_process: '/' cannot be run"),
        ("echo hidden", "credential_process: 'echo' printed what is not JSON"),
        ("printf '\\377hidden'", "credential_process: 'printf' printed what is not JSON"),
        ("echo '[\"hidden\"]'", "credential_process: 'echo' printed JSON that is not credentials"),
        (
            printed('"Expiration": "hidden"'),
            "credential_process: 'echo' printed JSON that is not credentials",
        ),
        (printed('"Expiration": 7'), "credential_process: 'echo' printed JSON that is not"),
        ("false", "Error when retrieving credentials from custom-process"),
        ("echo 'hidden", "credential_process: its value in AWS's config file is not a command"),
        (
            "\n  hidden = echo",
            "credential_process: its value in AWS's config file is not a command",
        ),
        ("", "credential_process: its value in AWS's config file is not a command"),
        (
            "sh -c 'exec >&2; echo told; seq 100000; exit 1'",
            "custom-process: told 1 2 3 4",
        ),
    ],
)
@pytest.mark.anyio
async def test_a_process_that_gives_no_credentials_is_named(
    process: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {process}\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with pytest.raises(ConfigurationError) as raised:
        async with Invoker(endpoint_url=NOWHERE):
            pass
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1500
    assert "hidden" not in str(raised.value)
    assert "hidden" not in repr(raised.value.__cause__) + repr(vars(raised.value.__cause__))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AWS_CREDENTIAL_EXPIRATION", "hidden", "AWS_CREDENTIAL_EXPIRATION is not a time"),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://hidden.invalid/",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI names a host that gives no credentials",
        ),
        (
            "AWS_CREDENTIAL_EXPIRATION",
            "2099-01-01T00:00:00",
            "the expiration has no time zone (AWS_CREDENTIAL_EXPIRATION)",
        ),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "/no/such/file",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: there is no '/no/such/file'",
        ),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            __file__,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: the token has a line break in it",
        ),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "hidden\n",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN: the token has a line break in it",
        ),
    ],
)
@pytest.mark.anyio
async def test_a_variable_that_cannot_be_read_is_named(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    if name != "AWS_CREDENTIAL_EXPIRATION":
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(key)
    if "AUTHORIZATION" in name:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", NOWHERE)
    assert await refusal(session=AioSession(), endpoint_url=NOWHERE) == message


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # aiobotocore runs processes in asyncio
async def test_a_process_of_a_profile_is_named_though_the_environment_has_credentials_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("[profile own]\ncredential_process = echo hidden\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z")
    message = await refusal(session=AioSession(profile="own"), endpoint_url=NOWHERE)
    assert message == "credential_process: 'echo' printed what is not JSON"


@pytest.mark.anyio
async def test_the_error_of_a_credential_source_is_named_without_its_message() -> None:
    class Broken(AioSession):  # type: ignore[misc]  # aiobotocore has no types
        async def get_credentials(self) -> None:
            raise ValueError("hidden")

    message = await refusal(session=Broken(), endpoint_url=NOWHERE)
    assert message == "credentials: ValueError"


@pytest.mark.anyio
async def test_credentials_of_botocore_that_cannot_be_awaited_are_refused() -> None:
    class Blocking(AioSession):  # type: ignore[misc]  # aiobotocore has no types
        async def get_credentials(self) -> Credentials:
            return Credentials("AKID", "hidden")

    message = await refusal(session=Blocking(), endpoint_url=NOWHERE)
    assert message == (
        "credentials: the session has botocore's Credentials, but needs aiobotocore's AioCredentials"
    )


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_client_without_credentials_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    config = AioConfig(retries=OFF)
    opening = AioSession().create_client("lambda", region_name="eu-west-1", config=config)
    async with opening as client:
        assert "has no credentials, and is not an unsigned one" in await refusal(client=client)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_outside_asyncio_what_is_missing_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    assert "pip install 'asyncinvoke[trio]'" in await refusal(endpoint_url=NOWHERE)


@pytest.mark.anyio
async def test_an_address_of_ipv6_is_a_host() -> None:
    async with Invoker(session=SESSION, endpoint_url="http://[::1]:9"):
        pass


@pytest.mark.anyio
async def test_a_configuration_file_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("no section\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    assert str(config) in await refusal(session=AioSession(), endpoint_url=NOWHERE)


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
    """The part of a client that is inspected before it is used."""

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


def test_a_client_of_boto3_is_refused_whatever_its_retries() -> None:
    for options in ({}, {"retries": OFF}):
        client = botocore.session.Session().create_client(
            "lambda",
            region_name="eu-west-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(**options),
        )
        with pytest.raises(ConfigurationError, match="client is one of boto3, which cannot be aw"):
            Invoker(client)


def test_a_client_of_another_service_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'s3', not for 'lambda'"):
        Invoker(Client("s3", retries=OFF))


def test_an_object_that_is_not_a_client_is_refused() -> None:
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


@pytest.mark.parametrize(
    "limit", [0, -1, 1.5, "10", None, True, pytest.param(-(10**5000), id="huge")]
)
def test_a_limit_is_a_whole_number_from_one(limit: Any) -> None:
    for given in (lambda: Invoker(limit=limit), lambda: FixedLimit(limit)):
        with pytest.raises(ConfigurationError, match=r"limit .* must be a whole number from 1"):
            given()


@pytest.mark.parametrize("retry", [3, "standard", RetryPolicy.standard, RetryPolicy])
def test_a_policy_must_be_one(retry: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"retry .* must be a RetryPolicy"):
        Invoker(retry=retry)


@pytest.mark.parametrize("idempotent", [None, 1, "false"])
def test_a_default_is_checked_when_it_is_given_and_not_at_each_call(idempotent: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"idempotent .* must be True or False"):
        Invoker(idempotent=idempotent)


@pytest.mark.parametrize("clock", [5, object(), "utc"])
def test_a_clock_is_checked_when_it_is_given(clock: Any) -> None:
    with pytest.raises(ConfigurationError, match="clock has no `time`"):
        Invoker(clock=clock)


NO_SECONDS = [0, -1, True, "x", float("nan"), float("inf"), (1, 2)]

SETTINGS: list[tuple[dict[str, Any], str]] = [
    *(
        ({name: value}, name)
        for name in ("connect_timeout", "read_timeout")
        for value in NO_SECONDS
    ),
    *(
        ({name: value}, f"{name} has {flaw}")
        for name in ("user_agent", "user_agent_extra")
        for value, flaw in (
            ("a\r\nx: 1", "a line break"),
            ("a\x00", "a control"),
            ("\ud800", "a surr"),
        )
    ),
    ({"user_agent": 5}, "user_agent is not a string, but int"),
    ({"proxies": "http://proxy"}, "proxies must be a dict, not str"),
    ({"proxies": {"https": "socks5://proxy"}}, "proxy for https 'socks5://proxy' must begin with"),
    ({"proxies": {"https": "http://a:secret@proxy:99999"}}, "proxy for https 'http://...@proxy"),
    ({"proxies": {"http": "http://proxy\n"}}, "proxy for http .* has a control character"),
    ({"proxies": {"https": "http://u:secret%E2%82%AC@proxy"}}, "header of a proxy cannot carry"),
    ({"proxies": {"https": "//a..b:3128"}}, "proxy for https 'http://a..b:3128' names a host that"),
    *(
        ({"client_cert": given}, f"client_cert must be a path, or a tuple of two, .*{message}$")
        for given, message in (
            (5, "not int"),
            (["a", "b"], "not list"),
            (("a",), "not a tuple of 1"),
            (("a", None), "not a tuple of 2"),
        )
    ),
    *(
        ({"signature_version": version}, f"signature_version '{version}' is not Lambda's")
        for version in ("v2", "v3", "s3", "v4-query", "bearer")
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("setting", "message"), SETTINGS)
async def test_a_setting_with_which_every_call_would_fail_is_named_on_opening(
    setting: dict[str, Any], message: str
) -> None:
    refused = await refusal(session=SESSION, endpoint_url=NOWHERE, config=AioConfig(**setting))
    assert re.search(message, refused), refused
    assert "secret" not in refused


@pytest.mark.anyio
async def test_a_password_of_a_proxy_that_is_latin_1_is_one_for_aiohttp_alone(
    anyio_backend: str,
) -> None:
    config = AioConfig(proxies={"https": "http://u:secret%C3%B6@127.0.0.1:9"})
    given = {"session": SESSION, "endpoint_url": NOWHERE, "config": config}
    if anyio_backend == "trio":
        assert "header of a proxy cannot carry (ASCII)" in await refusal(**given)
    else:
        async with Invoker(**given):
            pass


PROXIES = [
    ("socks5://proxy:1080", "must begin with http:// or https://"),
    ("ftp://proxy", "must begin with http:// or https://"),
    ("proxy:99999", "is not a URL: Port out of range"),
    ("http://proxy:http", "is not a URL: Port could not be cast"),
    ("http://[::1", "is not a URL: Invalid IPv6 URL"),
    ("http://", "names no host"),
    ("http://0177.1:80", "names a host that there cannot be"),
    ("http://me:secret%E2%82%AC@proxy", "that the header of a proxy cannot carry"),
    ("http://proxy\r\nX: y", "has a space in it"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("url", "message"), PROXIES)
async def test_an_invalid_proxy_of_the_environment_is_named_on_opening_if_it_is_used(
    url: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", url)
    refused = await refusal(session=SESSION, endpoint_url="https://lambda.example")
    assert refused.startswith("proxy for https ")
    assert message in refused
    assert "secret" not in refused
    monkeypatch.setenv("no_proxy", "lambda.example")
    async with Invoker(session=SESSION, endpoint_url="https://lambda.example"):
        pass


@pytest.mark.anyio
async def test_an_endpoint_of_the_environment_that_is_to_be_ignored_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "junk")
    assert "AWS_ENDPOINT_URL 'junk'" in await refusal(session=SESSION)
    async with Invoker(session=SESSION, config=AioConfig(ignore_configured_endpoint_urls=True)):
        pass
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    async with Invoker(session=SESSION):
        pass


@pytest.mark.anyio
async def test_the_file_of_tls_keys_is_named_where_it_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for path, flaw in (
        (tmp_path / "missing" / "keys", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        monkeypatch.setenv("SSLKEYLOGFILE", str(path))
        for session in (AioSession(), SESSION):  # while resolving credentials, and without that
            message = await refusal(session=session, endpoint_url="https://lambda.example")
            assert message == f"SSLKEYLOGFILE '{path}' cannot be written: {flaw}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": 5}, "config must be an AioConfig, not int"),
        ({"config": {"read_timeout": 5}}, "config must be an AioConfig, not dict"),
        ({"region_name": 5}, "region_name must be a string, not int"),
        ({"region_name": ""}, "region_name is empty"),
        (
            {"config": AioConfig(region_name="eu west")},
            "Provided region_name 'eu west' doesn't match",
        ),
        ({"endpoint_url": 5}, "endpoint_url must be a URL, not int"),
        ({"config": AioConfig(region_name=5)}, "no client can be made as configured: "),
        ({"region_name": "eu-west-1\n"}, "region_name has a line break in it"),
    ],
)
async def test_what_is_of_a_wrong_kind_is_named_on_opening(
    options: dict[str, Any], message: str
) -> None:
    assert message in await refusal(session=SESSION, **options)


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
@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
async def test_an_invoker_and_its_handles_are_neither_copied_nor_pickled(make: Any) -> None:
    invoker = Invoker(session=SESSION, endpoint_url=NOWHERE)
    handle = invoker.function("resize")
    for each in (invoker, handle, [handle]):
        if make is copy.copy and isinstance(each, list):
            continue
        with pytest.raises(ConfigurationError, match="neither copied nor pickled"):
            make(each)
    async with invoker:
        with pytest.raises(ConfigurationError, match="neither copied nor pickled"):
            make(invoker)


@pytest.mark.anyio
async def test_an_invoker_is_opened_once_at_a_time() -> None:
    invoker = Invoker(session=SESSION, endpoint_url=NOWHERE)
    async with invoker:
        with pytest.raises(ConfigurationError, match="open already"):
            await invoker.__aenter__()


@pytest.mark.parametrize("timeout", [0, -1, "3", True, float("nan")])
def test_a_timeout_is_a_number_of_seconds(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"timeout .* must be a number of seconds above 0"):
        Invoker(timeout=timeout)


class Transport:
    """The part of a transport that an invoker checks."""

    async def send(self, *_: object) -> None: ...

    open = send


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"transport": "fast"}, "transport 'fast' must be 'direct' or 'client'"),
        ({"transport": object()}, "or an object with `send` and `open`, not object"),
        (
            {"transport": Transport(), "region_name": "x"},
            "region_name has no effect on a transport",
        ),
        ({"transport": Transport(), "client": object()}, "client has no effect on a transport"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_transport_is_one_of_two_words_or_makes_the_attempts(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Invoker(**options)
