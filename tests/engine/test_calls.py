"""Options that are checked and remembered: unknown ones, ones that are `None`, ones of another method."""

import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import InvalidRequestError, Invoker, RetryBudget, RetryPolicy
from asyncinvoke._engine.calls import Call, Calls, Defaults, refuse_unknown
from asyncinvoke._engine.options import InvokeOptions
from asyncinvoke._model.response import decode_json
from asyncinvoke.testing import FakeLambda

pytestmark = pytest.mark.anyio


def calls() -> Calls:
    return Calls(Defaults(decode=decode_json, retry=RetryPolicy()))


@pytest.mark.parametrize("way", ["invoke", "send_event", "dry_run", "stream", "map", "function"])
async def test_an_unknown_option_is_an_error_of_one_line(way: str) -> None:
    fake = FakeLambda({"echo": lambda event, _: event})
    options: dict[str, Any] = {"tiemout": 3}
    async with Invoker(transport=fake) as invoker:
        method: Any = getattr(invoker, way)

        async def ask() -> None:
            if way in ("invoke", "send_event", "dry_run"):
                await method("echo", 1, **options)
            elif way == "function":
                method("echo", **options)
            else:
                async with method("echo", [1], **options):
                    pass

        with pytest.raises(
            InvalidRequestError,
            match=r"^'tiemout' is not one of the \w+Options: did you mean 'timeout'\?$",
        ):
            await ask()
        assert invoker.statistics().attempts == 0


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("Qualifier", ": did you mean 'qualifier'?"),
        ("InvocationType", ": did you mean 'invocation_type'?"),
        ("TenantId", ": did you mean 'tenant_id'?"),
        ("region_name", ""),
    ],
)
def test_an_option_as_aws_spells_it_is_refused_with_the_one_that_is_meant(
    given: str, hint: str
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        refuse_unknown({given: "live"}, InvokeOptions)
    assert str(raised.value) == f"{given!r} is not one of the InvokeOptions{hint}"


async def test_an_option_that_is_none_is_as_one_that_is_left_out() -> None:
    known = calls()
    plain = known.get("f", {})
    assert known.get("f", {"client_context": None, "durable_execution_name": None}) is plain
    assert known.get("f", {"timeout": None, "retry": None, "idempotent": None}) == plain
    assert known.get("f", {"client_context": {"a": 1}}) != plain


async def test_what_belongs_to_one_call_is_put_on_top_of_what_is_remembered() -> None:
    known = calls()
    first = known.get("f", {"client_context": {"n": 1}, "timeout": 3})
    second = known.get("f", {"client_context": {"n": 2}, "timeout": 3})
    assert first.parameters.client_context != second.parameters.client_context
    assert first.policy is second.policy
    assert known.get("f", {"timeout": 3}).parameters.client_context is None
    assert not first.repeatable
    assert known.get("f", {"durable_execution_name": "once"}).repeatable


def test_a_handle_with_its_own_codec_spends_the_same_retry_budget() -> None:
    known = calls()
    retry = RetryPolicy(budget=RetryBudget(burst=1, per_second=0, ratio=0))
    mine = known.get("f", {"retry": retry}).balance
    handles = known.with_decode(bytes).get("f", {"retry": retry}).balance
    assert mine is not None
    assert handles is mine


@pytest.mark.parametrize(
    ("way", "asked", "says"),
    [
        ("send_event", "DryRun", "invocation_type 'DryRun' does not go with Event"),
        ("dry_run", "Event", "invocation_type 'Event' does not go with DryRun"),
        (
            "send_event",
            "RequestResponse",
            "invocation_type 'RequestResponse' does not go with Event",
        ),
        ("dry_run", "RequestResponse", "invocation_type 'RequestResponse' does not go with DryRun"),
    ],
)
async def test_an_event_is_no_dry_run_and_a_dry_run_no_event(
    way: str, asked: str, says: str
) -> None:
    fake = FakeLambda({"echo": lambda event, _: event})
    options: dict[str, Any] = {"invocation_type": asked}
    async with Invoker(transport=fake) as invoker:
        with pytest.raises(InvalidRequestError, match=f"^{says}$"):
            await getattr(invoker, way)("echo", 1, **options)
        # A handle's default may be any value that does not contradict.
        of_requests = invoker.function("echo", invocation_type="RequestResponse")
        assert (await getattr(of_requests, way)(1)).status_code in (202, 204)
        with pytest.raises(InvalidRequestError, match=f"^{says}$"):
            await getattr(of_requests, way)(1, **options)
        if asked == "RequestResponse":
            return
        contrary = invoker.function("echo", **options)
        with pytest.raises(InvalidRequestError, match=f"^{says}$"):
            await getattr(contrary, way)(1)


SECRET = "hunter2"  # must not be visible
REFUSALS: dict[str, tuple[object, dict[str, Any]]] = {
    "a payload that is not JSON": ([SECRET, {1, 2}], {}),
    "a payload that is too large": (SECRET * 1_000_000, {}),
    "an option that there is not": ([SECRET], {"tiemout": 3}),
    "an option that is wrong": ([SECRET], {"timeout": -1, "client_context": {"a": SECRET}}),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("is_handle", [False, True], ids=["invoker", "handle"])
@pytest.mark.parametrize("way", ["invoke", "send_event", "dry_run", "stream"])
async def test_no_frame_of_ours_shows_what_was_refused(
    way: str, is_handle: bool, refusal: str
) -> None:
    payload, options = REFUSALS[refusal]
    async with Invoker(transport=FakeLambda({"echo": lambda event, _: event})) as invoker:
        handle: Any = invoker.function("echo")
        method: Any = getattr(handle if is_handle else invoker, way, handle)
        with pytest.raises(InvalidRequestError) as raised:
            await method(*([] if is_handle else ["echo"]), payload, **options)
    # The first frame is this test's, which may hold it.
    ours = list(traceback.walk_tb(raised.value.__traceback__))[1:]
    assert SECRET not in repr([frame.f_locals for frame, _ in ours])
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("is_handle", [False, True], ids=["invoker", "handle"])
@pytest.mark.parametrize(
    ("payloads", "options"),
    [
        ({"one": SECRET}, {}),
        ([SECRET], {"tiemout": 3, "client_context": {"a": SECRET}}),
        ([SECRET], {"timeout": -1, "client_context": {"a": SECRET}}),
        ([SECRET], {"tolerate": -1, "client_context": {"a": SECRET}}),
        ([SECRET], {"batch": 0, "client_context": {"a": SECRET}}),
        ([SECRET], {"concurrency": 0, "client_context": {"a": SECRET}}),
    ],
    ids=["a payload", "unknown", "timeout", "tolerate", "batch", "concurrency"],
)
async def test_no_frame_of_ours_shows_what_a_map_was_refused_for(
    payloads: object, options: dict[str, Any], is_handle: bool
) -> None:
    async with Invoker(transport=FakeLambda({"echo": lambda event, _: event})) as invoker:
        handle: Any = invoker.function("echo")
        method: Any = handle.map if is_handle else partial(invoker.map, "echo")
        with pytest.raises(InvalidRequestError) as raised:
            async with method(payloads, **options):
                pass
    ours = list(traceback.walk_tb(raised.value.__traceback__))[1:]
    assert SECRET not in repr([frame.f_locals for frame, _ in ours])
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"qualifier": "live", "timeout": 3},
        {"invocation_type": "Event", "idempotent": True},
        {"retry": RetryPolicy(budget=RetryBudget()), "log_type": "Tail"},
        {"client_context": {"n": 1}, "raise_on_function_error": False},
    ],
    ids=str,
)
def test_the_call_of_a_tenant_is_that_which_checking_all_of_it_makes(
    options: dict[str, Any],
) -> None:
    known = calls()
    for tenant_id in ("blue", "green", "blue"):
        own = {**options, "tenant_id": tenant_id}
        assert known.get("f", own) == known.check("f", own)
        assert known.get("f", own).counts is known.get("f", options).counts
    assert known.get("f", options).parameters.tenant_id is None
    for refused in (" a", "", 7, "a\n"):
        with pytest.raises(InvalidRequestError, match="tenant_id"):
            known.get("f", {**options, "tenant_id": refused})


# The same few objects repeatedly, as call sites pass them; some are equal but of different types.
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("f", "g")),
            st.dictionaries(
                st.sampled_from(("timeout", "idempotent", "qualifier")),
                st.sampled_from((1, 1.0, True, "live")),
                max_size=2,
            ),
        ),
        max_size=10,
    )
)
def test_whatever_was_called_before_a_call_is_what_checking_it_alone_makes(
    them: list[tuple[str, dict[str, Any]]],
) -> None:
    def made(make: Callable[[str, dict[str, Any]], Call], *call: Any) -> object:
        try:
            return make(*call)
        except InvalidRequestError as error:
            return str(error)

    known = calls()
    for call in them:
        assert made(known.get, *call) == made(calls().check, *call)
