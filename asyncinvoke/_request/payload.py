"""Payloads and client contexts on their way out: their bytes and their sizes."""

import base64
from collections.abc import Mapping

from asyncinvoke._model.codec import Encode, encode_json
from asyncinvoke._request.request import InvocationType
from asyncinvoke.errors import InvalidRequestError

MAX_SYNC_PAYLOAD = 6_291_456
"""Largest payload of a RequestResponse or DryRun invocation, in bytes (Lambda quotas: 6 MB)."""

MAX_EVENT_PAYLOAD = 1_048_576
"""Largest payload of an Event invocation, in bytes (Lambda quotas: 1 MB since October 2025)."""

MAX_CLIENT_CONTEXT = 3_583
"""Largest client context once encoded as base64, in bytes (service model)."""


def encode_payload(payload: object, *, encode: Encode, invocation_type: InvocationType) -> bytes:
    """Return the bytes to send for a payload.

    Args:
        payload: `None` for no payload (the function gets `{}`), bytes that are sent as they are,
            or anything that `encode` takes.
        encode: The codec; by default `encode_json`.
        invocation_type: Decides which size limit applies.

    Raises:
        InvalidRequestError: The payload cannot be encoded or is too large. The message never
            holds the payload.
    """
    if payload is None:
        return b""
    if isinstance(payload, bytes | bytearray | memoryview):
        body = bytes(payload)
    else:
        try:
            body = encode(payload)
        except Exception as error:
            detail = type(error).__name__
            # json names the type that it cannot hold; other messages may quote the payload.
            if encode is encode_json and isinstance(error, TypeError):
                detail = f"{detail}: {error}"
            raise InvalidRequestError(f"payload cannot be encoded: {detail}") from error
        if not isinstance(body, bytes):
            raise InvalidRequestError(
                f"payload cannot be encoded: encode returned {type(body).__name__}, not bytes"
            )
    limit = MAX_EVENT_PAYLOAD if invocation_type is InvocationType.EVENT else MAX_SYNC_PAYLOAD
    if len(body) > limit:
        raise InvalidRequestError(
            f"payload of {len(body)} bytes is too large: "
            f"{invocation_type} takes at most {limit} bytes"
        )
    return body


def encode_client_context(client_context: Mapping[str, object]) -> str:
    """Encode a client context as base64 of JSON, as Lambda expects it.

    Raises:
        InvalidRequestError: It is no mapping, not JSON, or longer than 3,583 bytes once encoded.
    """
    if not isinstance(client_context, Mapping):
        raise InvalidRequestError(
            f"client_context must be a mapping, not {type(client_context).__name__}"
        )
    try:
        encoded = base64.b64encode(encode_json(dict(client_context))).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"client_context cannot be encoded: {type(error).__name__}"
        ) from error
    if len(encoded) > MAX_CLIENT_CONTEXT:
        raise InvalidRequestError(
            f"client_context has {len(encoded)} bytes once encoded; "
            f"Lambda takes at most {MAX_CLIENT_CONTEXT}"
        )
    return encoded
