"""The tables of `classify` agree with the installed service model; and the Retry-After headers."""

import functools
import math
from email.utils import formatdate
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import FailureKind, ThrottleReason, ThrottleScope
from asyncinvoke._model.delivery import Delivery, Phase
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._retries.classify import CODES, STATUSES, Verdict, classify, parse_retry_after

NOW = 1_700_000_000.0


@functools.cache
def model() -> Any:
    return botocore.session.get_session().get_service_model("lambda")


def modelled_errors() -> list[Any]:
    return list(model().operation_model("Invoke").error_shapes)


def verdict(**failure: Any) -> Verdict:
    return classify(Failure(**failure), now=NOW)


def classified(**failure: Any) -> tuple[FailureKind, Delivery]:
    found = verdict(**failure)
    return found.kind, found.delivery


def test_every_error_that_the_service_model_gives_for_invoke_is_in_the_table() -> None:
    names = {shape.name for shape in modelled_errors()}
    assert len(names) > 40
    assert names - CODES.keys() == set()


def test_every_throttle_reason_of_the_service_model_is_known() -> None:
    modelled = set(model().shape_for("ThrottleReason").enum)
    assert {reason.value for reason in ThrottleReason} == modelled | {"Unknown"}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("fault", TransportFault)
def test_without_an_answer_the_phase_determines_what_may_have_run(
    fault: TransportFault, phase: Phase
) -> None:
    verdict = classify(Failure(fault=fault, phase=phase), now=NOW)
    assert verdict.delivery.may_have_run == (phase >= Phase.WRITTEN)


def test_no_throttle_is_reported_as_executed() -> None:
    judgements = [*CODES.values(), *STATUSES.values()]
    assert {delivery for kind, delivery in judgements if kind is FailureKind.THROTTLED} == {
        Delivery.REJECTED
    }


@pytest.mark.parametrize("code", CODES)
def test_a_429_is_a_throttle_whatever_code_comes_with_it(code: str) -> None:
    assert classified(status_code=429, code=code) == (FailureKind.THROTTLED, Delivery.REJECTED)


def test_what_may_have_run_is_never_called_rejected() -> None:
    for judgement in (*CODES.values(), *STATUSES.values()):
        if judgement[0] is FailureKind.SERVICE:
            assert judgement[1] is Delivery.UNKNOWN
        if judgement[0] is FailureKind.TRANSPORT:
            assert judgement[1] in (Delivery.NOT_SENT, Delivery.UNKNOWN)


@pytest.mark.parametrize(
    "code",
    [
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSNotFoundException",
        "KMSInvalidStateException",
        "EC2AccessDeniedException",
        "InvalidSubnetIDException",
        "InvalidSecurityGroupIDException",
        "InvalidZipFileException",
        "InvalidRuntimeException",
    ],
)
def test_a_permanent_502_is_refused_for_good(code: str) -> None:
    assert classified(status_code=502, code=code) == (FailureKind.REJECTED, Delivery.REJECTED)


def test_every_other_modelled_502_is_waited_out() -> None:
    of_502 = {
        shape.name
        for shape in modelled_errors()
        if shape.metadata.get("error", {}).get("httpStatusCode") == 502
    }
    waited_out = {
        name
        for name in of_502
        if classified(status_code=502, code=name)[0]
        in (FailureKind.NOT_READY, FailureKind.THROTTLED)
    }
    assert waited_out == {
        "EC2ThrottledException",
        "EC2UnexpectedException",
        "ENILimitReachedException",
        "ENINotReadyException",
        "ResourceNotReadyException",
        "SubnetIPAddressLimitReachedException",
    }


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (413, "RequestEntityTooLargeException", FailureKind.REJECTED),
        (403, "AccessDeniedException", FailureKind.REJECTED),
        (400, "ValidationException", FailureKind.REJECTED),
        (403, "UnrecognizedClientException", FailureKind.REJECTED),
        (403, "InvalidSignatureException", FailureKind.REJECTED),
        (403, "ExpiredTokenException", FailureKind.REJECTED),
        (400, "ThrottlingException", FailureKind.THROTTLED),
        (503, "SlowDown", FailureKind.THROTTLED),
        (408, "EFSMountTimeoutException", FailureKind.NOT_READY),
        (409, "SnapStartNotReadyException", FailureKind.NOT_READY),
        (500, "ServiceException", FailureKind.SERVICE),
        (503, "ServiceUnavailableException", FailureKind.SERVICE),
        (429, "429", FailureKind.THROTTLED),
        (429, "BrandNewException", FailureKind.THROTTLED),
        (503, "503", FailureKind.SERVICE),
        (500, None, FailureKind.SERVICE),
        (502, "BrandNewException", FailureKind.SERVICE),
        (504, "504", FailureKind.SERVICE),
        (408, "408", FailureKind.SERVICE),
        (400, "400", FailureKind.REJECTED),
        (404, "BrandNewException", FailureKind.REJECTED),
        (None, None, FailureKind.SERVICE),
    ],
)
def test_unmodelled_codes_and_bare_statuses_are_classified(
    status: int | None, code: str | None, kind: FailureKind
) -> None:
    found = verdict(status_code=status, code=code)
    assert found.kind is kind
    assert found.delivery is (
        Delivery.UNKNOWN if kind is FailureKind.SERVICE else Delivery.REJECTED
    )


