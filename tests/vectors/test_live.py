"""`make live`, against an endpoint that answers as recorded, and one that does not."""

from contextlib import closing

import boto3
import pytest
from anyio.from_thread import start_blocking_portal

from asyncinvoke.local import LocalLambda, throttle
from asyncinvoke.local.protocol import refusals

from . import live

pytest.importorskip("awslambdaric", reason="needs asyncinvoke[local]")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


def run(local: LocalLambda, only: str) -> int:
    return live.main(["--endpoint-url", local.url, "--only", only])


def test_it_finds_what_differs_and_prints_it_as_a_vector(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(LocalLambda(settling_time=0)) as local,
    ):
        assert run(local, "no policy") == 0
        assert run(local, "an unknown function") == 0
        assert "1 answers of" in capsys.readouterr().out

        monkeypatch.setattr(refusals, "nothing_there", lambda: refusals.not_found("Another text."))
        assert run(local, "no policy") == 1
        told = capsys.readouterr().out
        assert "# GetPolicy: no policy (REC 2023-11-20" in told
        assert "Message: 'Another text.' in place of 'The resource you requested" in told
        assert "SetUpVector(name='no policy', operation='GetPolicy', source='LIVE 20" in told
        assert "status=404, code='ResourceNotFoundException', says={" in told

        local.fault(throttle())
        assert run(local, "an unknown function") == 1
        told = capsys.readouterr().out
        assert "#   status: 429 in place of 404" in told
        assert "Vector(name='an unknown function', source='LIVE 20" in told
        assert run(local, "numbers go on where versions were deleted") == 0
        with closing(boto3.client("lambda", "us-east-1", endpoint_url=local.url)) as client:
            assert client.list_layers()["Layers"] == []  # what it created is deleted
    assert not local._service.registry.functions  # what it created is deleted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--endpoint-url", "http://127.0.0.1:1"], "Could not connect to the endpoint URL"),
        (["--endpoint-url", "nonsense"], "Invalid endpoint: nonsense"),
        ([], "a real account needs --role"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert live.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_without_credentials_nothing_is_sent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    assert live.main(["--endpoint-url", "http://127.0.0.1:1"]) == 2
    assert capsys.readouterr().err == "make live: Unable to locate credentials\n"
