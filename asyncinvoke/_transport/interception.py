"""Detects wrappers and hooks on the SDK's Invoke, in its classes and its event emitter, on each call.

Tracers and tests intercept calls to aiobotocore: they wrap methods of a class or an instance, or
register event handlers, and may do so at any time. Code that sends without `client.invoke` has to
check here first.

Only a plain function whose globals are those of an SDK module counts as the SDK's own. Weaker
checks fail: botocore itself has functions with `__wrapped__`, wrapt's proxies deceive `isinstance`
and `==`, and `functools.wraps` copies a function's name and module.
"""

from types import FunctionType, MethodType
from typing import Any

from aiobotocore.client import AioBaseClient
from aiobotocore.endpoint import AioEndpoint
from aiobotocore.signers import AioRequestSigner

_CLIENT, _ENDPOINT, _SIGNER, _SESSION = range(4)

# The methods that an Invoke calls, and their owners, in the order in which `found` unpacks them.
_STEPS = (
    (_CLIENT, "invoke"),
    (_CLIENT, "invoke_with_response_stream"),
    (_CLIENT, "_make_api_call"),
    (_CLIENT, "_convert_to_request_dict"),
    (_CLIENT, "_make_request"),
    (_ENDPOINT, "make_request"),
    (_ENDPOINT, "_send_request"),
    (_ENDPOINT, "create_request"),
    (_SIGNER, "sign"),
    (_SIGNER, "get_auth_instance"),
    (_ENDPOINT, "prepare_request"),
    (_ENDPOINT, "_send"),
    (_SESSION, "send"),
)

# Every event that can see or change an Invoke request or its answer.
_EVENTS = (
    "provide-client-params",
    "before-parameter-build",
    "before-endpoint-resolution",
    "before-call",
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "response-received",
    "before-parse",
    "needs-retry",
    "after-call",
    "after-call-error",
)

# How an emitter passes an event on; an attribute of that name is somebody else's.
_EMITS = ("emit", "emit_until_response", "_emit")

_OWN = frozenset({"botocore", "aiobotocore", "asyncinvoke"})
# Part of the SDK too, but stubs replace the service in tests.
_STUBS = frozenset({"botocore.stub", "aiobotocore.stub"})

# How to disable an integration that is often enabled by default.
_ADVICE = {
    "sentry_sdk": "; sentry_sdk.init(disabled_integrations=[Boto3Integration()]) keeps it away",
}


class Interception:
    """Detects third-party code that intercepts the Invoke calls of one aiobotocore client.

    `found` is called before every call, so its result is cached by identity: while the classes have
    the same functions, the objects have no new attributes, and the emitter has the same handlers,
    the check takes half a microsecond. Only a negative result is cached: an intercepted call is on
    the slow path anyway, and the end of an interception must be noticed.
    """

    def __init__(self, client: Any) -> None:
        """Look up the parts of an open client.

        Raises:
            AttributeError: A private name of aiobotocore that this relies on is missing.
        """
        self._client = client
        self._endpoint = client._endpoint  # noqa: SLF001
        self._session = self._endpoint.http_session
        self._events = client.meta.events
        self._emitter = self._events._emitter  # noqa: SLF001
        owners = (client, self._endpoint, client._request_signer, self._session)  # noqa: SLF001
        # By `type`, since a proxy says of its `__class__` what it likes.
        self._classes = tuple(type(each) for each in owners)
        self._attributes: tuple[dict[str, object], ...] = tuple(
            each.__dict__ for each in (*owners, self._events, self._emitter)
        )
        self._stranger = _find_stranger(self._classes)
        # Never equal to real values, so that the first check is a full one.
        self._functions: tuple[object, ...] = (None,) * len(_STEPS)
        self._count = 0
        self._handlers: object = None
        self._listener: str | None = None
        self._listener_handlers: object = None

    def found(self) -> str | None:
        """Return `None` if the call is the SDK's own, else one line that names the interceptor."""
        # Unrolled, since a loop takes twice as long. Methods are looked up on the classes, which
        # covers all bases and creates no bound methods. The objects' attributes are counted in
        # total, because the SDK's own attributes are never removed.
        client, endpoint, signer, session = self._classes
        on_client, on_endpoint, on_signer, on_session, on_events, on_emitter = self._attributes
        (
            invoke,
            stream,
            call,
            convert,
            request,
            make,
            send,
            create,
            sign,
            auth,
            prepare,
            hand_over,
            transmit,
        ) = self._functions
        if (
            self._emitter._lookup_cache is self._handlers  # noqa: SLF001
            and client.invoke is invoke
            and client.invoke_with_response_stream is stream
            and client._make_api_call is call  # noqa: SLF001
            and client._convert_to_request_dict is convert  # noqa: SLF001
            and client._make_request is request  # noqa: SLF001
            and endpoint.make_request is make
            and endpoint._send_request is send  # noqa: SLF001
            and endpoint.create_request is create
            and signer.sign is sign
            and signer.get_auth_instance is auth
            and endpoint.prepare_request is prepare
            and endpoint._send is hand_over  # noqa: SLF001
            and session.send is transmit
            and self._client._endpoint is self._endpoint  # noqa: SLF001
            and self._endpoint.http_session is self._session
            and len(on_client)
            + len(on_endpoint)
            + len(on_signer)
            + len(on_session)
            + len(on_events)
            + len(on_emitter)
            == self._count
        ):
            return None
        return self._look()

    def _look(self) -> str | None:
        if self._stranger is not None:
            return self._stranger
        handlers = self._emitter._lookup_cache  # noqa: SLF001
        functions = tuple(_defined(self._classes[owner], name)[1] for owner, name in _STEPS)
        # Searching the emitter is slow. It replaces its cache whenever its handlers change.
        if handlers is not self._listener_handlers:
            self._listener = _find_listener(self._emitter)
            self._listener_handlers = handlers
        found = self._find_replaced() or self._find_wrapper() or self._listener
        if found is None:
            self._functions = functions
            self._count = sum(len(attributes) for attributes in self._attributes)
            self._handlers = handlers
        return found

    def _find_replaced(self) -> str | None:
        there = self._client._endpoint  # noqa: SLF001
        if there is not self._endpoint:
            return _line(there, "is in place of the client's first endpoint")
        if there.http_session is not self._session:
            return _line(there.http_session, "is in place of the client's first HTTP session")
        for emitter in (self._events, self._emitter):
            for name in _EMITS:
                if name in vars(emitter):
                    return _line(
                        vars(emitter)[name], f"stands before {type(emitter).__name__}.{name}"
                    )
        return None

    def _find_wrapper(self) -> str | None:
        for owner, name in _STEPS:
            kind = self._classes[owner]
            if owner == _SESSION and not _is_own(kind.__module__):
                continue  # a session class of the caller, whose `send` is not an interception
            holder, value = _defined(kind, name)
            value = self._attributes[owner].get(name, value)
            link = _foreign_link(value)
            if link is not None:
                return _line(link, f"stands before {holder.__name__}.{name}")
        return None


