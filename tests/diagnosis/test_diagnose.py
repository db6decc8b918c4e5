"""`diagnose` against real sockets: problems are found and named, and no secrets are shown."""

import json
import math
import socket
from email.utils import formatdate
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiobotocore.session import AioSession

import asyncinvoke
from asyncinvoke.local import LocalLambda, error
from tests.doubles.certificates import Authority
from tests.doubles.connect_proxy import ConnectProxy
from tests.doubles.loopback import LoopbackServer, finish

pytestmark = pytest.mark.anyio

SUBJECTS = [
    *("versions", "python", "event loop", "open files", "region", "credentials", "endpoint"),
    *("proxy", "certificates", "connection", "clock", "transport", "dry run"),
]


@pytest.fixture(autouse=True)
def _no_bundle_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "AWS_REGION", "HTTPS_PROXY", "https_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def wrong(diagnosis: asyncinvoke.Diagnosis) -> list[str]:
    return [check.name for check in diagnosis.checks if check.status == "wrong"]


async def answer(event: object, context: object) -> object:
    return event


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def test_without_problems_every_subject_has_a_line_and_nothing_runs(
    anyio_backend: str,
) -> None:
    async with LocalLambda() as local:
        local.function("resize", answer)
        diagnosis = await asyncinvoke.diagnose("resize", endpoint_url=local.url)
        counted = local.statistics()
    assert [check.name for check in diagnosis.checks] == SUBJECTS
    assert diagnosis.ok
    assert diagnosis["event loop"].found in (anyio_backend, "uvloop")
    assert diagnosis["endpoint"].facts["url"] == local.url
    assert diagnosis["transport"].facts["name"] == "direct"
    milliseconds = diagnosis["dry run"].facts["milliseconds"]
    assert isinstance(milliseconds, list)
    assert len(milliseconds) == counted.invocations == 3
    assert json.loads(json.dumps(diagnosis.as_dict()))["ok"] is True


