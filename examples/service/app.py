"""A FastAPI service in front of a function: one invoker for all requests, and a status for each error.

Serve it with `uvicorn app:app`; `pictures.py` beside it shows what it looks like from outside.
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

import asyncinvoke
from asyncinvoke.otel import OpenTelemetry


class Photo(BaseModel):
    key: str


class Thumb(BaseModel):
    url: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncinvoke.Invoker(timeout=25, hooks=[OpenTelemetry()]) as invoker:
        app.state.resize = invoker.function(
            "resize",
            encode=lambda photo: photo.model_dump_json().encode(),
            decode=Thumb.model_validate_json,
        )
        yield
        await invoker.drain()


app = FastAPI(lifespan=lifespan)


@app.post("/thumbs")
async def make_thumb(photo: Photo, request: Request) -> Thumb:
    resize: asyncinvoke.Function[Photo, Thumb] = request.app.state.resize
    return (await resize(photo)).json()


@app.exception_handler(asyncinvoke.InvocationError)
async def failed(request: Request, error: Exception) -> JSONResponse:
    """Say whose fault it is, and when to come back."""
    match error:
        case asyncinvoke.FunctionError(by_platform=False):
            # The function itself has refused what it was given.
            return JSONResponse({"detail": error.error_message}, 422)
        case asyncinvoke.ThrottledError() | asyncinvoke.NotReadyError():
            wait = max(1, math.ceil(error.retry_after or 1))
            return JSONResponse({"detail": "busy"}, 503, {"Retry-After": str(wait)})
        case asyncinvoke.DeadlineExceededError():
            return JSONResponse({"detail": "it took too long"}, 504)
        case _:
            # It crashed, Lambda failed, there was no answer, or we may not call it.
            return JSONResponse({"detail": "the function cannot be reached"}, 502)
