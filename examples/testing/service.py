"""A service that asks a Lambda function for prices, with one invoker for its lifetime."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

import asyncinvoke


class Order(BaseModel):
    items: int


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncinvoke.Invoker(timeout=10) as invoker:
        app.state.price = invoker.function("price", idempotent=True)
        yield
        await invoker.drain()


app = FastAPI(lifespan=lifespan)


@app.post("/orders")
async def place(order: Order, request: Request) -> dict[str, int]:
    try:
        response = await request.app.state.price(order.model_dump())
    except asyncinvoke.FunctionError as error:
        if error.by_platform:  # it timed out or was killed, which no customer can correct
            raise HTTPException(502, "no price") from error
        raise HTTPException(422, error.error_message) from error
    except (asyncinvoke.ThrottledError, asyncinvoke.NotReadyError) as error:
        wait = {"Retry-After": str(math.ceil(error.retry_after or 1))}
        raise HTTPException(503, "busy, try again later", wait) from error
    except asyncinvoke.DeadlineExceededError as error:
        raise HTTPException(504, "no price in time") from error
    except asyncinvoke.InvocationError as error:
        raise HTTPException(502, "no price") from error
    return {"total": response.json()["total"]}
