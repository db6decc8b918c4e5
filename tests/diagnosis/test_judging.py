"""The meaning of each fact: a table, because checks are functions of values."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from asyncinvoke import (
    Check,
    CheckStatus,
    ConfigurationError,
    Delivery,
    Diagnosis,
    InvocationError,
    NotReadyError,
    RejectedError,
    ServiceError,
    TransportError,
)
from asyncinvoke._diagnosis import endpoint_checks, facts, setup_checks
from asyncinvoke._diagnosis.checks import skipped
from asyncinvoke._diagnosis.facts import Files
from asyncinvoke._model.failure import Failure, TransportFault

E = TypeVar("E", bound=InvocationError)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Setting:
    value: str | None
    source: str = "a test"
    flaw: str | None = None


@dataclass
class Credentials:
    source: str | None = "the environment"
    is_temporary: bool = True
    expires: datetime | None = None
    flaw: str | None = None


@dataclass
class Answered:
    status: int = 403
    elapsed: float = 0.02
    tls: str | None = "TLSv1.3, AES"
    issuer: str | None = "Amazon"
    session: str | None = None


def refused(code: str) -> RejectedError:
    return failed(RejectedError, code)


def failed(kind: type[E], code: str) -> E:
    return kind("no", function_name="resize", delivery=Delivery.REJECTED, code=code)


TABLE = [
    (
        setup_checks.region(Setting("eu-west-1"), aws_region=None),
        "ok",
        "eu-west-1, from a test",
        "",
    ),
    (setup_checks.region(Setting(None), aws_region=None), "wrong", "none", "AWS_DEFAULT_REGION"),
    (
        setup_checks.region(Setting(None), aws_region="eu-west-1"),
        "wrong",
        "none",
        "export AWS_DEFAULT_REGION=eu-west-1",
    ),
    (
        setup_checks.region(Setting("us-east-1"), aws_region="eu-west-1"),
        "note",
        "AWS_REGION says eu-west-1",
        "does not read AWS_REGION",
    ),
    (
        setup_checks.region(
            Setting("eu-wset-1"), aws_region=None, known=["us-east-1", "eu-west-1"]
        ),
        "note",
        "knows no such region",
        "is it eu-west-1?",
    ),
    (setup_checks.region(Setting("eu-west-1"), aws_region=None, known=["eu-west-1"]), "ok", "", ""),
    (
        setup_checks.region(Setting("eu west"), aws_region=None),
        "wrong",
        "no region can be called that",
        "correct it in a test",
    ),
    (
        endpoint_checks.connection(Failure(fault=TransportFault.PROTOCOL)),
        "wrong",
        "InvalidAnswer",
        "is it https://",
    ),
    (
        endpoint_checks.dry_run(
            "resize",
            [],
            RejectedError("403", function_name="resize", delivery=Delivery.REJECTED, code=None),
        ),
        "wrong",
        "403",
        "not Lambda, but a proxy",
    ),
    (setup_checks.credentials(Credentials(None), now=NOW), "wrong", "none were found", "give some"),
    (
        setup_checks.credentials(Credentials(None, flaw="ProfileNotFound: x"), now=NOW),
        "wrong",
        "ProfileNotFound",
        "choose another profile",
    ),
    (
        setup_checks.credentials(Credentials(None, flaw="nothing within 2 s: x"), now=NOW),
        "wrong",
        "nothing within 2 s",
        "what is to give them",
    ),
    (
        setup_checks.credentials(Credentials(is_temporary=False, flaw="a line break"), now=NOW),
        "wrong",
        "a line break",
        "set them again",
    ),
    (
        endpoint_checks.connection(
            Failure(fault=TransportFault.TLS, message="SSLError: [SSL: WRONG_VERSION_NUMBER] wrong")
        ),
        "wrong",
        "WRONG_VERSION_NUMBER",
        "is it http://",
    ),
    (
        endpoint_checks.connection(Failure(fault=TransportFault.CONNECT_TIMEOUT), has_proxy=True),
        "wrong",
        "ConnectTimeout",
        "the proxy",
    ),
    (
        setup_checks.region(Setting("nowhere"), aws_region=None, known=["x"]),
        "note",
        "no such",
        "a typo does not",
    ),
    (
        setup_checks.region(Setting(None, flaw="no such profile"), aws_region="eu-west-1"),
        "wrong",
        "no such profile",
        "choose another profile",
    ),
    (
        setup_checks.credentials(Credentials(None, flaw="none"), now=NOW),
        "wrong",
        "none",
        "AWS_PROFILE",
    ),
    (
        setup_checks.credentials(Credentials(None, flaw="AWS_X is not a time"), now=NOW),
        "wrong",
        "not a time",
        "set them again",
    ),
    (
        setup_checks.credentials(Credentials(None, flaw="found in env, missing: AWS_X"), now=NOW),
        "wrong",
        "missing",
        "set them again",
    ),
    (
        setup_checks.credentials(Credentials(expires=NOW - timedelta(hours=3)), now=NOW),
        "wrong",
        "expired 3 h ago",
        "renew them",
    ),
    (
        setup_checks.credentials(Credentials(expires=NOW + timedelta(minutes=3)), now=NOW),
        "note",
        "end in 3 min",
        "renew them",
    ),
    (
        setup_checks.credentials(Credentials(expires=NOW + timedelta(hours=8)), now=NOW),
        "ok",
        "temporary, from the environment; they end in 8 h",
        "",
    ),
    (
        setup_checks.credentials(Credentials(flaw="cannot be renewed"), now=NOW),
        "wrong",
        "renewed",
        "renew",
    ),
    (setup_checks.open_files(Files(soft=None, hard=None, open=0)), "ok", "no limit", ""),
    (setup_checks.open_files(Files(soft=65_536, hard=65_536, open=9)), "ok", "room for 65,511", ""),
    (
        setup_checks.open_files(Files(soft=256, hard=None, open=9)),
        "note",
        "room for 231",
        "ulimit -n",
    ),
    (
        setup_checks.open_files(Files(soft=100, hard=4096, open=9)),
        "wrong",
        "room for 75",
        "up to 4,096",
    ),
    (
        setup_checks.open_files(Files(soft=100, hard=100, open=9)),
        "wrong",
        "room for 75",
        "no higher",
    ),
    (endpoint_checks.clock(None), "skipped", "did not tell", ""),
    (endpoint_checks.clock(1.5), "ok", "within seconds", ""),
    (endpoint_checks.clock(-60), "note", "60 s ahead of", "five minutes"),
    (endpoint_checks.clock(3600), "wrong", "60 min behind", "five minutes"),
    (
        endpoint_checks.connection(Answered()),
        "ok",
        "20 ms, TLSv1.3, AES, certificate by Amazon",
        "",
    ),
    (
        endpoint_checks.connection(Failure(fault=TransportFault.PROXY, message="502")),
        "wrong",
        "ProxyFailed: 502",
        "no_proxy",
    ),
    (
        endpoint_checks.connection(Failure(fault=TransportFault.CONNECT, message="refused")),
        "wrong",
        "refused",
        "asyncinvoke local",
    ),
    (setup_checks.ca_bundle(Setting("x.pem", flaw="x.pem is bad")), "wrong", "bad", "PEM"),
    (setup_checks.proxy(Setting(None, "the environment")), "ok", "none", ""),
    (endpoint_checks.transport(None, None), "ok", "direct", ""),
    (
        endpoint_checks.transport("x.y listens to before-send", None),
        "note",
        "client, because",
        "four times",
    ),
    (
        endpoint_checks.dry_run("resize", [0.2, 0.03, 0.01], None),
        "ok",
        "200 ms for the first, then 30",
        "",
    ),
    (
        endpoint_checks.dry_run("resize", [], refused("AccessDeniedException")),
        "wrong",
        "no",
        "lambda:Invoke",
    ),
    (
        endpoint_checks.dry_run("resize", [], refused("404")),
        "wrong",
        "no",
        "not Lambda, but a proxy",
    ),
    (
        endpoint_checks.dry_run("resize", [], refused("ExpiredTokenException")),
        "wrong",
        "no",
        "renew them",
    ),
    (
        endpoint_checks.dry_run("resize", [], refused("ResourceNotFoundException")),
        "wrong",
        "no",
        "list-functions",
    ),
    (
        endpoint_checks.connection(Answered(tls=None, issuer=None, session="a proxy")),
        "ok",
        "20 ms, through aiobotocore's session",
        "",
    ),
    (
        endpoint_checks.transport(None, "a proxy"),
        "ok",
        "direct, through aiobotocore's HTTP session: a proxy",
        "",
    ),
    (endpoint_checks.not_opened("bad"), "wrong", "bad", "correct what the message names"),
    (
        endpoint_checks.dry_run("resize", [], failed(NotReadyError, "SnapStartNotReadyException")),
        "note",
        "no",
        "try again later",
    ),
    (
        endpoint_checks.dry_run("resize", [], failed(ServiceError, "ServiceException")),
        "wrong",
        "no",
        "see the checks above",
    ),
    (
        endpoint_checks.dry_run("resize", [], refused("InvalidParameterValueException")),
        "wrong",
        "no",
        "correct what the message names",
    ),
    (
        endpoint_checks.dry_run("resize", [], failed(TransportError, TransportFault.STATUS)),
        "wrong",
        "no",
        "not Lambda, but a proxy",
    ),
    (
        endpoint_checks.dry_run("resize", [], ConfigurationError("no credentials")),
        "wrong",
        "no credentials",
        "correct what the message names",
    ),
    (
        setup_checks.versions({"asyncinvoke": "1"}),
        "wrong",
        "not installed: aiobotocore",
        "pip install",
    ),
]


@pytest.mark.parametrize(("check", "status", "found", "advice"), TABLE)
def test_each_fact_has_a_result_and_each_problem_has_advice(
    check: Check, status: str, found: str, advice: str
) -> None:
    assert check.status == status
    assert found in check.found
    assert advice in (check.advice or "")
    assert (check.advice is None) is (check.status in (CheckStatus.OK, CheckStatus.SKIPPED))


def test_a_diagnosis_is_well_only_while_nothing_is_wrong() -> None:
    well = endpoint_checks.clock(0)
    assert Diagnosis(checks=(well, skipped("dry run", "not asked"))).ok
    assert not Diagnosis(checks=(well, setup_checks.region(Setting(None), aws_region=None))).ok
    assert Diagnosis(checks=(well,))["clock"] is well
    with pytest.raises(KeyError):
        Diagnosis(checks=())["clock"]


def test_a_diagnosis_as_text_has_a_line_for_each_check_and_one_for_each_advice() -> None:
    well = endpoint_checks.clock(0)
    unset = setup_checks.region(Setting(None), aws_region=None)
    assert str(Diagnosis(checks=(well, unset))).splitlines() == [
        f"ok      clock: {well.found}",
        f"wrong   region: {unset.found}",
        f"        -> {unset.advice}",
    ]


def test_a_library_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "CORE", ("asyncinvoke", "none-of-this-name"))
    found = facts.versions()
    assert found["asyncinvoke"] is not None
    assert found["none-of-this-name"] is None
