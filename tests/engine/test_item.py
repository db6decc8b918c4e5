"""One item of a map: its options, its key, and that its errors become its outcome."""

import math
from typing import Any

import pytest

from asyncinvoke import InvalidRequestError, Outcome, RejectedError, Request
from asyncinvoke._engine.calls import check_timeout
from asyncinvoke._engine.item import ItemWork
from asyncinvoke._model.failure import Failure, TransportFault
from tests.doubles.engine import OK, REJECTED, ScriptedEngine, engine, item_work


def work_of(scripted: ScriptedEngine, key: Any = None, **options: Any) -> ItemWork:
    return item_work(scripted, options, key=key)


async def outcome_of(item: object, *answers: Any, key: Any = None, **options: Any) -> Outcome:
    return await work_of(engine(*answers), key, **options)(3, item)


@pytest.mark.anyio
async def test_an_item_becomes_the_outcome_of_its_index_and_key() -> None:
    good = await outcome_of({"id": "a"}, OK, key=lambda item: item["id"])
    assert (good.index, good.key, good.ok) == (3, "a", True)
    assert good.attempts == good.unwrap().attempts
    bad = await outcome_of({"id": "b"}, REJECTED, key=lambda item: item["id"])
    assert (bad.index, bad.key, bad.response) == (3, "b", None)
    assert isinstance(bad.error, RejectedError)
    assert bad.attempts == bad.error.attempts
    assert len(bad.attempts) == 1


class RaisesWhenInspected:
    """Raises the given error when it is inspected."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @property  # type: ignore[misc]  # what mypy has it for may be set, too
    def __class__(self) -> type:
        raise self._error


@pytest.mark.parametrize(
    "item",
    [
        {1, 2},
        b"x" * 6_291_457,
        Request(function_name="no such name"),
        Request(qualifier="a b"),
        Request(timeout=-1),
        Request(payload={1}, key="mine"),
        Request(client_context={"k": {1}}),
        Request(invocation_type="event"),  # type: ignore[arg-type]
    ],
    ids=repr,
)
@pytest.mark.anyio
async def test_an_item_that_cannot_be_sent_is_one_failed_outcome(item: object) -> None:
    scripted = engine()
    outcome = await work_of(scripted)(0, item)
    assert isinstance(outcome.error, InvalidRequestError)
    assert outcome.attempts == ()
    assert scripted.script.sent == []


@pytest.mark.anyio
@pytest.mark.parametrize("error", [OverflowError, TypeError, RecursionError, KeyError])
async def test_whatever_an_item_raises_is_its_own_outcome(error: type[Exception]) -> None:
    outcome = await outcome_of(RaisesWhenInspected(error()))
    assert isinstance(outcome.error, InvalidRequestError)
    assert error.__name__ in str(outcome.error)


@pytest.mark.anyio
async def test_an_item_that_cannot_be_encoded_keeps_its_key() -> None:
    assert (await outcome_of({1}, key=lambda item: "named")).key == "named"
    assert (await outcome_of(Request(payload={1}, key="own"))).key == "own"


@pytest.mark.anyio
async def test_a_key_that_cannot_be_found_is_one_failed_outcome() -> None:
    outcome = await outcome_of({"secret": 1}, key=lambda item: item["id"])
    assert str(outcome.error) == "key cannot name the payload: KeyError"


@pytest.mark.anyio
async def test_a_request_replaces_the_options_of_the_map_for_itself() -> None:
    scripted = engine(OK, OK, OK)
    work = work_of(scripted, key=str, qualifier="live", log_type="Tail", tenant_id="t")
    await work(0, 1)
    await work(1, Request(payload=2, qualifier="7", invocation_type="DryRun", tenant_id="u"))
    outcome = await work(2, Request(payload=3, function_name="other", key="own"))
    (first, _), (second, body), (third, _) = scripted.script.sent
    assert (str(first.target), first.log_type, first.tenant_id) == ("work:live", "Tail", "t")
    assert (str(second.target), second.log_type, second.tenant_id) == ("work:7", "Tail", "u")
    assert (second.invocation_type, body) == ("DryRun", b"2")
    assert str(third.target) == "other"
    assert outcome.key == "own"


@pytest.mark.anyio
async def test_an_event_of_its_own_has_the_limit_of_events() -> None:
    large = b"x" * 1_048_577
    outcome = await outcome_of(Request(payload=large, invocation_type="Event"), OK)
    assert "Event takes at most 1048576 bytes" in str(outcome.error)
    assert (await outcome_of(Request(payload=large), OK)).ok


@pytest.mark.anyio
async def test_the_error_of_an_outcome_holds_no_frame_nor_do_its_causes() -> None:
    try:
        raise ConnectionResetError("reset")
    except ConnectionResetError as error:
        lost = Failure(fault=TransportFault.CONNECTION_LOST, message="reset", cause=error)
    outcome = await outcome_of({"secret": 1}, lost)
    assert outcome.error is not None
    cause = outcome.error.__cause__
    assert isinstance(cause, ConnectionResetError)
    assert (outcome.error.__traceback__, cause.__traceback__) == (None, None)


@pytest.mark.parametrize("options", [{"qualifier": "a b"}, {"timeout": 0}, {"tenant_id": ""}])
@pytest.mark.anyio
async def test_what_all_items_share_is_checked_before_any(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        work_of(engine(), **options)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "1", True, -float("inf"), [1]])
def test_a_timeout_is_a_number_above_nothing(timeout: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"timeout .* must be a number of seconds"):
        check_timeout(timeout)


def test_an_infinite_timeout_means_no_timeout() -> None:
    assert check_timeout(float("inf")) == check_timeout(None) == math.inf
    assert check_timeout(10**400) == math.inf
    assert check_timeout(3) == 3.0


async def key_of_the_caller(item: object) -> str:
    return "never awaited"


def test_a_key_that_would_have_to_be_awaited_is_refused_before_anything_is_sent() -> None:
    scripted = engine()
    with pytest.raises(InvalidRequestError, match="key must be a plain function"):
        work_of(scripted, key_of_the_caller)
    with pytest.raises(InvalidRequestError, match="key must be a function, not str"):
        work_of(scripted, "id")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("key", "kind"), [(lambda item: key_of_the_caller(item), "coroutine"), (lambda item: 7, "int")]
)
async def test_a_key_that_is_no_text_fails_its_item_alone(key: Any, kind: str) -> None:
    outcome = await outcome_of({"id": 7}, key=key)
    assert str(outcome.error) == f"key must be a string, not {kind}"
