"""A single unsigned request over the route of invocations, and what it shows of that route."""

import math
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import anyio

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure, TransportFault
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.credentials import KeptCredentials
from asyncinvoke._transport.foreign_errors import described
from asyncinvoke._transport.http.connection import Limits
from asyncinvoke._transport.http.errors import NotOursError, WireError, opening_error
from asyncinvoke._transport.interception import Interception
from asyncinvoke._transport.sdk_request import INVOKE, make_template
from asyncinvoke._transport.stream import MOST, read_whole
from asyncinvoke._transport.template import UnsuitableError, origin_of
from asyncinvoke._transport.wires import Wires


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The response to the probe."""

    status: int
    """The status of the response; any status is fine."""

    clock: float | None
    """How far the service's clock is ahead of this one, in seconds, accurate to about a second;
    `None` without a `Date` header."""

    elapsed: float
    """The total time including opening the connection, in seconds."""

    tls: str | None
    """The TLS version and the cipher; `None` without TLS, or if unknown."""

    issuer: str | None
    """The issuer of the service's certificate."""

    session: str | None
    """Why aiobotocore's session was used, not our own connections; `None` if they were used."""


async def probe(client: Any, *, timeout: float) -> Observed | Failure:
    """Request `/` from the endpoint of an open client, unsigned; failures are returned, not raised.

    Args:
        client: The client, whose proxies and TLS settings apply.
        timeout: The total timeout, in seconds.
    """
    wires = Wires(client._endpoint.http_session)  # noqa: SLF001
    url = origin_of(client.meta.endpoint_url) + "/"
    progress = Progress(time.monotonic() + timeout)
    progress.phase = Phase.CONNECTING
    try:
        with anyio.fail_after(timeout):
            return await _seen(wires, url, progress)
    except TimeoutError:
        waited = f"nothing within {timeout:g} s"
        if progress.phase <= Phase.CONNECTING:
            return Failure(
                fault=TransportFault.CONNECT_TIMEOUT, phase=progress.phase, message=waited
            )
        return Failure(fault=TransportFault.READ_TIMEOUT, phase=progress.phase, message=waited)
    except Exception as error:  # noqa: BLE001  # converted to a Failure
        return wires.failure(error, url, progress)
    finally:
        await wires.aclose()


async def _seen(wires: Wires, url: str, progress: Progress) -> Observed:
    began = time.monotonic()
    reason = None
    try:
        return await _over_ours(wires, url, progress)
    except (NotOursError, AttributeError) as error:
        reason = str(error)
    status, headers, body = await wires.session.open(_Plain(url), progress)
    came = time.time()
    await read_whole(body)
    return Observed(
        status=status,
        clock=_ahead(headers, came),
        elapsed=time.monotonic() - began,
        tls=None,
        issuer=None,
        session=reason,
    )


async def _over_ours(wires: Wires, url: str, progress: Progress) -> Observed:
    began = time.monotonic()
    opener = wires.opener(origin_of(url))
    try:
        connection = await opener(progress)
    except (WireError, NotOursError):
        raise
    except Exception as error:  # noqa: BLE001  # as in the connection pool
        failure = opening_error(error)
        raise failure from failure.__cause__
    try:
        tls = connection.tls()
        limits = Limits(MOST, math.inf, math.inf)
        answer = await connection.exchange(_Plain(url).head(), b"", progress, limits)
        came = time.time()
        return Observed(
            status=answer.status,
            clock=_ahead(answer.headers, came),
            elapsed=time.monotonic() - began,
            tls=None if tls is None else _agreed(tls),
            issuer=None if tls is None else _issuer(tls),
            session=None,
        )
    finally:
        connection.abort()
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            await connection.wait_closed()


async def why_not_direct(client: Any, parameters: InvokeParameters) -> str | None:
    """Return why invocations go through aiobotocore's own `invoke`; `None` if they go directly.

    Args:
        client: An open client.
        parameters: The parameters of a typical call.
    """
    try:
        found = Interception(client).found()
        if found is not None:
            return found
        kept = KeptCredentials(client._request_signer)  # noqa: SLF001
        if not kept.exist:
            return "the client sends unsigned requests"
        moment = await kept.fetch()
        if not isinstance(moment, Failure):
            await make_template(client, INVOKE, parameters, moment)
    except AttributeError as missing:
        return f"aiobotocore has changed inside: {missing}"
    except UnsuitableError as unsuitable:
        return str(unsuitable)
    except Exception as error:  # noqa: BLE001  # the call itself reports it
        return described(error)
    return None


class _Plain:
    """A request for `/` without a signature; an `Outgoing`."""

    method = "GET"
    payload = b""

    def __init__(self, url: str) -> None:
        self.url = url

    def headers(self) -> dict[str, str]:
        return {"Accept": "*/*"}

    def head(self) -> bytes:
        host = urlsplit(self.url).netloc
        lines = ("GET / HTTP/1.1", f"Host: {host}", "Accept: */*", "Accept-Encoding: identity")
        return "\r\n".join((*lines, "Connection: close", "", "")).encode("ascii")


def _ahead(headers: Mapping[str, str], now: float) -> float | None:
    try:
        date = parsedate_to_datetime(headers.get("date") or "")
    except (TypeError, ValueError):
        return None
    date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    # The header is truncated to whole seconds, so add half a second on average.
    return (date - datetime.fromtimestamp(now, UTC)).total_seconds() + 0.5


def _agreed(tls: ssl.SSLObject) -> str:
    cipher = tls.cipher()
    return ", ".join(filter(None, (tls.version(), None if cipher is None else cipher[0])))


def _issuer(tls: ssl.SSLObject) -> str | None:
    certificate: Any = tls.getpeercert() or {}
    said = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    return said.get("organizationName") or said.get("commonName")
