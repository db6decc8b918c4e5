"""An exchange that is cut at many of its bytes is reported consistently with the endpoint's counts.

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
async def test_a_plain_exchange_is_reported_correctly_wherever_it_is_cut(
    answer: str, transport: str
) -> None:
    contradictions = []
    async with open_cutter(answer, transport=transport, tls=None) as cutter:
        for cut in plain_cuts(cutter.exchange, 13):
            report = await cutter.cut(cut)
            contradictions += report.contradictions()
    assert not contradictions, "\n".join(contradictions)


@pytest.mark.anyio
@on_all_loops
async def test_a_tls_exchange_is_reported_correctly_wherever_it_is_cut(
    anyio_backend: object,
    transport: str,
    authority: Authority,
    identity: Identity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle))
    contradictions = []
    tls = identity.server_context()
    # On uvloop, after an early end of a handshake, uvloop and aiohttp may both close the
    # descriptor, the second time someone else's (MagicStack/uvloop#653); the benchmark uses a
    # separate process.
    async with open_cutter("200", transport=transport, tls=tls) as cutter:
        for cut in tls_cuts(cutter.exchange, 3, in_handshake=isinstance(anyio_backend, str)):
            report = await cutter.cut(cut)
            contradictions += report.contradictions()
    assert not contradictions, "\n".join(contradictions)
