"""Detects, on each call, whether anybody replaces, wraps or listens to a step of the SDK's Invoke.

Tracers and tests intercept calls to aiobotocore: they wrap methods of a class or an instance, or
register event handlers, and may do so at any time. Code that sends without `client.invoke` has to
check here first.
"""

import functools
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, TypeAlias

from aiobotocore.client import AioBaseClient
from aiobotocore.endpoint import AioEndpoint
from aiobotocore.signers import AioRequestSigner
from botocore.history import get_global_history_recorder

from asyncinvoke._transport.sdk_code import defined, foreign_link, is_own, line_about, name_of

_Step: TypeAlias = tuple[str, str]

# The attributes that an Invoke reads, of the client and of the objects that it finds so; apart from
# the credentials, which may change at any time. Each with what it is, and with its name here if it is
# asked further.
_PARTS = {
    ("client", "_endpoint"): ("endpoint", "endpoint"),
    ("endpoint", "http_session"): ("HTTP session", "session"),
    ("client", "_request_signer"): ("request signer", "signer"),
    ("client", "_serializer"): ("serializer", "serializer"),
    ("client", "_user_agent_creator"): ("user agent", "user_agent"),
    ("client", "_ruleset_resolver"): ("endpoint resolver", "resolver"),
    ("endpoint", "_response_parser_factory"): ("response parsers", "parsers"),
    ("client", "meta"): ("meta", "meta"),
    ("meta", "events"): ("event emitter", "events"),
    ("events", "_emitter"): ("event emitter", "emitter"),
    ("client", "_client_config"): ("configuration", None),
    ("meta", "_client_config"): ("configuration", None),
    ("meta", "_service_model"): ("service model", None),
    ("endpoint", "_event_emitter"): ("event emitter", None),
    ("signer", "_event_emitter"): ("event emitter", None),
}

# The methods that it calls, roughly in its order.
_STEPS = (
    ("client", "invoke"),
    ("client", "invoke_with_response_stream"),
    ("client", "_make_api_call"),
    ("client", "_emit_api_params"),
    ("client", "_resolve_endpoint_ruleset"),
    ("resolver", "construct_endpoint"),
    ("client", "_convert_to_request_dict"),
    ("serializer", "serialize_to_request"),
    ("user_agent", "to_string"),
    ("client", "_make_request"),
    ("endpoint", "make_request"),
    ("endpoint", "_send_request"),
    ("endpoint", "create_request"),
    ("signer", "sign"),
    ("signer", "_choose_signer"),
    ("signer", "get_auth_instance"),
    ("endpoint", "prepare_request"),
    ("endpoint", "_get_response"),
    ("endpoint", "_do_get_response"),
    ("endpoint", "_send"),
    ("session", "send"),
    ("parsers", "create_parser"),
    ("endpoint", "_needs_retry"),
)

# Those of which an attribute may stand before a method.
_WITH_METHODS = {owner for owner, _ in _STEPS} | {"events", "emitter"}

# Those that wait, which botocore's own do not. If one of botocore's is found, aiobotocore's was
# deleted, as by a test that lets nothing be sent.
_WAITS = {"_make_api_call", "_send_request", "_get_response", "_do_get_response"}

# The classes without which nothing can be said of the methods.
_EXPECTED = {"client": AioBaseClient, "endpoint": AioEndpoint, "signer": AioRequestSigner}

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

# Tells its handlers of every request and answer, once it is enabled.
_RECORDER = get_global_history_recorder()


