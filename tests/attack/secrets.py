"""Finds secrets of a call in errors, logs and frames."""

import base64
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path

import aiobotocore

import asyncinvoke

PACKAGES = tuple(str(Path(str(each.__file__)).parent) for each in (asyncinvoke, aiobotocore))
"""This package's frames, and the SDK's below them, which hold what they were given."""

KEY = "AKIAATTACKED"
SECRET = "attacked-secret-key"
TOKEN = "attacked-session-token"
PAYLOAD = "attacked-payload"
CONTEXT = "attacked-client-context"
SECRETS = {
    "key": KEY,
    "secret": SECRET,
    "token": TOKEN,
    "web identity token": "projected-token",
    "payload": PAYLOAD,
    "client context": CONTEXT,
}


def _forms(secret: str) -> list[bytes]:
    """Return the forms of a secret: as it is, and within base64 at each alignment."""
    plain = secret.encode()
    inside = [
        # The characters at both ends depend on the neighbouring bytes.
        base64.b64encode(b"\0" * shift + plain).rstrip(b"=")[[0, 2, 3][shift] : -1]
        for shift in range(3)
    ]
    return [plain, *inside]


FORMS = {name: _forms(secret) for name, secret in SECRETS.items()}


def shown_in(text: str | bytes) -> set[str]:
    """Return which secrets a text shows."""
    data = text.encode(errors="replace") if isinstance(text, str) else text
    return {name for name, forms in FORMS.items() if any(form in data for form in forms)}


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all related ones: causes, contexts, members of groups."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions


def leaks_of(error: BaseException) -> set[str]:
    """Return which secrets can be seen from an error, and where."""
    found: set[str] = set()
    for each in chain_of(error):
        name = type(each).__name__ if each is error else f"{type(each).__name__} behind it"
        texts: list[tuple[str, str | bytes]] = [
            (f"str of {name}", str(each)),
            (f"repr of {name}", repr(each)),
            (f"args of {name}", repr(each.args)),
            (f"attributes of {name}", repr(vars(each))),
        ]
        if isinstance(each, asyncinvoke.AsyncInvokeError):
            texts.append((f"pickle of {name}", pickle.dumps(each)))
        texts += [
            (f"local {local!r} of {function}", text) for function, local, text in _locals(each)
        ]
        found |= {f"{secret} in {where}" for where, text in texts for secret in shown_in(text)}
    return found


def _locals(error: BaseException) -> Iterator[tuple[str, str, str]]:
    """Yield the locals of our frames and the SDK's, as debuggers and error trackers show them."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if not frame.f_code.co_filename.startswith(PACKAGES):
            continue
        for name, value in frame.f_locals.items():
            try:
                text = repr(value)
            except Exception as broken:
                text = f"a repr that raises {broken!r}"
            yield frame.f_code.co_qualname, name, text
