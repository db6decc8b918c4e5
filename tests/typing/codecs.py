"""How calls are typed from payload to result; checked by mypy and pyright, never run.

A line that must be an error is marked for both checkers, which also report unused markers.
"""

from collections.abc import AsyncIterator
from typing import Any, assert_type

import msgspec
from pydantic import BaseModel, TypeAdapter

from asyncinvoke import (
    AsyncInvokeError,
    Function,
    Invoker,
    MapRun,
    Outcome,
    Request,
    Response,
    ThrottledError,
)
from asyncinvoke.typing import Failed, Succeeded


class Photo(BaseModel):
    key: str


class Thumb(BaseModel):
    url: str


class Size(msgspec.Struct):
    width: int


def write(photo: Photo) -> bytes:
    """Encode a photo, as a hook of cattrs does."""
    return photo.key.encode()


def read(payload: bytes) -> Thumb:
    """Decode a thumb."""
    return Thumb(url=payload.decode())


async def photos() -> AsyncIterator[Photo]:
    yield Photo(key="cat")


async def with_pydantic(invoker: Invoker) -> None:
    resize = invoker.function(
        "resize",
        encode=TypeAdapter(Photo).dump_json,
        decode=TypeAdapter(Thumb).validate_json,
    )
    assert_type(resize, Function[Photo, Thumb])
    response = await resize(Photo(key="cat"))
    assert_type(response, Response[Thumb])
    assert_type(response.json(), Thumb)
    await resize({"key": "cat"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await resize(Photo(key="cat"), timeout="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await resize.send_event(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    resize.stream(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with resize.map(photos(), concurrency=3) as run:
        assert_type(run, MapRun[Thumb])
        async for outcome in run:
            assert_type(outcome.unwrap().json(), Thumb)
            as_a_whole: Outcome[Thumb] = outcome
            assert as_a_whole.started
    async with resize.map([Photo(key="cat"), Request(payload=Photo(key="dog"))]):
        pass
    async with resize.map([Request(key="no payload")]):
        pass
    async with resize.map([Request(payload="cat")]):  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        pass
    made = Request(Photo(key="dog"), timeout=3)
    assert_type(made, Request[Photo])
    whole: Request = made
    async with resize.map([made]), invoker.map("resize", [made, whole]):
        pass
    async with resize.map(["cat"]):  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
        pass


async def with_a_decoder_alone(invoker: Invoker) -> None:
    assert_type(invoker.function("f", decode=Thumb.model_validate_json), Function[object, Thumb])
    sized = invoker.function("f", decode=msgspec.json.Decoder(Size).decode)
    assert_type(sized, Function[object, Size])
    assert_type((await sized({"any": "thing"})).json().width, int)


async def with_functions(invoker: Invoker) -> None:
    assert_type(invoker.function("f", encode=write), Function[Photo, Any])
    assert_type(invoker.function("f", encode=write, decode=read), Function[Photo, Thumb])
    invoker.function("f", encode=len)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def without_codecs(invoker: Invoker) -> None:
    plain = invoker.function("f")
    assert_type(plain, Function[object, Any])
    unparametrised: Response = await plain({"n": 1})
    assert unparametrised.payload


async def which_one_it_is(run: MapRun[Thumb]) -> None:
    async for outcome in run:
        if outcome.error is None:
            assert_type(outcome.response, Response[Thumb])
        else:
            assert_type(outcome.error, AsyncInvokeError)
            if isinstance(outcome.error, ThrottledError):
                assert outcome.error.reason


async def narrow_by_comparing_ok(run: MapRun[Thumb]) -> None:
    async for outcome in run:
        if outcome.ok is True:
            assert_type(outcome.response, Response[Thumb])
        else:
            assert_type(outcome.error, AsyncInvokeError)


async def given_to(outcome: Succeeded[Thumb] | Failed[Thumb]) -> Thumb | None:
    return None if outcome.error is not None else outcome.response.json()
