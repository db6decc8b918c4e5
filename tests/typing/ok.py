"""`if outcome.ok` narrows; checked by mypy only, because pyright does not narrow by it.

pyright narrows by `outcome.error is None`, as in `codecs.py`.
"""

from typing import Any, assert_type

from asyncinvoke import AsyncInvokeError, MapRun, Response


async def narrow(run: MapRun[int]) -> None:
    async for outcome in run:
        if outcome.ok:
            assert_type(outcome.response, Response[int])
            assert_type(outcome.response.json(), int)
        else:
            assert_type(outcome.error, AsyncInvokeError)
            continue
        assert_type(outcome.response, Response[int])


async def narrow_any(run: MapRun[Any]) -> None:
    async for outcome in run:
        if not outcome.ok:
            raise outcome.error
        assert_type(outcome.response, Response[Any])
