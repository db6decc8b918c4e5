"""The errors: the tree as drawn in the docstring, messages, pickling, and what they never hold."""

import copy
import inspect
import json
import pickle
import re
from typing import Any

import pytest

import asyncinvoke
from asyncinvoke import errors
from asyncinvoke._model.delivery import Delivery
from asyncinvoke._model.failure import (
    Failure,
    FailureKind,
    ThrottleReason,
    ThrottleScope,
    TransportFault,
)
from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._request.parameters import checked
from asyncinvoke._request.target import Target
from asyncinvoke._retries.classify import FUNCTION_FAILED, NEVER_SENT, Verdict, classify
from asyncinvoke._retries.raising import error_for, function_error_for
from asyncinvoke.errors import (
    AsyncInvokeError,
    ConfigurationError,
    DeadlineExceededError,
    FunctionError,
    GaveUp,
    InvalidRequestError,
    InvocationError,
    JournalError,
    JournalMismatchError,
    NotReadyError,
    RejectedError,
    ServiceError,
    ThrottledError,
    ToleranceExceededError,
    TransportError,
)

SECRET = "correct-horse-battery-staple"
FACTS: dict[str, Any] = {
    "function_name": "resize",
    "qualifier": "live",
    "request_id": "1-2-3",
    "status_code": 429,
    "code": "TooManyRequestsException",
    "delivery": Delivery.REJECTED,
    "retry_after": 2.0,
    "attempts": (Attempt(number=1, started=0.0, elapsed=0.5, kind=FailureKind.THROTTLED),),
    "elapsed": 1.25,
    "gave_up": GaveUp.ATTEMPTS,
}
PLAIN = [NotReadyError, RejectedError, ServiceError, TransportError, DeadlineExceededError]


def one_of_each() -> list[AsyncInvokeError]:
    return [
        AsyncInvokeError("no"),
        ConfigurationError("no"),
        InvalidRequestError("no"),
        JournalError("no"),
        JournalMismatchError("no", differences=("item 17 is not what it was",)),
        ToleranceExceededError("no", failed=2, ended=3),
        InvocationError("no", **FACTS),
        *(plain("no", **FACTS) for plain in PLAIN),
        ThrottledError(
            "no",
            reason=ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED,
            scope=ThrottleScope.CALLER,
            **FACTS,
        ),
        FunctionError(
            "no",
            function_error="Unhandled",
            error_type="Busy",
            error_message="no",
            stack_trace=("a", "b"),
            response=Response(status_code=200, payload=b"{}", decode=lambda body: body),
            **FACTS,
        ),
    ]


def drawn_tree() -> dict[str, set[str]]:
    """Parse the drawing: each class with the names in brackets, and its parent."""
    tree: dict[str, set[str]] = {}
    parents: list[str] = []
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]
        found = re.match(r"^([ |`-]*)(\w+Error)(?: \((\w+)\))?(?:\s{2,}|$)", line)
        if found:
            depth = len(found[1]) // 3
            parents[depth:] = [found[2]]
            tree[found[2]] = {found[3]} - {None} | set(parents[depth - 1 : depth] if depth else [])
    return tree


def test_the_tree_is_as_it_is_drawn() -> None:
    classes = {
        name: {base.__name__ for base in member.__bases__} - {"Exception"}
        for name, member in vars(errors).items()
        if isinstance(member, type) and issubclass(member, AsyncInvokeError)
    }
    assert drawn_tree() == classes
    assert classes.keys() <= set(asyncinvoke.__all__)


def test_there_is_one_of_each_here() -> None:
    assert {type(error).__name__ for error in one_of_each()} == drawn_tree().keys()


@pytest.mark.parametrize("error", one_of_each(), ids=lambda error: type(error).__name__)
def test_an_error_is_pickled_and_copied_whole(error: AsyncInvokeError) -> None:
    error.add_note("seen in a worker")
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(copied) is type(error)
        assert str(copied) == str(error)
        assert copied.args == error.args
        assert vars(copied) == vars(error)


def test_an_error_says_what_failed_how_often_and_why_no_more() -> None:
    assert str(ServiceError("oops", **FACTS)) == (
        "resize:live: TooManyRequestsException: oops "
        "(1 attempt in 1.25 s, no attempts left, retry after 2 s, request id 1-2-3)"
    )
    bare = TransportError("", function_name="resize", delivery=Delivery.NOT_SENT)
    assert str(bare) == "resize: TransportError (0 attempts in 0.00 s)"


@pytest.mark.parametrize("delivery", Delivery)
@pytest.mark.parametrize("gave_up", GaveUp)
def test_an_error_says_once_that_the_function_may_have_run_if_unknown(
    gave_up: GaveUp, delivery: Delivery
) -> None:
    is_known = delivery is not Delivery.UNKNOWN and gave_up is not GaveUp.DELIVERY_UNKNOWN
    text = str(ServiceError("oops", **{**FACTS, "gave_up": gave_up, "delivery": delivery}))
    assert text.count("the function may have run") == (0 if is_known else 1)