async def test_no_key_and_no_token_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ["ASIASECRETKEYID", "secret-access-key", "secret-session-token", "proxy-password"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", secrets[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secrets[1])
    monkeypatch.setenv("AWS_SESSION_TOKEN", secrets[2])
    monkeypatch.setenv("https_proxy", f"http://user:{secrets[3]}@127.0.0.1:{closed_port()}")
    for url in (None, f"http://127.0.0.1:{closed_port()}", f"https://{secrets[3]}@localhost:1"):
        diagnosis = await asyncinvoke.diagnose("resize", endpoint_url=url, timeout=5)
        told = repr(diagnosis) + str(diagnosis) + json.dumps(diagnosis.as_dict())
        assert [secret for secret in secrets if secret in told] == []
    assert diagnosis["credentials"].facts["kind"] == "temporary"


async def test_a_missing_region_and_missing_credentials_are_both_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    diagnosis = await asyncinvoke.diagnose("resize")
    assert wrong(diagnosis) == ["region", "credentials"]
    assert "export AWS_DEFAULT_REGION=eu-west-1" in str(diagnosis["region"].advice)
    assert diagnosis["dry run"].status == "skipped"


@pytest.mark.parametrize("region_name", [None, "eu-west-1"])
@pytest.mark.parametrize("endpoint_url", [None, "http://127.0.0.1:1"])
@pytest.mark.parametrize(
    ("text", "found"),
    [("", "profile (missing) could not be found"), ("garbage", "Unable to parse config file")],
)
async def test_a_profile_that_cannot_be_read_is_reported_for_all_that_it_sets(
    text: str,
    found: str,
    endpoint_url: str | None,
    region_name: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "config").write_text(text, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "missing")
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    diagnosis = await asyncinvoke.diagnose(endpoint_url=endpoint_url, region_name=region_name)
    told = ["credentials", "endpoint"] if region_name else ["region", "credentials", "endpoint"]
    assert wrong(diagnosis) == told
    for name in told:
        assert found in diagnosis[name].found
        assert "AWS's config file" in str(diagnosis[name].advice)


async def test_credentials_that_never_arrive_are_reported_within_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(session: object) -> None:
        await anyio.sleep_forever()

    # A second wait for them would also never end.
    monkeypatch.setattr(AioSession, "get_credentials", hang)
    with anyio.fail_after(60):
        diagnosis = await asyncinvoke.diagnose(endpoint_url="http://127.0.0.1:1", timeout=0.1)
    assert wrong(diagnosis) == ["credentials"]
    assert diagnosis["credentials"].found.startswith("nothing within 0.1 s")
    assert diagnosis["connection"].status == "skipped"
    assert [check.name for check in diagnosis.checks] == SUBJECTS


async def test_a_misspelt_region_is_reported_if_it_decides_the_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nothing leaves this machine: requests go through a proxy that does not exist.
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{closed_port()}")
    diagnosis = await asyncinvoke.diagnose(region_name="eu-wset-1", timeout=5)
    assert diagnosis["region"].status == "note"
    assert "is it eu-west-1?" in str(diagnosis["region"].advice)
    url = f"http://127.0.0.1:{closed_port()}"
    diagnosis = await asyncinvoke.diagnose(region_name="home", endpoint_url=url, timeout=5)
    assert diagnosis["region"].status == "ok"


async def test_expired_credentials_are_reported_with_their_expiry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z")
    diagnosis = await asyncinvoke.diagnose(endpoint_url=f"http://127.0.0.1:{closed_port()}")
    assert "credentials" in wrong(diagnosis)
    assert diagnosis["credentials"].facts["expires"] == "2020-01-01T00:00:00+00:00"
    assert "expired" in diagnosis["credentials"].found


async def test_an_expiry_without_a_time_zone_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2099-01-01T00:00:00")
    diagnosis = await asyncinvoke.diagnose(endpoint_url=f"http://127.0.0.1:{closed_port()}")
    assert wrong(diagnosis) == ["credentials"]
    assert "the expiration has no time zone" in diagnosis["credentials"].found


async def test_credentials_that_the_service_considers_expired_are_reported_by_the_dry_run() -> None:
    async with LocalLambda() as local:
        local.function("resize", answer)
        local.fault(error(403, "ExpiredTokenException"))
        diagnosis = await asyncinvoke.diagnose("resize", endpoint_url=local.url)
    assert wrong(diagnosis) == ["dry run"]
    assert "renew" in str(diagnosis["dry run"].advice)


async def test_an_unknown_function_is_asked_for_once_and_reported_with_where_to_look() -> None:
    async with LocalLambda() as local:
        diagnosis = await asyncinvoke.diagnose("missing", endpoint_url=local.url)
        assert local.statistics().invocations == 1
    assert wrong(diagnosis) == ["dry run"]
    assert "list-functions" in str(diagnosis["dry run"].advice)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"timeout": 0}, "timeout 0 must be a number of seconds above 0"),
        ({"timeout": math.nan}, "timeout nan must be a number of seconds above 0"),
        ({"timeout": "10"}, "timeout '10' must be a number of seconds above 0"),
        ({"region_name": 7}, "region_name must be a string, not int"),
        ({"endpoint_url": b"http://127.0.0.1:1"}, "endpoint_url must be a string, not bytes"),
        ({"session": 7}, "session must be an aiobotocore AioSession, not int"),
        ({"function_name": 7}, "function_name must be a string, not int"),
        ({"function_name": "a b"}, "function_name 'a b' is not a name"),
    ],
)
async def test_an_argument_that_breaks_a_rule_is_refused(
    arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(asyncinvoke.AsyncInvokeError) as refused:
        await asyncinvoke.diagnose(**arguments)
    assert said in str(refused.value)


async def test_a_closed_port_is_reported() -> None:
    diagnosis = await asyncinvoke.diagnose(endpoint_url=f"http://127.0.0.1:{closed_port()}")
    assert wrong(diagnosis) == ["connection"]
    assert "asyncinvoke local" in str(diagnosis["connection"].advice)
    assert diagnosis["clock"].status == "skipped"


async def test_an_unusable_bundle_is_reported_with_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("no certificate")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    diagnosis = await asyncinvoke.diagnose(endpoint_url="https://127.0.0.1:1")
    assert wrong(diagnosis) == ["certificates"]
    assert str(bundle) in diagnosis["certificates"].found


class Answering(LoopbackServer):
    """Answers requests with a given `Date`."""

    date: str | None = None  # now

    def serve(self, connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = connection.recv(4096)
            if not piece:
                return
            head += piece
        date = self.date or formatdate(usegmt=True)
        connection.sendall(
            f"HTTP/1.1 403 Forbidden\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        finish(connection)


async def test_the_tls_version_and_the_issuer_are_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    context = authority.issue("endpoint").server_context()

    class OverTLS(Answering):
        def serve(self, connection: socket.socket) -> None:
            try:
                secured = context.wrap_socket(connection, server_side=True)
            except OSError:
                return
            with secured:
                super().serve(secured)

    with OverTLS() as server:
        url = f"https://127.0.0.1:{server.port}"
        untrusted = await asyncinvoke.diagnose(endpoint_url=url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle))
        trusted = await asyncinvoke.diagnose(endpoint_url=url)
    assert wrong(untrusted) == ["connection"]
    assert "AWS_CA_BUNDLE" in str(untrusted["connection"].advice)
    assert wrong(trusted) == [], [trusted[name] for name in wrong(trusted)]
    assert str(trusted["connection"].facts["tls"]).startswith("TLSv1.")
    assert trusted["connection"].facts["issuer"] == "authority of the tests"


async def test_a_wrong_clock_is_reported() -> None:
    class Early(Answering):
        date = formatdate(0, usegmt=True)

    with Early() as server:
        diagnosis = await asyncinvoke.diagnose(endpoint_url=f"http://127.0.0.1:{server.port}")
    assert wrong(diagnosis) == ["clock"]
    assert "ahead of the service's" in diagnosis["clock"].found


async def test_a_proxy_that_refuses_is_reported_with_its_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("no_proxy")
    with ConnectProxy("refuse") as proxy:
        monkeypatch.setenv("https_proxy", proxy.url_of("user:password"))
        diagnosis = await asyncinvoke.diagnose(endpoint_url="https://127.0.0.1:1", timeout=20)
    assert wrong(diagnosis) == ["connection"]
    assert diagnosis["proxy"].facts["source"] == "https_proxy"
    assert f"127.0.0.1:{proxy.port}" in diagnosis["proxy"].found
    assert diagnosis["connection"].facts["fault"] == "ProxyFailed"


async def test_a_listener_to_the_sdk_is_named_as_the_reason_for_the_fallback() -> None:
    from aiobotocore.session import AioSession

    session = AioSession()
    session.get_component("event_emitter").register("before-send.lambda", lambda **_: None)
    async with LocalLambda() as local:
        diagnosis = await asyncinvoke.diagnose(session=session, endpoint_url=local.url)
    assert diagnosis.ok
    assert diagnosis["transport"].status == "note"
    assert "listens to before-send" in diagnosis["transport"].found
