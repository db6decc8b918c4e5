"""Response, Outcome, Delivery and ThrottleReason."""

import copy
import pickle
from typing import Any

import pytest

from asyncinvoke import Attempt, Delivery, Outcome, RejectedError, Request, Response, ThrottleReason
from asyncinvoke._model.response import Reply

SECRET = "correct-horse-battery-staple"


def test_a_response_decodes_with_the_codec_that_it_was_given() -> None:
    assert Response(status_code=200, payload=b'{"a": 1}').json() == {"a": 1}
    assert Response(status_code=202, payload=b"").json() is None
    assert Response(status_code=200, payload=b"x", decode=bytes.decode).json() == "x"
    with pytest.raises(ValueError, match="Expecting value"):
        Response(status_code=200, payload=b"x").json()


def test_a_response_has_its_time_its_text_and_the_billed_duration() -> None:
    first = Attempt(number=1, waited=0.5, started=100.0, elapsed=1.0, delay=2.0)
    last = Attempt(number=2, waited=0.25, started=103.25, elapsed=1.5)
    log = "START\nREPORT RequestId: 1\tDuration: 1.2 ms\tBilled Duration: 1002 ms\tMemory Size: 128 MB"
    response = Response(
        status_code=200, payload="é".encode() + b"\xff", log_result=log, attempts=(first, last)
    )
    assert (response.elapsed, response.text, response.billed_duration) == (5.25, "é\ufffd", 1.002)


@pytest.mark.parametrize("message", ["9" * 400, "9" * 5000, "\N{ARABIC-INDIC DIGIT SIX}", "7"])
def test_what_a_function_writes_into_its_log_is_not_what_is_billed(message: str) -> None:
    lie = f"REPORT RequestId: 1\tBilled Duration: {message} ms"
    told = "REPORT RequestId: 1\tDuration: 1.2 ms\tBilled Duration: 2 ms"
    response = Response(status_code=200, payload=b"", log_result=f"{lie}\nEND\n{told}\tMemory")
    assert response.billed_duration == 0.002


def test_a_clock_that_was_set_back_makes_no_time_negative() -> None:
    attempts = tuple(Attempt(number=n, started=100.0 - n, elapsed=0.25) for n in (1, 2))
    assert Response(status_code=200, payload=b"", attempts=attempts).elapsed == 0.25


def test_unknown_facts_of_a_response_are_empty() -> None:
    lie = "the function prints Billed Duration: 5 ms"
    response = Response(status_code=202, payload=b"", log_result=lie)
    assert (response.elapsed, response.text, response.billed_duration) == (0.0, "", None)


def test_a_response_is_pickled_without_its_codec() -> None:
    response = Response(
        status_code=200, payload=b'"a"', request_id="r", decode=lambda body: body.hex()
    )
    copied = pickle.loads(pickle.dumps(response))
    assert copied == response
    assert copied.json() == "a"


def test_a_copy_of_a_response_keeps_its_codec() -> None:
    response: Response[str] = Response(status_code=200, payload=b"a", decode=bytes.hex)
    for made in (copy.copy(response), copy.deepcopy(response)):
        assert made == response
        assert made.json() == "61"


def test_neither_payload_nor_log_shows_in_a_repr() -> None:
    body = SECRET.encode()
    for value in (
        Response(status_code=200, payload=body, log_result=SECRET),
        Reply(status_code=200, payload=body, log_result=SECRET),
        Request(payload=SECRET),
    ):
        assert SECRET not in repr(value)


def test_an_outcome_unwraps_to_its_response_or_its_error() -> None:
    response = Response(status_code=200, payload=b"")
    good = Outcome(index=0, response=response, started=0, elapsed=0)
    assert good.ok
    assert good.unwrap() is response
    error = RejectedError("no", function_name="f", delivery=Delivery.REJECTED)
    bad = Outcome(index=1, error=error, started=0, elapsed=0)
    assert not bad.ok
    with pytest.raises(RejectedError) as caught:
        bad.unwrap()
    assert (str(caught.value), error.__traceback__) == (str(error), None)


def test_a_delivery_is_the_furthest_of_its_attempts() -> None:
    order = [Delivery.NOT_SENT, Delivery.REJECTED, Delivery.UNKNOWN, Delivery.EXECUTED]
    assert list(Delivery) == order
    for last, furthest in enumerate(order):
        assert Delivery.of_all([furthest, None, *order[:last]]) is furthest
    assert Delivery.of_all([]) is Delivery.NOT_SENT
    assert [delivery for delivery in order if delivery.may_have_run] == order[2:]


@pytest.mark.parametrize("reason", ["BrandNewLimitExceeded", "", "unknown", None, 7])
def test_a_throttle_reason_that_is_not_known_is_unknown(reason: Any) -> None:
    assert ThrottleReason(reason) is ThrottleReason.UNKNOWN