@pytest.mark.parametrize("gave_up", GaveUp)
def test_every_reason_to_give_up_is_in_the_message(gave_up: GaveUp) -> None:
    with_reason = str(ServiceError("oops", **{**FACTS, "gave_up": gave_up}))
    without = str(ServiceError("oops", **{**FACTS, "gave_up": None}))
    assert len(with_reason) > len(without)


def test_the_message_of_a_throttle_has_its_reason_if_known() -> None:
    throttled = [
        str(ThrottledError("slow", reason=reason, scope=ThrottleScope.FUNCTION, **FACTS))
        for reason in (ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED, ThrottleReason.UNKNOWN)
    ]
    assert "TooManyRequestsException (CallerRateLimitExceeded): slow" in throttled[0]
    assert "TooManyRequestsException: slow" in throttled[1]


def test_the_message_of_a_function_error_has_its_type() -> None:
    for body, label in [
        (b'{"errorType": "Busy", "errorMessage": "come back"}', "resize: Busy: come back ("),
        (b"{}", "resize: function error Unhandled ("),
    ]:
        response = Response(status_code=200, payload=body, function_error="Unhandled")
        verdict = Verdict(kind=FailureKind.FUNCTION, delivery=Delivery.EXECUTED)
        error = function_error_for(response, verdict, checked("resize").target)
        assert str(error).startswith(label)
        assert error.response is response
        assert error.delivery is Delivery.EXECUTED


def built(failure: Failure) -> InvocationError:
    return error_for(
        failure, classify(failure, now=0.0), checked("resize", qualifier="live").target
    )


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure(status_code=429, code="TooManyRequestsException"), ThrottledError),
        (Failure(status_code=502, code="EC2ThrottledException"), ThrottledError),
        (Failure(status_code=429, code="429"), ThrottledError),
        (Failure(status_code=409, code="SnapStartNotReadyException"), NotReadyError),
        (Failure(status_code=404, code="ResourceNotFoundException"), RejectedError),
        (Failure(status_code=500, code="ServiceException"), ServiceError),
        (Failure(fault=TransportFault.FILES), ThrottledError),
        *(
            (Failure(fault=fault), RejectedError if fault in NEVER_SENT else TransportError)
            for fault in TransportFault
            if fault is not TransportFault.FILES
        ),
    ],
)
def test_each_failure_becomes_the_error_of_its_kind(
    failure: Failure, expected: type[InvocationError]
) -> None:
    error = built(failure)
    assert type(error) is expected
    assert error.function_name == "resize"
    assert error.qualifier == "live"
    assert error.code == (failure.fault or failure.code)


def test_the_foreign_exception_is_the_cause() -> None:
    cause = ConnectionResetError("reset")
    assert built(Failure(fault=TransportFault.CONNECTION_LOST, cause=cause)).__cause__ is cause


def test_a_service_message_that_quotes_the_payload_is_not_passed_on() -> None:
    error = built(
        Failure(
            status_code=400,
            code="InvalidRequestContentException",
            message=f"Could not parse request body into json: Unrecognized token '{SECRET}'",
        )
    )
    assert SECRET not in str(error)
    assert SECRET not in str(vars(error))


@pytest.mark.parametrize("made_up", ["\x1b]0;mine\x07 no", "\u202eon", "half \ud800 of it"])
def test_a_message_does_not_control_the_terminal(made_up: str) -> None:
    response = Response(
        status_code=200,
        payload=json.dumps({"errorMessage": made_up}).encode(),
        function_error="Unhandled",
    )
    target = Target.parse("resize")
    for error in (
        built(Failure(status_code=404, code="ResourceNotFoundException", message=made_up)),
        function_error_for(response, FUNCTION_FAILED, target),
    ):
        assert error.message.isprintable()
        assert error.message.encode()


def test_a_long_message_is_cut_and_put_on_one_line() -> None:
    error = built(Failure(status_code=502, code="502", message="<html>\n" + "x" * 5000))
    assert "\n" not in str(error)
    assert len(str(error)) < 500


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("AccessDeniedException", True),
        (None, True),
        # What their text quotes may be a whole request.
        ("UnrecognizedClientException", False),
        ("SomethingNewException", False),
    ],
)
def test_a_long_message_is_shown_if_its_code_is_known_to_quote_no_request(
    code: str | None, shown: bool
) -> None:
    message = "User is not authorized to perform lambda:InvokeFunction " + "x" * 100
    error = built(Failure(status_code=403, code=code, message=message))
    assert (message in str(error)) == shown
