"""One call as a service makes it: a deadline, and an error that says what to do."""

import os

import anyio

import asyncinvoke
from asyncinvoke.local import LocalLambda

# Against AWS, leave this out: the local endpoint accepts any keys, but the SDK needs some to sign with.
os.environ |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


async def price(event: dict[str, int], _context: object) -> dict[str, int]:
    """Stand in for a deployed function."""
    if event["items"] < 0:
        raise ValueError("items must not be negative")
    return {"total": event["items"] * 3}


async def main() -> None:
    async with LocalLambda() as local:
        local.function("price", price)
        # Against AWS, leave out endpoint_url.
        async with asyncinvoke.Invoker(
            region_name="us-east-1", endpoint_url=local.url, timeout=10
        ) as invoker:
            response = await invoker.invoke("price", {"items": 14})
            print("total:", response.json()["total"])
            try:
                await invoker.invoke("price", {"items": -1})
            except asyncinvoke.FunctionError as error:
                print("refused:", error.error_message)
            except asyncinvoke.InvocationError as error:
                print("try again later:", error, "may have run:", error.delivery)


anyio.run(main)
