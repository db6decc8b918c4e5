"""The outcome of an item: `unwrap` returns its response or raises its error, and leaks nothing."""

import gc
import pickle
import weakref

import pytest

from asyncinvoke import Delivery, FunctionError, Outcome, Response


def failed(index: int = 0) -> Outcome:
    error = FunctionError(
        "oops",
        function_error="Unhandled",
        error_type="Busy",
        error_message="oops",
        stack_trace=(),
        response=Response(status_code=200, payload=b"x"),
        function_name="resize",
        delivery=Delivery.EXECUTED,
    )
    error.__cause__ = OSError("why")
    return Outcome(index=index, error=error, started=0, elapsed=0)


def test_a_successful_outcome_returns_its_response() -> None:
    response = Response(status_code=200, payload=b"1")
    outcome = Outcome(index=0, response=response, started=0, elapsed=0)
    assert outcome.ok
    assert outcome.unwrap() is response


def test_a_failed_outcome_raises_its_error_each_time() -> None:
    outcome = failed()
    assert isinstance(outcome.error, FunctionError)
    raised = []
    for _ in range(2):
        with pytest.raises(FunctionError) as caught:
            outcome.unwrap()
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    for each in raised:
        assert str(each) == str(outcome.error)
        assert vars(each) == vars(outcome.error)
        assert each.__cause__ is outcome.error.__cause__
        assert each.__context__ is None
    assert outcome.error.__traceback__ is None
    assert type(pickle.loads(pickle.dumps(outcome)).error) is FunctionError


def handle(outcome: Outcome) -> str:
    """Handle an outcome as callers do; this frame is in the traceback, and holds the outcome."""
    try:
        outcome.unwrap()
    except FunctionError as error:
        return str(error)
    return ""


def test_failures_that_were_raised_do_not_pile_up() -> None:
    alive: list[weakref.ref[BaseException]] = []
    gc.collect()
    gc.disable()
    try:
        for index in range(200):
            outcome = failed(index)
            assert isinstance(outcome.error, FunctionError)
            alive.append(weakref.ref(outcome.error))
            assert "oops" in handle(outcome)
            del outcome
        assert sum(ref() is not None for ref in alive) == 0
    finally:
        gc.enable()
