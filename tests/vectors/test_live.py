"""`make live` itself: against an endpoint that answers as recorded, and one that does not."""

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
        assert "SetUpVector(name='no policy', source='LIVE 20" in told

        local.fault(throttle())
        assert run(local, "an unknown function") == 1
        told = capsys.readouterr().out
        assert "#   status: 429 in place of 404" in told
        assert "Vector(name='an unknown function', source='LIVE 20" in told
    assert not local._service.registry.functions  # what it made is gone