def test_a_conflict_is_waited_out_unless_the_function_has_failed() -> None:
    text = "The function is currently in the following state: "
    conflict = functools.partial(classified, status_code=409, code="ResourceConflictException")
    assert conflict(message=f"{text}Pending")[0] is FailureKind.NOT_READY
    assert conflict(message="An update is in progress for resource: a")[0] is FailureKind.NOT_READY
    assert conflict(message=f"{text}Failed")[0] is FailureKind.REJECTED


def test_a_file_system_that_fails_may_do_so_in_the_middle_of_a_run() -> None:
    assert classified(status_code=410, code="EFSIOException") == (
        FailureKind.REJECTED,
        Delivery.UNKNOWN,
    )


@pytest.mark.parametrize(
    ("reason", "scope"),
    [
        ("ConcurrentInvocationLimitExceeded", ThrottleScope.ACCOUNT),
        ("ReservedFunctionConcurrentInvocationLimitExceeded", ThrottleScope.FUNCTION),
        ("CallerRateLimitExceeded", ThrottleScope.CALLER),
        ("BrandNewLimitExceeded", ThrottleScope.FUNCTION),
        (None, ThrottleScope.FUNCTION),
    ],
)
def test_a_throttle_has_its_reason_and_its_scope(reason: Any, scope: ThrottleScope) -> None:
    found = verdict(status_code=429, code="TooManyRequestsException", reason=reason)
    assert found.reason is ThrottleReason(reason)
    assert found.scope is scope


def test_other_failures_have_neither_reason_nor_scope() -> None:
    found = verdict(status_code=500, code="ServiceException", reason="CallerRateLimitExceeded")
    assert found.reason is None
    assert found.scope is None


def test_a_hint_is_read_whatever_the_failure() -> None:
    assert verdict(status_code=503, code="503", retry_after="7").retry_after == 7


TEXT = st.none() | st.text(max_size=20)


@given(
    status_code=st.none() | st.integers(-1, 1000),
    code=TEXT | st.sampled_from(sorted(CODES)),
    message=st.text(max_size=20),
    reason=TEXT,
    retry_after=TEXT,
    amz_retry_after=TEXT,
)
def test_a_hostile_answer_is_always_classified(**failure: Any) -> None:
    found = verdict(**failure)
    assert found.kind not in (FailureKind.FUNCTION, FailureKind.TRANSPORT)
    assert (found.kind is FailureKind.THROTTLED) == (found.reason is not None)
    assert (found.reason is None) == (found.scope is None)


@pytest.mark.parametrize(
    ("retry_after", "amz_retry_after", "expected"),
    [
        (None, None, None),
        ("3", None, 3.0),
        ("0", None, 0.0),
        ("0.25", None, 0.25),
        (None, "1500", 1.5),
        (None, "0", 0.0),
        ("1", "3000", 3.0),
        ("5", "3000", 5.0),
        ("junk", "3000", 3.0),
        ("3", "junk", 3.0),
        ("", "", None),
        ("-1", "-1", None),
        ("nan", "inf", None),
        ("inf", None, None),
        ("1e999", None, None),
        ("1_000", "1_000", None),
        ("\N{FULLWIDTH DIGIT THREE}", "\N{ARABIC-INDIC DIGIT THREE}", None),
        (" 3 ", None, 3.0),
        ("0x3", "+3", None),
        *((f"3{each}", f"{each}3", None) for each in "\x1c\x1d\x1e\x1f\x85\xa0\u2003"),
        ("Wed, 99 Foo 2023 99:99:99 GMT", None, None),
    ],
)
def test_both_headers_are_read_and_the_longer_wait_counts(
    retry_after: str | None, amz_retry_after: str | None, expected: float | None
) -> None:
    assert parse_retry_after(retry_after, amz_retry_after, now=NOW) == expected


@given(st.integers(-10_000_000, 10_000_000))
def test_a_date_is_as_far_away_as_it_says_and_a_past_one_means_now(seconds: int) -> None:
    date = formatdate(NOW + seconds, usegmt=True)
    assert parse_retry_after(date, None, now=NOW) == max(0.0, seconds)


@given(st.floats(min_value=0, max_value=1e9))
def test_a_number_is_seconds_here_and_milliseconds_there(number: float) -> None:
    assert parse_retry_after(repr(number), None, now=NOW) == number
    assert parse_retry_after(None, repr(number), now=NOW) == number / 1000


DATELIKE = st.text("0123456789: ,+-JanFebMonGMTZ", max_size=40)


@given(st.none() | st.text() | DATELIKE, st.none() | st.text() | DATELIKE)
def test_junk_never_raises_and_never_asks_for_less_than_nothing(
    retry_after: str | None, amz_retry_after: str | None
) -> None:
    hint = parse_retry_after(retry_after, amz_retry_after, now=NOW)
    assert hint is None or (math.isfinite(hint) and hint >= 0)
