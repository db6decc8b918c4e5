"""An exchange cut at many of its bytes: the endpoint's count decides what may be said of it.

`python -m benchmarks.cut_everywhere` cuts at every byte.
"""

import pytest

from tests.doubles.certificates import Authority, Identity

from .conftest import LOOPS
from .cutting import ANSWERS, open_cutter, plain_cuts, tls_cuts

on_all_loops = pytest.mark.parametrize("anyio_backend", LOOPS)


@pytest.mark.anyio
@on_all_loops
@pytest.mark.parametrize("answer", ANSWERS)
async def test_wherever_a_plain_exchange_is_cut_nothing_untrue_is_said(
    answer: str, transport: str
) -> None:
    lies = []
    async with open_cutter(answer, transport=transport, tls=None) as cutter:
        for cut in plain_cuts(cutter.exchange, 13):
            said = await cutter.cut(cut)
            lies += said.lies()
    assert not lies, "\n".join(lies)


@pytest.mark.anyio
@on_all_loops
async def test_wherever_a_tls_exchange_is_cut_nothing_untrue_is_said(
    anyio_backend: object,
    transport: str,
    authority: Authority,
    identity: Identity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle))
    lies = []
    tls = identity.server_context()
    # On uvloop a handshake that ends early may have it and aiohttp close a file twice, the second time
    # somebody else's (MagicStack/uvloop#653); the benchmark does it in a process of its own.
    async with open_cutter("200", transport=transport, tls=tls) as cutter:
        for cut in tls_cuts(cutter.exchange, 3, in_handshake=isinstance(anyio_backend, str)):
            said = await cutter.cut(cut)
            lies += said.lies()
    assert not lies, "\n".join(lies)