class Interception:
    """Detects third-party code that intercepts the Invoke calls of one aiobotocore client.

    `found` is called before every call, so its result is cached by identity: while the objects have
    the same parts and no new attributes, their classes have the same functions, and the emitter has
    the same handlers, the check takes two microseconds. Only a negative result is cached: an
    intercepted call is on the slow path anyway, and the end of an interception must be noticed.

    Functions of the HTTP library are compared too. Replacing one is no interception, but whoever
    sends without the library has to check it, and may rely on the last check while `found` is the
    same function.

    A change inside these objects' values is not noticed, such as a config or a service model that
    was edited in place: hundreds of values would have to be compared before each call.
    """

    found: Callable[[], str | None]
    """Return `None` if the call is the SDK's own, else one line that names the interceptor."""

    def __init__(self, client: Any, library: tuple[tuple[type, str], ...] = ()) -> None:
        """Look up the parts of an open client.

        Args:
            client: The client.
            library: Functions of the HTTP library, each as the class that defines it and a name.

        Raises:
            AttributeError: A private name of aiobotocore that this relies on is missing.
        """
        owners = {"client": client}
        for (holder, attribute), (_, name) in _PARTS.items():
            if name is not None:
                owners[name] = getattr(owners[holder], attribute)
        # A service without an endpoint ruleset has no resolver.
        self._owners = {name: owner for name, owner in owners.items() if owner is not None}
        # By `type`, since a proxy says of its `__class__` what it likes.
        self._classes = {name: type(owner) for name, owner in self._owners.items()}
        self._attributes: dict[str, dict[str, object]] = {
            name: owner.__dict__ for name, owner in self._owners.items()
        }
        self._parts = {part: self._attributes[part[0]][part[1]] for part in _PARTS}
        self._library = library
        self._steps = tuple(step for step in _STEPS if step[0] in self._owners)
        self._stranger = _find_stranger(self._classes, self._steps)
        self._emitter = owners["emitter"]
        self._listener: str | None = None
        self._listener_handlers: object = None
        self.found = self._look

    def _look(self) -> str | None:
        if self._stranger is not None:
            return self._stranger
        found = self._search()
        if found is None:
            # What is remembered is read before it is searched, so that a later change is noticed.
            comparison = self._comparison(self._emitter._lookup_cache)  # noqa: SLF001
            found = self._search()
            if found is None:
                self.found = comparison
        return found

    def _search(self) -> str | None:
        # Searching the emitter is slow. It replaces its cache whenever its handlers change.
        handlers = self._emitter._lookup_cache  # noqa: SLF001
        if handlers is not self._listener_handlers:
            self._listener = _find_listener(self._emitter)
            self._listener_handlers = handlers
        found = self._find_replaced() or self._find_wrapper() or self._listener
        if found is None and _RECORDER._enabled:  # noqa: SLF001
            found = "botocore's history is recorded"
        return found

    def _comparison(self, handlers: object) -> Callable[[], str | None]:
        """Return a function that looks again only if something is not what it is now."""
        values: dict[str, object] = {"look": self._look, "handlers": handlers}
        values["dict_of_recorder"] = vars(_RECORDER)
        values |= {f"type_of_{name}": kind for name, kind in self._classes.items()}
        values |= {f"dict_of_{name}": each for name, each in self._attributes.items()}
        values |= {f"{holder}_{name}": part for (holder, name), part in self._parts.items()}
        for owner, name in self._steps:
            values[f"{owner}_{name}"] = defined(self._classes[owner], name)[1]
        for number, (kind, name) in enumerate(self._library):
            # As it is in the class: a wrapper of wrapt is another object each time it is bound.
            values[f"library_{number}"] = vars(kind).get
            values[f"library_{number}_{name}"] = vars(kind).get(name)
        # The objects' attributes are counted in total: the SDK's own are never removed.
        values["count"] = sum(
            len(each) for name, each in self._attributes.items() if name in _WITH_METHODS
        )
        found: Callable[[], str | None] = _comparing(
            tuple(values), self._steps, tuple(name for _, name in self._library)
        )(*values.values())
        return found

    def _find_replaced(self) -> str | None:
        for (holder, name), first in self._parts.items():
            there = self._attributes[holder].get(name)
            if there is not first:
                return line_about(
                    there, f"is in place of the client's first {_PARTS[holder, name][0]}"
                )
        for emitter in (self._owners["events"], self._emitter):
            for name in _EMITS:
                if name in vars(emitter):
                    return line_about(
                        vars(emitter)[name], f"stands before {type(emitter).__name__}.{name}"
                    )
        return None

    def _find_wrapper(self) -> str | None:
        for owner, name in self._steps:
            kind = self._classes[owner]
            if owner == "session" and not is_own(kind.__module__):
                continue  # a session class of the caller, whose `send` is not an interception
            holder, value = defined(kind, name)
            if name in _WAITS and holder.__module__.startswith("botocore."):
                return f"aiobotocore's {name} has been deleted"
            value = self._attributes[owner].get(name, value)
            link = foreign_link(value)
            if link is not None:
                return line_about(link, f"stands before {holder.__name__}.{name}")
        return None


@functools.cache
def _comparing(
    names: tuple[str, ...], steps: tuple[_Step, ...], library: tuple[str, ...]
) -> Callable[..., Any]:
    """Return a factory of functions that compare the state of a client with the values given to it.

    Such a function is one condition, compiled from the tables above, since a loop over fifty values
    would take several microseconds. Attributes of objects are read from their `__dict__`: it takes
    half as long, as a client has a `__getattr__`. Methods are compared on the classes, which covers
    all bases and creates no bound methods.
    """
    counts = [f"len({name})" for name in names if name.removeprefix("dict_of_") in _WITH_METHODS]
    conditions = [
        "dict_of_emitter['_lookup_cache'] is handlers",
        "not dict_of_recorder['_enabled']",
        *(f"dict_of_{holder}['{name}'] is {holder}_{name}" for holder, name in _PARTS),
        *(f"type_of_{owner}.{name} is {owner}_{name}" for owner, name in steps),
        *(f"library_{at}('{name}') is library_{at}_{name}" for at, name in enumerate(library)),
        f"{' + '.join(counts)} == count",
    ]
    source = f"lambda {', '.join(names)}: lambda: None if {' and '.join(conditions)} else look()"
    return eval(source)  # type: ignore[no-any-return]  # noqa: S307  # of constants of this file


def _find_stranger(kinds: dict[str, type], steps: tuple[_Step, ...]) -> str | None:
    """Return which object is not the SDK's own, so that its methods cannot be checked."""
    for owner, expected in _EXPECTED.items():
        looks_up = defined(kinds[owner], "__getattribute__")[0]
        if expected not in kinds[owner].__mro__ or looks_up is not object:
            return f"{name_of(kinds[owner])} is in place of {expected.__name__}"
    for owner, name in steps:
        if not hasattr(kinds[owner], name):
            return f"{name_of(kinds[owner])} has no {name}"
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
            link = foreign_link(handler if plain else defined(type(handler), "__call__")[1])
            if link is not None:
                return line_about(link if plain else handler, f"listens to {event}")
    return None
