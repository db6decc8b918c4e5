"""Whose code a function is: the SDK's own, or somebody else's, who is named.

Only a plain function whose globals are those of an SDK module counts as the SDK's own. Weaker
checks fail: botocore itself has functions with `__wrapped__`, wrapt's proxies deceive `isinstance`
and `==`, and `functools.wraps` copies a function's name and module.
"""

from types import FunctionType, MethodType
from typing import Any

from aiobotocore.client import AioBaseClient

_OWN = frozenset({"botocore", "aiobotocore", "asyncinvoke"})
# Part of the SDK too, but stubs replace the service in tests.
_STUBS = frozenset({"botocore.stub", "aiobotocore.stub"})

# How to disable an integration that is often enabled by default.
_ADVICE = {
    "sentry_sdk": "; sentry_sdk.init(disabled_integrations=[Boto3Integration()]) keeps it away",
}


def defined(kind: type, name: str) -> tuple[type, object]:
    """Return the class that defines a name, and the value there, which is not bound."""
    return next((base, vars(base)[name]) for base in kind.__mro__ if name in vars(base))


def is_own(module: object) -> bool:
    """Return whether a module of this name is the SDK's."""
    return str(module).partition(".")[0] in _OWN and module not in _STUBS


def foreign_link(value: Any) -> object | None:
    """Return the first wrapper in a chain that is not the SDK's; `None` if all are."""
    value = _unbound(value)
    while type(value) is FunctionType and is_own(value.__globals__.get("__name__")):
        # A decorator of the SDK may wrap a third-party function.
        value = vars(value).get("__wrapped__")
    return value  # type: ignore[no-any-return]  # it can be anything


def _own_below(value: Any) -> FunctionType | None:
    """Return the first function in a chain of wrappers below which everything is the SDK's."""
    for _ in range(100):  # the chain may be a cycle
        if foreign_link(value) is None:
            return value  # type: ignore[no-any-return]  # a plain function, or it were foreign
        value = getattr(value, "__wrapped__", None)
    return None


def line_about(value: Any, what: str) -> str:
    """Describe an interceptor by its real module and name, not those copied by wrapt and `wraps`."""
    wrapper = getattr(value, "_self_wrapper", None)  # wrapt's only attribute that is not proxied
    if type(wrapper) in (FunctionType, MethodType):
        value = wrapper
    value = _unbound(value)
    if type(value) is FunctionType:
        module = value.__globals__.get("__name__", "<unnamed>")
        name = f"{module}.{value.__code__.co_qualname}"
    else:
        name = name_of(type(value))
    return f"{name} {what}{_ADVICE.get(name.partition('.')[0], '')}"


def _unbound(value: Any) -> Any:
    return value.__func__ if type(value) is MethodType else value


def name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


_API_CALL = "_make_api_call"

# As it was when this module was imported: a plain replacement leaves no trace of it.
_FIRST = _own_below(vars(AioBaseClient).get(_API_CALL))


def api_call_of(kind: type) -> FunctionType | None:
    """Return the SDK's own `_make_api_call` of a class of clients, even if wrapped or replaced.

    Wrappers are followed through `__wrapped__` (wrapt, `functools.wraps`). `None` if unknown.
    """
    for base in kind.__mro__:
        if base is AioBaseClient and _FIRST is not None:
            return _FIRST
        if _API_CALL in vars(base):
            original = _own_below(vars(base)[_API_CALL])
            # A subclass of the caller is skipped; the search ends at the SDK's classes.
            if original is not None or is_own(base.__module__):
                return original
    return None
