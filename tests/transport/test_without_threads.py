"""Where no thread can be started, as in a container that limits them, a call says so."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from asyncinvoke import Delivery, Invoker, RetryPolicy, TransportError
from tests.doubles.counting_server import Act, CountingServer
from tests.doubles.messages import echo_answer
from tests.transport.variants import every_variant, open_client

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # trio says it by itself: it starts threads in other ways


@every_variant
async def test_a_name_that_no_thread_is_left_to_resolve_is_said_to_be_that(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with CountingServer(default=Act(sent=echo_answer)) as server:
        async with (
            open_client(f"http://localhost:{server.port}", variant) as client,
            Invoker(client, transport="client" if variant == "client" else "direct") as invoker,
        ):
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))  # none is idle
            with monkeypatch.context() as patched:
                patched.setattr(threading.Thread, "start", refuse)
                with pytest.raises(TransportError, match="can't start new thread") as caught:
                    await invoker.invoke("f", retry=RetryPolicy.never())
            assert caught.value.delivery is Delivery.NOT_SENT
            assert (await invoker.invoke("f", 1)).json() == 1
        assert server.whole == 1
