"""Options of wrong types are refused by name before anything is sent, whatever they raise."""

from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

import pytest
from tenacity import stop_never, wait_fixed

from asyncinvoke import Backoff, ConfigurationError, InvalidRequestError, Invoker
from asyncinvoke.testing import FakeLambda, InstantClock

pytestmark = pytest.mark.anyio


class Raises:
    """A value that raises when it is compared, hashed or shown."""

    def _refuse(self, *_: object) -> NoReturn:
        raise RuntimeError("it does not like to be looked at")

    __eq__ = __ne__ = __hash__ = __repr__ = __bool__ = _refuse


class Array:
    """Compares like an array: with a result that is neither true nor false, and without a hash."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, _: object) -> Any:
        return self

    def __bool__(self) -> NoReturn:
        raise ValueError("the truth value of an array is ambiguous")


class Text(str):
    """A string whose `repr` raises, like that of a broken proxy."""

    __slots__ = ()

    def __repr__(self) -> NoReturn:
        raise RuntimeError("it does not like to be shown")


HOSTILE = [Raises(), Text("no \n option"), Array()]
NAMES = ["raises", "text", "array"]
COMMON = ("qualifier", "tenant_id", "timeout", "idempotent", "retry", "client_context")
EVENT = (*COMMON, "durable_execution_name")
STREAM = (*COMMON, "log_type", "raise_on_function_error")
INVOKE = (*STREAM, "durable_execution_name", "invocation_type")
MAP = (*INVOKE, "concurrency", "ordered", "key", "tolerate", "batch", "shard")
OF_AN_INVOKER = (
    "limit",
    "retry",
    "timeout",
    "idempotent",
    "transport",
    "encode",
    "decode",
    "clock",
)
METHODS = [
    *(("invoke", each) for each in INVOKE),
    *(("send_event", each) for each in (*EVENT, "invocation_type")),
    *(("dry_run", each) for each in (*EVENT, "invocation_type")),
    *(("stream", each) for each in STREAM),
    *(("map", each) for each in MAP),
    *(("function", each) for each in INVOKE),
]


async def use(invoker: Invoker, method: str, options: dict[str, Any]) -> None:
    if method == "function":
        invoker.function("resize", **options)
    elif method in ("stream", "map"):
        async with getattr(invoker, method)("resize", [{}], **options) as entered:
            assert [each async for each in entered]
    else:
        await getattr(invoker, method)("resize", {}, **options)


@pytest.fixture
async def fake() -> AsyncIterator[FakeLambda]:
    fake = FakeLambda()
    fake.function("resize", lambda event, _context: event)
    yield fake
    assert not fake.requests


@pytest.mark.parametrize("value", HOSTILE, ids=NAMES)
async def test_an_option_that_cannot_be_inspected_is_refused_by_its_name(
    fake: FakeLambda, value: Any
) -> None:
    async with Invoker(transport=fake) as invoker:
        for method, option in METHODS:
            with pytest.raises(InvalidRequestError) as caught:
                await use(invoker, method, {option: value})
            assert str(caught.value).startswith(option), (method, option)
        with pytest.raises(InvalidRequestError, match="function_name"):
            await invoker.invoke(value, {})


@pytest.mark.parametrize("ordered", ["false", "", 0, 1, None, Raises(), Array()])
async def test_whether_a_map_is_ordered_is_true_or_false_and_nothing_else(
    fake: FakeLambda, ordered: Any
) -> None:
    async with Invoker(transport=fake) as invoker:
        with pytest.raises(InvalidRequestError, match=r"ordered .* must be True or False"):
            invoker.map("resize", [{}], ordered=ordered)


def made_with(option: str) -> Callable[[Any], object]:
    return lambda value: Invoker(**{option: value})


CONSTRUCTORS: dict[str, Callable[[Any], object]] = {
    **{name: made_with(name) for name in OF_AN_INVOKER},
    "Backoff\\(wait=": lambda value: Backoff(wait=value, stop=stop_never),
    "Backoff\\(stop=": lambda value: Backoff(wait=wait_fixed(1), stop=value),
    "Backoff\\(when=": lambda value: Backoff(wait=wait_fixed(1), stop=stop_never, when=value),
    "Backoff\\(holds_back=": lambda value: Backoff(
        wait=wait_fixed(1), stop=stop_never, holds_back=value
    ),
}


@pytest.mark.parametrize("value", [*HOSTILE, -(10**5000)], ids=[*NAMES, "huge"])
@pytest.mark.parametrize("name", CONSTRUCTORS)
async def test_what_an_invoker_or_a_backoff_cannot_be_made_of_is_refused_by_its_name(
    name: str, value: Any
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}") as caught:
        CONSTRUCTORS[name](value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("option", "kind"), [("clock", InstantClock), ("transport", FakeLambda)])
async def test_a_class_in_place_of_its_instance_is_refused(option: str, kind: type) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made_with(option)(kind)
    assert str(caught.value) == f"{option} {kind.__name__} is a class: {kind.__name__}()"


@pytest.mark.parametrize("value", ["false", "", 0, 1, None])
async def test_whether_a_backoff_holds_back_is_true_or_false_and_nothing_else(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"holds_back=.*\) must be True or False"):
        Backoff(wait=wait_fixed(1), stop=stop_never, holds_back=value)