def sdk_function(kind: type, name: str) -> FunctionType | None:
    """Return the SDK's own function for a method, even if it is wrapped or replaced.

    Wrappers are followed through `__wrapped__` (wrapt, `functools.wraps`). For a plain replacement,
    the function present when this module was imported is returned, or `None` if unknown.

    Args:
        kind: The class of a client, an endpoint or a signer.
        name: The method's name.
    """
    for base in kind.__mro__:
        if (base, name) in _ORIGINALS:
            return _ORIGINALS[base, name]
        if name in vars(base):
            original = _below(vars(base)[name])
            # A subclass of the caller is skipped; the search ends at the SDK's classes.
            if original is not None or _is_own(base.__module__):
                return original
    return None


def _find_stranger(kinds: tuple[type, ...]) -> str | None:
    """Return which object is not the SDK's own, so that its methods cannot be checked."""
    for kind, expected in zip(kinds, (AioBaseClient, AioEndpoint, AioRequestSigner), strict=False):
        looks_up = _defined(kind, "__getattribute__")[0]
        if expected not in kind.__mro__ or looks_up is not object:
            return f"{_name(kind)} is in place of {expected.__name__}"
    for owner, name in _STEPS:
        if not hasattr(kinds[owner], name):
            return f"{_name(kinds[owner])} has no {name}"
    return None


def _find_listener(emitter: Any) -> str | None:
    for event in _EVENTS:
        heard = [
            handler
            for operation in ("Invoke", "InvokeWithResponseStream")
            for handler in emitter._handlers.prefix_search(f"{event}.lambda.{operation}")  # noqa: SLF001
        ]
        for handler in heard:
            plain = type(handler) in (FunctionType, MethodType)
            link = _foreign_link(handler if plain else _defined(type(handler), "__call__")[1])
            if link is not None:
                return _line(link if plain else handler, f"listens to {event}")
    return None


def _defined(kind: type, name: str) -> tuple[type, object]:
    """Return the class that defines a name, and the value there, which is not bound."""
    return next((base, vars(base)[name]) for base in kind.__mro__ if name in vars(base))


def _is_own(module: object) -> bool:
    return str(module).partition(".")[0] in _OWN and module not in _STUBS


def _foreign_link(value: Any) -> object | None:
    """Return the first wrapper in a chain that is not the SDK's; `None` if all are."""
    value = _unbound(value)
    while type(value) is FunctionType and _is_own(value.__globals__.get("__name__")):
        # A decorator of the SDK may wrap a third-party function.
        value = vars(value).get("__wrapped__")
    return value  # type: ignore[no-any-return]  # it can be anything


def _below(value: Any) -> FunctionType | None:
    """Return the first function in a chain of wrappers below which everything is the SDK's."""
    for _ in range(100):  # the chain may be a cycle
        if _foreign_link(value) is None:
            return value  # type: ignore[no-any-return]  # a plain function, or it were foreign
        value = getattr(value, "__wrapped__", None)
    return None


def _line(value: Any, what: str) -> str:
    """Describe an interceptor by its real module and name, not those copied by wrapt and `wraps`."""
    wrapper = getattr(value, "_self_wrapper", None)  # wrapt's only attribute that is not proxied
    if type(wrapper) in (FunctionType, MethodType):
        value = wrapper
    value = _unbound(value)
    if type(value) is FunctionType:
        module = value.__globals__.get("__name__", "<unnamed>")
        name = f"{module}.{value.__code__.co_qualname}"
    else:
        name = _name(type(value))
    return f"{name} {what}{_ADVICE.get(name.partition('.')[0], '')}"


def _unbound(value: Any) -> Any:
    return value.__func__ if type(value) is MethodType else value


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


_ORIGINALS = {
    (kind, name): original
    for kind in (AioBaseClient, AioEndpoint, AioRequestSigner)
    for _, name in _STEPS
    if hasattr(kind, name) and (original := _below(_defined(kind, name)[1])) is not None
}
