"""What has limits of its own, by name, and what is claimed against it."""

from collections.abc import Callable
from typing import NamedTuple

from asyncinvoke._limits.concurrency import ConcurrencyLimit
from asyncinvoke._limits.events import News
from asyncinvoke._limits.gates import Gate
from asyncinvoke._model.failure import ThrottleScope
from asyncinvoke._request.parameters import InvokeParameters


class FunctionKey(NamedTuple):
    """What has limits of its own: a function with its qualifier and tenant."""

    account_id: str | None
    """The account that its ARN names; `None` for that of the credentials."""

    name: str
    """The function's name."""

    qualifier: str | None = None
    """The version or alias."""

    tenant_id: str | None = None
    """The tenant."""

    def __str__(self) -> str:
        parts = (self.account_id, self.name, self.qualifier)
        shown = ":".join(part for part in parts if part is not None)
        return shown if self.tenant_id is None else f"{shown} (tenant {self.tenant_id})"


def function_key(parameters: InvokeParameters) -> FunctionKey:
    """Return the key of what a request is addressed to."""
    target = parameters.target
    return FunctionKey(target.account_id, target.name, target.qualifier, parameters.tenant_id)


class AccountGate(Gate):
    """An account, and how many of its functions are known."""

    __slots__ = ("functions",)

    key: str

    def __init__(
        self,
        key: str,
        *,
        concurrency: ConcurrencyLimit,
        now: float,
        random: Callable[[], float],
        news: News,
    ) -> None:
        super().__init__(
            ThrottleScope.ACCOUNT, key, concurrency=concurrency, now=now, random=random, news=news
        )
        self.functions: int = 0


class FunctionGate(Gate):
    """A function; what is in flight here counts against its account too, unless it has a reserve."""

    __slots__ = ("account", "reserved", "waiting")

    key: FunctionKey

    def __init__(
        self,
        key: FunctionKey,
        account: AccountGate,
        *,
        concurrency: ConcurrencyLimit,
        now: float,
        random: Callable[[], float],
        news: News,
    ) -> None:
        super().__init__(
            ThrottleScope.FUNCTION, key, concurrency=concurrency, now=now, random=random, news=news
        )
        self.account: AccountGate = account
        self.reserved: bool = False
        self.waiting: int = 0
        """How many wait for a permit; kept by the queue."""

    def set_reserved(self, reserved: bool) -> None:
        """Count what is in flight here against the account, or no longer."""
        if reserved != self.reserved:
            self.reserved = reserved
            self.account.in_flight += -self.in_flight if reserved else self.in_flight


class Claim:
    """What is asked for, waited for and held: one attempt more in flight."""

    __slots__ = (
        "ahead",
        "ahead_in_account",
        "deadline",
        "gate",
        "is_held",
        "key",
        "number",
        "owner",
        "waited",
    )

    gate: FunctionGate
    """What it counts against; there once it was asked for."""
    number: int
    """How many were granted before it; there once it is granted, as the next two are."""
    ahead: int
    """What was in flight of the function then."""
    ahead_in_account: int
    """What was in flight of the account then."""

    def __init__(self, key: FunctionKey, deadline: float, owner: object = None) -> None:
        self.key: FunctionKey = key
        self.deadline: float = deadline
        self.owner: object = owner
        """In whose name it is asked for, if that matters: who may withdraw it."""
        self.is_held: bool = False
        self.waited: float = 0.0
        """How many seconds it took to get; 0 if it was free."""


class PermitTimeoutError(Exception):
    """No permit could be had before the deadline; the engine makes the caller's error of it.

    Args:
        limited: What held permits back, in a sentence, if anything did.
    """

    def __init__(self, limited: str | None) -> None:
        super().__init__(limited)
        self.limited = limited


class LimiterClosedError(Exception):
    """There are no permits any more: the limiter was closed."""
