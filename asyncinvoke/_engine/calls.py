"""From options to a `Call`: checked once, and remembered by what was given."""

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from asyncinvoke._engine.options import InvokeOptions, StreamOptions
from asyncinvoke._limits.scopes import FunctionKey, function_key
from asyncinvoke._model.response import Attempt, Decode, Reply, Response
from asyncinvoke._recent import Recent
from asyncinvoke._request.parameters import InvokeParameters, check_flag, checked
from asyncinvoke._request.request import InvocationType, Request
from asyncinvoke._request.target import Target, show_value
from asyncinvoke._retries.policy import Balance, Balances, RetryPolicy
from asyncinvoke._statistics import FunctionTally, Tally
from asyncinvoke.errors import InvalidRequestError

MOST_CALLS = 4096
"""The minimum number of validated option combinations that are cached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The part of an invocation that does not depend on the payload: its target and its options."""

    parameters: InvokeParameters
    """The function and AWS's options."""

    key: FunctionKey
    """The key under which its permits are counted."""

    policy: RetryPolicy
    """The retry policy."""

    decode: Decode
    """The codec of the response."""

    timeout: float = math.inf
    """The total timeout of an execution, in seconds; `math.inf` for none."""

    repeatable: bool = False
    """Whether an attempt that may have run may be retried."""

    raise_on_function_error: bool = True
    """Whether a function error is raised, or returned as a response."""

    balance: Balance | None = None
    """The function's balance of the policy's retry budget, if there is one."""

    counts: FunctionTally = field(default_factory=FunctionTally, repr=False, compare=False)
    """The counters of the function."""

    def response(self, reply: Reply, attempts: tuple[Attempt, ...]) -> Response[Any]:
        """Return the caller's response for a reply, with the attempts it took."""
        return Response(
            reply.status_code,
            reply.payload,
            reply.executed_version,
            reply.request_id,
            reply.function_error,
            reply.log_result,
            reply.durable_execution_arn,
            attempts,
            self.decode,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """An invoker's defaults for options that a call does not set."""

    decode: Decode
    retry: RetryPolicy
    timeout: float | None = None
    idempotent: bool = False


class Calls:
    """Converts options to calls, and caches the validated ones.

    The cache key consists of all given options, each with its type (`True` is not a number of
    seconds, although it equals 1). It is never built from a fixed list of options: an option
    missing from such a list would apply the first call's value to all later ones. Two options
    belong to a single call, the client context and the name of a durable execution. They are not
    part of the cached call, and are added to it afterwards.
    """

    def __init__(
        self,
        defaults: Defaults,
        tally: Tally | None = None,
        balances: Balances | None = None,
    ) -> None:
        self._defaults = defaults
        self._tally = Tally() if tally is None else tally
        self._checked: Recent[object, Call] = Recent(MOST_CALLS)
        self._latest: tuple[str, dict[str, Any], Call | None] = ("", {}, None)
        self._balances = Balances() if balances is None else balances

    def with_decode(self, decode: Decode) -> "Calls":
        """Return a separate cache for calls with another codec.

        Counters and retry budgets belong to the function, and are shared.
        """
        return Calls(replace(self._defaults, decode=decode), self._tally, self._balances)

    def get(self, function_name: str, options: Mapping[str, Any]) -> Call:
        """Return the call for a function and its options.

        Raises:
            InvalidRequestError: An option is unknown or invalid; the message names it.
        """
        if not options:
            key: object = function_name
        elif "client_context" in options or "durable_execution_name" in options:
            return self._with_its_own(function_name, options)
        else:
            # Often the latest call is made again, with the same objects, which is seen faster than
            # they are hashed and compared.
            name, latest, call = self._latest
            if call is not None and function_name is name and len(options) == len(latest):
                for option, value in options.items():
                    if latest.get(option, self) is not value:
                        break
                else:
                    return call
            key = (function_name, *[(k, v, v.__class__) for k, v in options.items()])
        try:
            call = self._checked.young.get(key) or self._checked.get(key)
        except Exception:  # noqa: BLE001  # an option of a wrong type, which cannot be hashed or compared: checking says so
            return self.check(function_name, options)
        if call is None:
            call = self._made(function_name, options)
            self._checked.put(key, call)
        if options:
            self._latest = function_name, dict(options), call
        return call

    def _made(self, function_name: str, options: Mapping[str, Any]) -> Call:
        """Return a new call; options shared by the tenants of a function are validated once."""
        tenant_id = options.get("tenant_id")
        if tenant_id is None:
            return self.check(function_name, options)
        shared = {name: value for name, value in options.items() if name != "tenant_id"}
        call = self.get(function_name, shared)
        parameters = call.parameters.for_tenant(tenant_id)
        key, budget = call.key._replace(tenant_id=tenant_id), call.policy.budget
        balance = None if budget is None else self._balances.of(budget, key)
        return replace(call, parameters=parameters, key=key, balance=balance)

    def _with_its_own(self, function_name: str, options: Mapping[str, Any]) -> Call:
        shared = dict(options)
        context = shared.pop("client_context", None)
        name = shared.pop("durable_execution_name", None)
        call = self.get(function_name, shared)
        if context is None and name is None:
            return call
        parameters = call.parameters.for_one_call(
            client_context=context, durable_execution_name=name
        )
        return replace(
            call, parameters=parameters, repeatable=call.repeatable or parameters.repeatable
        )

    def check(self, function_name: str, options: Mapping[str, Any]) -> Call:
        """Validate options without caching; raises the same errors as `get`."""
        refuse_unknown(options, InvokeOptions)
        ours = {name: options.get(name) for name in ("timeout", "idempotent", "retry")}
        spelled = {name: value for name, value in options.items() if name not in _OURS}
        defaults = self._defaults
        policy = defaults.retry if ours["retry"] is None else ours["retry"]
        if not isinstance(policy, RetryPolicy):
            raise InvalidRequestError(f"retry {show_value(policy)} must be a RetryPolicy")
        timeout = defaults.timeout if ours["timeout"] is None else ours["timeout"]
        idempotent = defaults.idempotent if ours["idempotent"] is None else ours["idempotent"]
        parameters = checked(function_name, **spelled)
        key = function_key(parameters)
        budget = policy.budget
        return Call(
            parameters=parameters,
            key=key,
            balance=None if budget is None else self._balances.of(budget, key),
            counts=self._tally.of_function(str(key._replace(tenant_id=None))),
            policy=policy,
            decode=defaults.decode,
            timeout=check_timeout(timeout),
            repeatable=check_flag("idempotent", idempotent) or parameters.repeatable,
            raise_on_function_error=check_flag(
                "raise_on_function_error", options.get("raise_on_function_error", True)
            ),
        )


_OURS = frozenset({"timeout", "idempotent", "retry", "raise_on_function_error"})
"""The options of an invocation that are specific to this library."""


def check_timeout(timeout: float | None) -> float:
    """Return the timeout in seconds; `math.inf` for none.

    Raises:
        InvalidRequestError: It is not a number above 0.
    """
    if timeout is None:
        return math.inf
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    try:
        seconds = float(timeout) if is_number else math.nan
    except OverflowError:  # an integer too large for a float
        seconds = math.inf if timeout > 0 else math.nan
    if not seconds > 0:
        raise InvalidRequestError(
            f"timeout {show_value(timeout)} must be a number of seconds above 0"
        )
    return seconds


def is_one_of(value: object, words: Container[object]) -> bool:
    """Return whether a value is one of the given strings, or `None` if that is allowed.

    Values of other types are not compared: they may define equality differently, as arrays do.
    """
    return (value is None or isinstance(value, str)) and value in words


_STREAM_HAS_NO = {
    "invocation_type": (None, InvocationType.REQUEST_RESPONSE),
    "durable_execution_name": (None,),
}


def stream_options(options: InvokeOptions) -> StreamOptions:
    """Return the options of an invocation that apply to a stream.

    Raises:
        InvalidRequestError: An option is set that does not apply.
    """
    given: dict[str, Any] = dict(options)
    try:
        for name, allowed in _STREAM_HAS_NO.items():
            value = given.pop(name, None)
            if not is_one_of(value, allowed):
                raise InvalidRequestError(
                    f"{name} {show_value(value)} does not go with a response stream"
                )
        return cast("StreamOptions", given)
    finally:
        del options, given  # keeps a client context out of tracebacks


def item_options(
    function_name: str, options: InvokeOptions, item: Request
) -> tuple[str, InvokeOptions]:
    """Return the function and the options of a map item that overrides some of them."""
    merged: dict[str, Any] = dict(options)
    for name in _OF_A_REQUEST:
        value = getattr(item, name)
        if value is not None:
            merged[name] = value
    if item.function_name is not None and item.qualifier is None:
        # The map's qualifier applies only if the item names the same function.
        named = Target.parse(item.function_name)
        mapped = Target.parse(function_name, options.get("qualifier"))
        keeps = named.qualifier is None and named.may_be(mapped)
        merged["qualifier"] = mapped.qualifier if keeps else None
    name = function_name if item.function_name is None else item.function_name
    if item.qualifier is not None and item.function_name is None:
        # It also replaces a qualifier in the map's function name.
        name = Target.parse(function_name).function_name
    return name, cast("InvokeOptions", merged)


_OF_A_REQUEST = tuple(InvokeOptions.__optional_keys__ & frozenset(Request.__dataclass_fields__))
"""The options of an invocation that a map item may override."""


def refuse_unknown(options: Mapping[str, Any], known: Any) -> None:
    """Reject options that are not keys of a TypedDict.

    Raises:
        InvalidRequestError: There is an unknown option; the message names it.
    """
    unknown = [name for name in options if name not in known.__optional_keys__]
    if unknown:
        import difflib  # imported late: only a mistake needs it

        name = unknown[0]
        # AWS writes InvocationType.
        likely = difflib.get_close_matches(name.lower(), known.__optional_keys__, 1, 0.8)
        hint = f": did you mean {likely[0]!r}?" if likely else ""
        raise InvalidRequestError(f"{name!r} is not one of the {known.__name__}{hint}")
